"""The commands that seal a process off, and the limits that hold inside.

Three ways, chosen explicitly and recorded in every result: ``bwrap`` (bubblewrap, Linux),
``container`` (docker or podman) and ``none``, for submissions one trusts as one's own code.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from course_lib.grading.visible import PACKAGE, given_paths

ISOLATIONS = ("bwrap", "container", "none")
CONTAINER_TOOLS = ("docker", "podman")
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp/home",
    "COURSE_HOME": "/tmp/home/course",
    "USER": "student",
    "LANG": "C.UTF-8",
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Seconds are by the clock, sizes in bytes."""

    call: float = 20
    cell: float = 60
    total: float = 300
    memory: int = 2 * 2**30
    disk: int = 64 * 2**20
    printed: int = 16 * 2**20
    processes: int = 64


def runtime_paths() -> list[str]:
    """What a Python needs to read, and nothing else of this machine."""
    found = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [f"{root}/{lib}" for root in (sys.prefix, sys.base_prefix) for lib in ("lib", "lib64")]
    found += [sys.executable, f"{sys.prefix}/pyvenv.cfg"]
    found += ["/usr/lib", "/usr/lib64", "/lib", "/lib64", "/bin/sh", "/etc/ld.so.cache"]
    found = [path for path in dict.fromkeys(found) if os.path.exists(path)]
    return [p for p in found if not any(p.startswith(f"{other}/") for other in found)]


def why_not(isolation: str) -> str:
    """Why submissions cannot be sealed off in this way here, and what to do; "" if they can."""
    if isolation == "bwrap" and not shutil.which("bwrap"):
        linux = sys.platform.startswith("linux")
        how = "sudo apt install bubblewrap, or " if linux else "It works on Linux only: "
        return f"bubblewrap is not installed. {how}use --isolation container (docs/grading.md)."
    if isolation == "container" and not any(map(shutil.which, CONTAINER_TOOLS)):
        return "Neither docker nor podman is installed: install one and start it (docs/grading.md)."
    return ""


def is_covered(path: str) -> bool:
    """Whether a path lies in a folder that submissions find empty."""
    return path.startswith(("/tmp/", "/dev/shm/"))


def bwrap_command(limits: Limits, root: bool) -> list[str]:
    """bubblewrap with no network, no files but the runtime, an empty environment, a small disk."""
    command = ["bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"]
    # Root gives itself up inside (see worker.py): a limit on processes does not hold for root.
    command += ["--cap-drop", "ALL"]
    command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"] if root else []
    command += [] if root else ["--unshare-user"]
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder in ("/dev/shm", "/tmp"):  # before the binds, which may lie under /tmp
        command += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", folder]
    paths = runtime_paths()
    parents = {str(parent) for path in [*paths, PACKAGE] for parent in Path(path).parents}
    for parent in sorted(parents - {"/", "/tmp"}):  # left alone, only root could enter them
        command += ["--perms", "0755", "--dir", parent]
    for path in paths:
        command += ["--ro-bind", path, path]
    command += _course_arguments()
    # bubblewrap's own / and /dev are folders in memory without a limit.
    return [*command, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", "/tmp"]


def _course_arguments() -> list[str]:
    """An empty folder in place of the package, with the few files in it that submissions see."""
    given = given_paths()
    inner = {str(p) for g in given for p in Path(g).parents if p.is_relative_to(PACKAGE)}
    arguments = ["--perms", "0755", "--tmpfs", str(PACKAGE)]
    for folder in sorted(inner - {str(PACKAGE)}):
        arguments += ["--perms", "0755", "--dir", folder]
    for path in given:
        arguments += ["--ro-bind", path, path]
    return [*arguments, "--remount-ro", str(PACKAGE)]


def container_command(image: str, name: str, limits: Limits) -> list[str]:
    """docker or podman, whichever is there, with the same properties."""
    tool = next(filter(shutil.which, CONTAINER_TOOLS), CONTAINER_TOOLS[0])
    command = [tool, "run", "--rm", "--interactive", f"--name={name}", "--network=none"]
    command += ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    command += ["--user=65534:65534", f"--shm-size={limits.disk}"]
    command += [f"--memory={limits.memory}", f"--memory-swap={limits.memory}"]  # no swap beside it
    command += [f"--pids-limit={limits.processes}", f"--tmpfs=/tmp:rw,size={limits.disk}"]
    return [*command, *(f"--env={k}={v}" for k, v in ENVIRONMENT.items()), image]
