"""What the machine brings: Python, memory, disk, threads, and a fast library for matrices."""

from __future__ import annotations

import math
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

from course_lib.doctor.findings import AMBER, GREEN, RED, Finding

PYTHONS = ((3, 11), (3, 13))
GIB = 2**30
FAST_BLAS = ("openblas", "mkl", "accelerate", "blis", "flexiblas")
CGROUP = Path("/sys/fs/cgroup")


def check_python() -> Finding:
    """Is this a Python version the course is tested with?"""
    found = sys.version_info[:2]
    detail = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= found <= PYTHONS[1]:
        return Finding("Python", GREEN, detail)
    fix = "Install Python 3.11, 3.12 or 3.13, delete the folder .venv, and run `make lab`."
    return Finding("Python", RED, detail, fix)


def check_memory() -> Finding:
    """Is there enough free memory for one notebook kernel and a browser?"""
    import psutil

    free = psutil.virtual_memory().available
    free = min(free, _container_memory_left(free)) / GIB
    detail = f"{free:.1f} GiB free"
    if free >= 2:
        return Finding("memory", GREEN, detail)
    fix = "Close other programs and shut down notebook kernels you no longer need."
    return Finding("memory", AMBER if free >= 1 else RED, detail, fix)


def _container_memory_left(default: int) -> int:
    """Bytes left under the limit of a container (Binder, Docker), which `free` does not show."""
    try:
        limit = int((CGROUP / "memory.max").read_text())
        return max(0, limit - int((CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):  # no limit ("max"), or not Linux
        return default


def check_disk() -> Finding:
    """Is there room for saved notebooks and results?"""
    free = shutil.disk_usage(Path(__file__).parent).free / GIB
    detail = f"{free:.1f} GiB free"
    if free >= 1:
        return Finding("disk", GREEN, detail)
    fix = "Free some space on the disk that holds the course folder."
    return Finding("disk", AMBER if free >= 0.2 else RED, detail, fix)


def check_threads() -> Finding:
    """Will torch use the processor well? More threads than cores makes it slower."""
    affinity = getattr(os, "sched_getaffinity", None)
    seen = len(affinity(0)) if affinity else os.cpu_count() or 1
    cores = min(seen, _container_cores(seen))
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    detail = f"{cores} cores" + (f", OMP_NUM_THREADS={wanted}" if wanted else "")
    if (int(wanted) if wanted.isdigit() else seen) > cores:
        detail += "" if wanted else f" of {seen} may be used, and torch would start {seen} threads"
        return Finding("threads", AMBER, detail, f"export OMP_NUM_THREADS={cores}")
    if cores < 2:
        fix = "Nothing to repair: the notebooks run, more slowly than the times they announce."
        return Finding("threads", AMBER, detail, fix)
    return Finding("threads", GREEN, detail)


def _container_cores(default: int) -> int:
    """Cores that the limit of a container leaves us, which the processor count does not show."""
    try:
        quota, period = map(int, (CGROUP / "cpu.max").read_text().split())
        return max(1, math.ceil(quota / period))
    except (OSError, ValueError):  # no limit ("max"), or not Linux
        return default


def check_blas() -> Finding:
    """Does numpy multiply matrices with a fast library? Without one it is many times slower."""
    import numpy
    from threadpoolctl import threadpool_info

    built = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    # conda builds numpy against a stand-in: what was loaded in its place tells.
    loaded = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    names = [f"{p['internal_api']} {p['version']}, {p['num_threads']} threads" for p in loaded]
    detail = "; ".join(names) or f"{built['name']} {built['version']}"
    if any(fast in f"{built['name']} {detail}".lower() for fast in FAST_BLAS):
        return Finding("BLAS", GREEN, detail)
    pip = ".venv/bin/python -m pip install --force-reinstall --no-deps --only-binary numpy"
    fix = f"{pip} numpy=={metadata.version('numpy')}"
    return Finding("BLAS", AMBER, f"{detail}: none of {', '.join(FAST_BLAS)}", fix)
