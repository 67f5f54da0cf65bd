"""The process inside the sandbox: run a student's cells and functions when asked to.

``python -m course_lib.grading.worker '{...}'`` is started by ``sandbox.py`` with a socket as its
standard input. Importing torch takes seconds, so the process may serve as a *nursery*: it
imports once and makes a child for every submission. It never runs a student's code itself. Each
child moves into user, process, mount, IPC and network namespaces of its own, nested in those of
the sandbox, so it can neither name nor reach the nursery, and all that it started ends with it.
Where nested namespaces are forbidden, the child says so and every submission gets a whole
sandbox of its own instead.

Nothing here is trusted by the grader: a student's code shares the process and may answer in our
place. It gains nothing by that, since whoever answers does not know what is right.
"""

from __future__ import annotations

import builtins
import ctypes
import importlib
import json
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any

from course_lib.checks.places import place_of_error, raised_by_stub
from course_lib.grading import filtering, visible, wire
from course_lib.grading.shell import notebook_shell

# user, process, mount, IPC, network
NEW_SPACES = 0x10000000 | 0x20000000 | 0x00020000 | 0x08000000 | 0x40000000
PRIVATE, NO_SETUID_DEVICES = 0x44000, 0x6  # MS_REC | MS_PRIVATE, MS_NOSUID | MS_NODEV
DUMPABLE, ADOPT_ORPHANS = 4, 36


def main() -> None:
    """Read the settings, give up root, import, then serve (or look after the nursery)."""
    settings = json.loads(sys.argv[1])
    control = socket.socket(fileno=os.dup(0))
    control.set_inheritable(False)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)  # nothing that is printed can reach the channel
    if settings["uid"] is not None:  # only root can do this, and only root must
        os.setgroups([])
        os.setresgid(*[settings["uid"]] * 3)
        os.setresuid(*[settings["uid"]] * 3)
    _new_keyring()
    if not os.access(__file__, os.R_OK):
        sys.exit("Every user must be able to read the course: chmod -R o+rX on its folder.")
    visible.hide_the_rest()
    for name in ["IPython.core.interactiveshell", "numpy", *settings["preload"]]:
        try:
            importlib.import_module(name)
        except ImportError:  # the cell that needs it will say so
            pass
    if not settings["nursery"]:
        limit(settings)
        _say_hello(control, settings)
        Serving(control).loop()
    else:
        # The user who runs us cannot look into a process that is not dumpable.
        ctypes.CDLL(None).prctl(DUMPABLE, 0, 0, 0, 0)
        ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)  # so that we can wait for them
        control.sendall(b"+")
        look_after(control, settings)


def look_after(control: socket.socket, settings: dict[str, Any]) -> None:
    """Commands from the grader: ``n`` a new child for these descriptors, ``k`` end it."""
    child = 0
    while True:
        command, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)  # returns when everything in its process namespace is gone
            child = 0
        if not command:
            return
        if command == b"n":
            ready, started = os.pipe()
            child = os.fork()
            if child == 0:
                control.close()
                os.close(ready)
                _be_a_child(descriptors, started, settings)
            os.close(started)
            child = _first_of(ready, child)
            for descriptor in descriptors:
                os.close(descriptor)
        control.sendall(command)


def _first_of(ready: int, starter: int) -> int:
    """The pid of the first process of the new namespace, once the starter has told it."""
    told = os.read(ready, 20)
    os.close(ready)
    os.waitpid(starter, 0)
    return int(told or 0)


def _be_a_child(descriptors: list[int], started: int, settings: dict[str, Any]) -> None:
    try:
        channel = socket.socket(fileno=descriptors[0])
        os.dup2(descriptors[1], 1)
        os.dup2(descriptors[1], 2)
        os.close(descriptors[1])
        try:
            _nested_namespaces()
        except OSError as error:
            channel.sendall(wire.pack({"hello": False, "why": str(error)}))
            os._exit(0)
        first = os.fork()
        if first:
            os.write(started, str(first).encode())
            os._exit(0)
        os.close(started)
        _fresh_folders(settings)
        worker = os.fork()
        if worker == 0:
            _new_keyring()
            limit(settings)
            _drop_capabilities()
            _say_hello(channel, settings)
            Serving(channel).loop()
            os._exit(0)
        channel.close()
        while os.wait()[0] != worker:  # the first process also buries what others left behind
            pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _nested_namespaces() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(DUMPABLE, 1, 0, 0, 0)  # or the files in /proc/self would not be ours
    uid, gid = os.getuid(), os.getgid()
    _must(libc.unshare(NEW_SPACES), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _fresh_folders(settings: dict[str, Any]) -> None:
    """Empty folders of limited size in place of the nursery's, and only our own in /proc."""
    libc = ctypes.CDLL(None, use_errno=True)
    _must(libc.mount(b"none", b"/", None, PRIVATE, None), "mount")
    options = f"size={settings['disk']},nr_inodes=20000,mode=1777".encode()
    for folder in (b"/tmp", b"/dev/shm"):
        _must(libc.mount(b"tmpfs", folder, b"tmpfs", NO_SETUID_DEVICES, options), "mount")
    # Some systems cover parts of /proc, and then a fresh one is refused. The old one shows
    # the processes of the sandbox, none of which can be reached from here.
    libc.mount(b"proc", b"/proc", b"proc", NO_SETUID_DEVICES, None)
    os.makedirs(os.environ["HOME"], exist_ok=True)
    os.chdir(os.environ["HOME"])


def _drop_capabilities() -> None:
    """The first process of a user namespace has every capability in it; the student's has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _must(libc.capset(header, (ctypes.c_uint32 * 6)()), "capset")


def _new_keyring() -> None:
    """Keys of the instructor's session (tickets, passwords), or of another submission, stay out."""
    if not filtering.why_not():
        number = filtering.REFUSED["keyctl"][filtering.column()]
        ctypes.CDLL(None).syscall(number, 1, None, 0, 0, 0)


def _say_hello(channel: socket.socket, settings: dict[str, Any]) -> None:
    """Close the last door, and tell the grader if that cannot be done."""
    why = ""
    if settings["filter"] and not (why := filtering.why_not()):
        try:
            filtering.install()
        except OSError as error:
            why = str(error)
    channel.sendall(wire.pack({"hello": True, "unfiltered": why}))


def _must(status: int, what: str) -> None:
    if status:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def limit(settings: dict[str, Any]) -> None:
    """Limits that hold for this process and for all that it starts."""
    for name, most in settings["limits"].items():
        kind = getattr(resource, f"RLIMIT_{name.upper()}")
        if name == "as":  # what is mapped already are libraries, most of them untouched
            with open("/proc/self/statm") as file:
                most += int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(kind)[1]  # only root could raise what is limited already
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


class Serving:
    """Answer the grader's requests, one at a time, in an IPython shell."""

    def __init__(self, channel: socket.socket) -> None:
        os.makedirs(os.environ["HOME"], exist_ok=True)
        self.shell = notebook_shell()
        self.channel, self.frame = channel, bytearray()

    def loop(self) -> None:
        while request := self.receive():
            message, data = request
            if message["do"] == "look":
                self.send(self.look(message), [])
            else:
                cell = message["do"] == "cell"
                self.send(*(self.run_cell(message) if cell else self.call(message, data)))

    def receive(self) -> tuple[dict[str, Any], memoryview] | None:
        while (found := wire.unpack(self.frame)) is None:
            piece = self.channel.recv(2**20)
            if not piece:
                return None
            self.frame += piece
        return found

    def send(self, message: dict[str, Any], data: list[bytes]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            frame = wire.pack(message, data)
        except wire.Malformed as error:
            frame = wire.pack({"nonce": message["nonce"], "do": "output", "why": str(error)})
        self.channel.sendall(frame)

    def run_cell(self, message: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        done = self.shell.run_cell(message["source"], silent=True)
        error = done.error_before_exec or done.error_in_exec
        told = self.describe(error) if error is not None else None
        return {"nonce": message["nonce"], "do": "done", "error": told}, []

    def look(self, message: dict[str, Any]) -> dict[str, Any]:
        found = self.shell.user_ns.get(message["function"])
        state = "missing" if found is None else "there" if callable(found) else "no function"
        return {"nonce": message["nonce"], "do": state}

    def call(self, message: dict[str, Any], data: Any) -> tuple[dict[str, Any], list[bytes]]:
        nonce, sent = message["nonce"], []
        function = self.shell.user_ns.get(message["function"])

        def resolve(kind: str, content: Any) -> Any:
            return self.resolve(nonce, kind, content)

        try:
            args, kwargs = wire.decode(message["given"], data, resolve)
            before = _picture(args, kwargs)
            answer = function(*args, **kwargs)
        except BaseException as error:
            told = self.describe(error, function)
            return {"nonce": nonce, "do": "error", "error": told}, []
        try:
            changed = _picture(args, kwargs) != before
            value = wire.encode(answer, sent)
        except Exception:  # an object that only pretends to be data
            changed, value = False, {"other": type(answer).__name__}
            sent.clear()
        return {"nonce": nonce, "do": "answer", "value": value, "changed": changed}, sent

    def resolve(self, nonce: str, kind: str, content: Any) -> Any:
        """A model that comes with the course, or a function that lives in the grader."""
        if kind == "model":
            from course_lib import load_model

            return load_model(content)

        def ask(*args: Any, **kwargs: Any) -> Any:
            sent: list[bytes] = []
            given = wire.encode((args, kwargs), sent)
            self.send({"nonce": nonce, "do": "ask", "which": content, "given": given}, sent)
            reply, data = self.receive() or sys.exit()
            if "error" in reply:
                raise getattr(builtins, reply["kind"])(reply["error"])
            return wire.decode(reply["value"], data)

        return ask

    def describe(self, error: BaseException, function: Any = None) -> dict[str, Any]:
        bases = [c.__name__ for c in type(error).__mro__ if getattr(builtins, c.__name__, 0) is c]
        try:
            message = str(error)[:2000]
        except Exception:
            message = ""
        told = {"type": type(error).__name__, "base": bases[0], "message": message}
        where = place_of_error(error, function)[:300] if function is not None else ""
        return told | {"where": where, "stub": raised_by_stub(error, function)}


def _picture(args: Any, kwargs: Any) -> tuple[str, list[bytes]]:
    """What was given, in a form that tells whether it was changed."""
    data: list[bytes] = []
    return json.dumps(wire.encode((args, kwargs), data)), data


if __name__ == "__main__":
    main()
