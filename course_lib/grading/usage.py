"""How much memory a sandbox uses, looked at from outside."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

NAMED = re.compile(r" /(dev/zero|memfd:|SYSV)")  # shared memory that has no file
SOCKET = 3 * 2**18  # bytes that may wait in a socket, as measured on Linux with its usual limits


def memory_below(pid: int, sealed: bool) -> int:
    """Bytes that everything which a process started uses, more or less.

    ``sealed`` says that these have a network namespace of their own, whose sockets are theirs.
    """
    processes = descendants(pid)
    waiting = max(map(_sockets, processes), default=0) * SOCKET if sealed else 0
    return sum(map(_memory_of, processes)) + _shared_memory(processes) + waiting


def descendants(pid: int) -> list[psutil.Process]:
    """Every process that a process started, and those that these started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _memory_of(process: psutil.Process) -> int:
    """Bytes that a process uses, its part of what it shares with others included (Linux)."""
    try:
        full = process.memory_full_info()
        return getattr(full, "pss", full.uss)  # macOS and Windows count what is not shared only
    except (psutil.AccessDenied, AttributeError):
        try:
            return process.memory_info().rss
        except psutil.Error:
            return 0
    except psutil.Error:
        return 0


def _shared_memory(processes: list[psutil.Process]) -> int:
    """Bytes of shared memory without a file, used or not: it need not be mapped to be in use."""
    sizes: dict[str, int] = {}
    for process in processes:
        here: dict[str, int] = {}
        try:
            with open(f"/proc/{process.pid}/maps") as file:  # maybe long: line by line
                for line in filter(NAMED.search, file):
                    place, _, _, _, number, *_ = line.split()
                    begin, end = (int(part, 16) for part in place.split("-"))
                    here[number] = here.get(number, 0) + end - begin
        except OSError:  # it ended, or this is no Linux
            continue
        sizes |= {number: max(size, sizes.get(number, 0)) for number, size in here.items()}
    return sum(sizes.values())


def _sockets(process: psutil.Process) -> int:
    """How many sockets there are in a process's network namespace (Linux)."""
    try:
        text = Path(f"/proc/{process.pid}/net/sockstat").read_text()
    except OSError:
        return 0
    return int(text.split("used", 1)[1].split(maxsplit=1)[0])
