"""Say whether this machine can run the course, and how to repair what cannot.

Nearly everything here is read from the file system and from package metadata: no model is loaded
and torch is not imported, so that the answer comes at once, also when torch itself is broken. Two
parts try something, each for a second at most: a connection to the hub, and a sealed-off process.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from course_lib.findings import AMBER, GREEN, RED, Finding, Findings

DISTRIBUTION = "course-lib"
PYTHONS = ((3, 11), (3, 13))
GIB = 2**30
FAST_BLAS = ("openblas", "mkl", "accelerate", "blis", "flexiblas")
HUB = "https://huggingface.co"
SYSTEM = Path("/proc/sys")
CGROUP = Path("/sys/fs/cgroup")
COURSE = Path(__file__).resolve().parent.parent  # the folder that holds notebooks/ and Makefile


def diagnose() -> Findings:
    """Look at everything the course needs.

    Returns
    -------
    Findings, a list of `Finding`, in a fixed order. A check that fails itself is reported as a
    problem and never stops the others. Takes well under three seconds; costs no forward pass.

    Examples
    --------
    >>> findings = diagnose()
    >>> findings[0].name
    'Python'
    """
    findings = Findings()
    for name, check in CHECKS.items():
        try:
            findings.append(check())
        except Exception as error:  # a broken machine is what we are here to describe
            detail = f"could not be checked ({type(error).__name__}: {error})"
            findings.append(Finding(name, RED, detail, "Run `make lab` again; if it stays, ask."))
    return findings


def check_python() -> Finding:
    """Is this a Python version the course is tested with?"""
    found = sys.version_info[:2]
    detail = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= found <= PYTHONS[1]:
        return Finding("Python", GREEN, detail)
    fix = "Install Python 3.11, 3.12 or 3.13, delete the folder .venv, and run `make lab`."
    return Finding("Python", RED, detail, fix)


def check_packages() -> Finding:
    """Is every package the course needs installed, in a version inside the tested range?"""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        fix = "Run `make lab`, which installs it into .venv, and start from there."
        return Finding("packages", RED, f"{DISTRIBUTION} is not installed here", fix)
    needed = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [problem for r in needed if (problem := _version_problem(r))]
    if wrong:
        fix = "Delete the file .venv/.ready and run `make lab`."
        return Finding("packages", RED, "; ".join(wrong), fix)
    shown = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "transformers", "jupyterlab"))
    return Finding("packages", GREEN, f"{len(needed)} as tested, among them {shown}")


def _version_problem(requirement) -> str:
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} is {found}, tested with {requirement.specifier}"


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
    free = shutil.disk_usage(COURSE).free / GIB
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


def check_models() -> Finding:
    """Are the files of the bundled models here, and are they the ones we shipped (sha256)?"""
    from course_lib.models import assets

    broken = []
    for name in assets.BUNDLED:
        try:
            assets.asset_folder(name)
        except assets.AssetError:
            broken.append(name)
    if broken:
        fix = "git checkout -- course_lib/assets (or train them again: make models)"
        return Finding("bundled models", RED, "missing or damaged: " + ", ".join(broken), fix)
    return Finding("bundled models", GREEN, ", ".join(assets.BUNDLED) + ": every file verified")


def check_widgets() -> Finding:
    """Is the part of ipywidgets that runs in the browser installed beside JupyterLab?"""
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    if any((f / "@jupyter-widgets/jupyterlab-manager/package.json").is_file() for f in folders):
        return Finding("widgets", GREEN, f"ipywidgets {metadata.version('ipywidgets')}")
    fix = "Delete the file .venv/.ready and run `make lab`; figures stay visible without widgets."
    return Finding("widgets", AMBER, "JupyterLab does not know the widget extension", fix)


def check_writing() -> Finding:
    """Can notebooks and progress be saved?"""
    from course_lib import journal

    if problem := _write_problem(COURSE / "notebooks"):
        fix = "Copy the course into a folder of your own and run `make lab` there."
        return Finding("saving", RED, f"notebooks cannot be saved ({problem})", fix)
    if problem := _write_problem(journal.home()):
        fix = "Set the variable COURSE_HOME to a folder you can write to, and start again."
        return Finding("saving", AMBER, f"progress cannot be saved ({problem})", fix)
    if journal.path().exists() and not os.access(journal.path(), os.R_OK | os.W_OK):
        fix = f"Make {journal.path().name} in the folder of your progress your own: chmod u+rw"
        return Finding("saving", AMBER, "the progress file is locked", fix)
    return Finding("saving", GREEN, "notebooks and progress can be saved")


def _write_problem(folder: Path) -> str:
    """Why nothing can be written in `folder`, which need not exist yet; "" if it can."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def check_hub() -> Finding:
    """Can other models be fetched? The course itself needs no network."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return Finding("model hub", GREEN, f"switched off ({name}); the course needs none")
    hub = os.environ.get("HF_ENDPOINT") or HUB
    if problem := _connection_problem(getproxies().get("https") or hub):
        fix = "Nothing to repair for the course. For other models, connect to a network; behind a "
        fix += "proxy set HTTPS_PROXY, or load a folder: load_model('path/to/folder')."
        return Finding("model hub", AMBER, f"{urlsplit(hub).hostname}: {problem}", fix)
    return Finding("model hub", GREEN, f"{urlsplit(hub).hostname} answers")


def _connection_problem(address: str, seconds: float = 1) -> str:
    """Why no connection to the host in `address` can be opened; "" if it can."""
    problem = ["no answer within a second"]

    def connect() -> None:
        try:
            parts = urlsplit(address if "://" in address else f"//{address}")
            port = parts.port or (80 if parts.scheme == "http" else 443)
            socket.create_connection((parts.hostname, port), timeout=seconds).close()
            problem[0] = ""
        except (OSError, ValueError) as error:
            problem[0] = getattr(error, "strerror", None) or str(error)

    # Looking up a name knows no time limit, so we wait for a thread and not for the name.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds)
    return problem[0]


def check_grading() -> Finding:
    """For instructors: can submissions run sealed off from this machine?"""
    tried = {
        "bwrap": "--unshare-all --die-with-parent --ro-bind / / --proc /proc --dev /dev true",
        "docker": "ps",
        "podman": "ps",
    }
    problems = {tool: _trial(tool, arguments) for tool, arguments in tried.items()}
    detail = "; ".join(f"{tool} {problem or 'works'}" for tool, problem in problems.items())
    if "" in problems.values():
        return Finding("grading", GREEN, detail)
    detail += ". Students do not need this"
    if shutil.which("bwrap"):
        return Finding("grading", AMBER, detail, _how_to_allow_bwrap())
    fix = "Install Docker Desktop or podman and start it."
    if sys.platform.startswith("linux"):
        fix = "sudo apt install bubblewrap (Debian, Ubuntu) or sudo dnf install bubblewrap"
    return Finding("grading", AMBER, detail, fix)


def _trial(tool: str, arguments: str) -> str:
    """Why `tool` does not work here; "" if it does."""
    if not (path := shutil.which(tool)):
        return "is not installed"
    try:
        run = subprocess.run(
            [path, *arguments.split()], capture_output=True, timeout=1, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return "does not answer"
    last = (run.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
    last = last.replace(os.path.expanduser("~"), "~")
    return f"fails ({last})" if run.returncode else ""


def _how_to_allow_bwrap() -> str:
    """The command that lets bubblewrap make namespaces, by what forbids it."""
    path = shutil.which("bwrap")
    profile = "abi <abi/4.0>,\\ninclude <tunables/global>\\n"
    profile += f"profile bwrap {path} flags=(unconfined) {{\\n  userns,\\n}}\\n"
    causes = {
        ("kernel/apparmor_restrict_unprivileged_userns", "1"): f"printf '{profile}' | "
        "sudo tee /etc/apparmor.d/bwrap && sudo systemctl reload apparmor",
        ("kernel/unprivileged_userns_clone", "0"): "sudo sysctl kernel.unprivileged_userns_clone=1",
        ("user/max_user_namespaces", "0"): "sudo sysctl user.max_user_namespaces=15000",
    }
    for (name, bad), fix in causes.items():
        if (SYSTEM / name).is_file() and (SYSTEM / name).read_text().strip() == bad:
            return fix
    return "Inside a container start that one with --privileged, or grade outside of it."


EXTRAS = ("model hub", "grading")  # no lesson needs them; `course lab` does not speak of them
CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": check_python,
    "packages": check_packages,
    "memory": check_memory,
    "disk": check_disk,
    "threads": check_threads,
    "BLAS": check_blas,
    "bundled models": check_models,
    "widgets": check_widgets,
    "saving": check_writing,
    "model hub": check_hub,
    "grading": check_grading,
}
