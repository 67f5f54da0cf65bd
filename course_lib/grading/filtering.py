"""A filter of system calls for a submission: what would get round its limits does not exist there.

Memory that no process maps (memfd, System V, message queues, io_uring), keys, new namespaces with
folders of their own, and kinds of sockets that no network namespace holds back. Everything else is
left alone: the walls are the namespaces, this only keeps the limits whole.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

# The calls by their numbers on (x86_64, aarch64).
REFUSED = {
    "unshare": (272, 97), "setns": (308, 268), "clone3": (435, 435),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "mount_setattr": (442, 442),
    "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
}  # fmt: skip
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, name for the kernel
CLONE, SOCKET, SECCOMP = (56, 220), (41, 198), (317, 277)
NEW_NAMESPACES = 0x7E020000
MOST_FAMILY = 16  # up to netlink; above it vsock, which reaches the host of a virtual machine
OTHER_TABLE = 0x40000000  # the numbers of the x32 calls begin here
LOAD, EQUAL, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # places in what the kernel shows to a filter
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.ENOSYS


class _Line(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8),
                ("value", ctypes.c_uint32)]  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("lines", ctypes.POINTER(_Line))]


def why_not() -> str:
    """Why there is no filter on this machine; "" if there is one."""
    machine = os.uname().machine
    if sys.platform == "linux" and machine in MACHINES:
        return ""
    return f"no filter of system calls is known for {sys.platform} on {machine}"


def column() -> int:
    """Which of the numbers of a call is this machine's."""
    return MACHINES[os.uname().machine][0]


def program(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter as lines (code, lines to skip if so, if not, value)."""
    column, name = MACHINES[machine]
    refused = [numbers[column] for numbers in REFUSED.values()]
    last = len(refused) + 11  # the line that refuses; the one before it allows
    lines = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 0, last - 2, name), (LOAD, 0, 0, NUMBER)]
    for code, value in [(AT_LEAST, OTHER_TABLE), *((EQUAL, number) for number in refused)]:
        lines.append((code, last - len(lines) - 1, 0, value))
    for number, code, value in (
        (CLONE[column], ANY_BIT, NEW_NAMESPACES),
        (SOCKET[column], GREATER, MOST_FAMILY),
    ):
        lines += [(EQUAL, 0, 2, number), (LOAD, 0, 0, FIRST_ARGUMENT)]
        at = len(lines)
        lines.append((code, last - at - 1, last - at - 2, value))
    return [*lines, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]


def install() -> None:
    """Filter the calls of this process, its threads and all that it starts, for good.

    Raises
    ------
    OSError : the kernel does not take the filter
    """
    machine = os.uname().machine
    lines = [_Line(*line) for line in program(machine)]
    wrapped = _Program(len(lines), (_Line * len(lines))(*lines))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(38, 1, 0, 0, 0)  # no new rights: without this only root may set a filter
    status = libc.syscall(SECCOMP[column()], 1, 1, ctypes.byref(wrapped))
    if status:  # for all threads, or for none
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
