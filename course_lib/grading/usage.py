"""How much memory a sandbox uses, looked at from outside."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import psutil

NAMED = re.compile(rb" /(dev/zero|memfd:|SYSV)")  # shared memory that has no file
LISTED = 16  # bytes that the kernel keeps for a mapping, for each that it takes to list it
SOCKET = 3 * 2**18  # bytes that may wait in a socket, as measured on Linux with its usual limits
FILE = 2**10  # bytes of the kernel for a file, even if it is empty


def memory_below(pid: int, sealed: bool, most: float = math.inf) -> int:
    """Bytes that everything which a process started uses, more or less; or some above ``most``.

    ``sealed`` says that these have a network namespace and temporary folders of their own, whose
    sockets and files are theirs.
    """
    processes, shared, used = descendants(pid), {}, 0
    if sealed:
        used += max(map(_sockets, processes), default=0) * SOCKET + sum(map(_files, processes[-1:]))
    for process in processes:
        used += _memory_of(process) + _mappings(process, shared)
        if used + sum(shared.values()) > most:  # the rest might take long to list
            break
    return used + sum(shared.values())


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


def _mappings(process: psutil.Process, shared: dict[bytes, int]) -> int:
    """Bytes that the list of mappings itself costs (Linux).

    ``shared`` receives the sizes of shared memory without a file by its number, used or not: it
    need not be mapped to be in use.
    """
    cost, here = 0, {}
    try:
        with open(f"/proc/{process.pid}/maps", "rb") as file:  # maybe long: line by line
            for line in file:
                cost += LISTED * len(line)
                if NAMED.search(line):
                    place, _, _, _, number, *_ = line.split()
                    begin, end = (int(part, 16) for part in place.split(b"-"))
                    here[number] = here.get(number, 0) + end - begin
    except OSError:  # it ended, or this is no Linux
        pass
    shared |= {number: max(size, shared.get(number, 0)) for number, size in here.items()}
    return cost


def _files(process: psutil.Process) -> int:
    """Bytes that files cost which a process may have made, whatever they hold (Linux)."""
    try:
        found = [os.statvfs(f"/proc/{process.pid}/root{folder}") for folder in ("/tmp", "/dev/shm")]
    except OSError:
        return 0
    return sum(state.f_files - state.f_ffree for state in found) * FILE


def _sockets(process: psutil.Process) -> int:
    """How many sockets there are in a process's network namespace (Linux)."""
    try:
        text = Path(f"/proc/{process.pid}/net/sockstat").read_text()
    except OSError:
        return 0
    return int(text.split("used", 1)[1].split(maxsplit=1)[0])
