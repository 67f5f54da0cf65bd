"""Control groups: memory and processes of a whole sandbox, counted by the kernel, where it lets us.

That is as root, or in a session that systemd delegates to its user. Elsewhere (in most containers)
there is none, and the limits of each process, the filter of system calls and the look at the memory
five times a second have to do.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

import psutil

ROOT = Path("/sys/fs/cgroup")
OWN = 256 * 2**20  # bytes for the sandbox itself, beside what a submission may use
OWN_PROCESSES = 16
SHELL = 'for group in $GROUPS_TO_JOIN; do echo 0 > "$group/cgroup.procs" || exit 9; done; exec "$@"'


class Groups:
    """The groups of one sandbox; with no ``folders`` nothing is counted by the kernel."""

    def __init__(self, memory: int, processes: int) -> None:
        self.folders: list[Path] = []
        self.kills = 0
        name = f"course-grading-{os.getpid()}-{secrets.token_hex(4)}"
        limits = {
            "memory.max": memory + OWN, "memory.swap.max": 0,
            "memory.limit_in_bytes": memory + OWN, "memory.memsw.limit_in_bytes": memory + OWN,
            "pids.max": processes + OWN_PROCESSES,
        }  # fmt: skip
        for parent in _parents():
            _remove_left(parent)
            folder = parent / name
            try:
                folder.mkdir()
            except OSError:
                continue
            self.folders.append(folder)
            if not _limited(folder, limits):
                self.remove(folder)

    def command(self, command: list[str]) -> list[str]:
        """A command that joins the groups before it begins."""
        if not self.folders:
            return command
        names = " ".join(map(str, self.folders))
        return ["/bin/sh", "-c", SHELL.replace("$GROUPS_TO_JOIN", names), "sh", *command]

    def ran_out(self) -> bool:
        """Whether the kernel ended a process for its memory since this was last asked."""
        before, self.kills = self.kills, sum(map(_kills, self.folders))
        return self.kills > before

    def remove(self, *folders: Path) -> None:
        """Remove these groups, or all; what was in them is dying, which may take a moment."""
        for folder in folders or tuple(self.folders):
            self.folders.remove(folder)
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except OSError:
                    time.sleep(0.02)


def _parents() -> list[Path]:
    """Where groups of ours may be made: beside our own (version 2) or in it (version 1)."""
    found = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("memory", "pids"):
            found.append(ROOT / controllers / path.lstrip("/"))
        elif not controllers and path != "/":
            found.append((ROOT / path.lstrip("/")).parent)
    return [folder for folder in found if os.access(folder / "cgroup.procs", os.W_OK)]


def _limited(folder: Path, limits: dict[str, int]) -> bool:
    """Write the limits that this kind of group has; False if one cannot be written, or none is."""
    there = [name for name in limits if (folder / name).exists()]
    try:
        for name in there:
            (folder / name).write_text(str(limits[name]))
    except OSError:
        return False
    return bool(there)


def _kills(folder: Path) -> int:
    for name in ("memory.events", "memory.oom_control"):
        if (folder / name).exists():
            return sum(map(int, re.findall(r"oom_kill (\d+)", (folder / name).read_text())))
    return 0


def _remove_left(parent: Path) -> None:
    """Remove the empty groups of graders that were killed."""
    for folder in parent.glob("course-grading-*"):
        maker = folder.name.split("-")[2]
        if maker.isdigit() and not psutil.pid_exists(int(maker)):
            try:
                folder.rmdir()
            except OSError:
                pass
