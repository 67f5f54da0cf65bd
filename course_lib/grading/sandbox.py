"""Start a sandbox, talk to the process in it within limits, and end it.

How it is sealed off stands in ``isolation.py``, what happens inside in ``worker.py``.
"""

from __future__ import annotations

import builtins
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

from course_lib.grading import wire
from course_lib.grading.channel import Channel, Stopped
from course_lib.grading.groups import Groups
from course_lib.grading.isolation import (
    ENVIRONMENT,
    PACKAGE,
    Limits,
    bwrap_command,
    container_command,
    is_covered,
    runtime_paths,
    why_not,
)
from course_lib.grading.usage import descendants, memory_below

START_SECONDS = 120  # torch is slow to import on a busy machine
THREADS_RESERVE = 2**29  # bytes of addresses that threads take without using them
OPEN_FILES = 256
LOST_USER = 61_184  # as root, submissions run as a user of this number or a little above


class SandboxError(BaseException):
    """The sandbox itself does not work: never the student's fault."""


class Sandbox:
    """One sandbox; :meth:`start` begins a submission in it, after which it can be asked.

    Parameters
    ----------
    isolation : "bwrap", "container" or "none"
    preload : modules to import before the first submission, for speed only
    image : for containers, an image with this package installed
    """

    def __init__(
        self,
        isolation: str = "bwrap",
        limits: Limits | None = None,
        preload: tuple[str, ...] = ("torch",),
        image: str = "course-grading",
    ) -> None:
        self.isolation, self.limits, self.preload = isolation, limits or Limits(), preload
        self.image = image
        # Until nested namespaces turn out to be forbidden; and each child gets an empty /tmp, which
        # would cover a course or a Python that lies there.
        self.nursery = isolation == "bwrap" and not any(
            is_covered(path) for path in (*runtime_paths(), str(PACKAGE))
        )
        self.process: subprocess.Popen | None = None
        self.control: socket.socket | None = None
        self.channel: Channel | None = None
        self.groups: Groups | None = None
        self.spent = 0.0

    # --- beginning and ending --------------------------------------------------------------

    def start(self) -> None:
        """A fresh process for a submission, or for the same one again after it was stopped.

        Raises
        ------
        SandboxError : it cannot be had on this machine
        """
        self.stop()
        if self.process is None:
            self._launch()
        if self.nursery:
            ours, theirs = socket.socketpair()
            output, printing = os.pipe()
            self.channel = Channel(ours, output, self.limits.printed)
            socket.send_fds(self.control, [b"n"], [theirs.fileno(), printing])
            theirs.close()
            os.close(printing)
            self._expect(b"n")
        try:
            hello = self.channel.receive(time.monotonic() + START_SECONDS, lambda: None)[0]
        except (Stopped, TimeoutError, wire.Malformed):
            said = self.channel.told.decode(errors="replace")
            raise SandboxError(f"the sandbox did not start: {said}") from None
        if not hello.get("hello"):
            self.close()
            self.nursery = False
            self.start()
        elif why := hello.get("unfiltered"):
            warnings.warn(f"Submissions run without a filter: {why}.", stacklevel=2)

    def _launch(self) -> None:
        if why := why_not(self.isolation):
            raise SandboxError(why)
        root = os.geteuid() == 0
        inside = {"nursery": self.nursery, "preload": self.preload, "uid": None}
        if root and self.isolation == "bwrap":
            inside["uid"] = LOST_USER + os.getpid() % 4096
        inside |= {"limits": self._limits_of_processes(), "disk": self.limits.disk}
        inside["filter"] = self.isolation != "none"
        self.name = f"course-grading-{secrets.token_hex(6)}"
        # -I: no variable and no folder of the caller has a say in what is imported.
        python = [sys.executable, "-I", "-B", "-m", "course_lib.grading.worker", json.dumps(inside)]
        environment, command, folder = {}, python, None
        if self.isolation == "bwrap":
            self.groups = Groups(self.limits.memory, self.limits.processes)
            command = self.groups.command([*bwrap_command(self.limits, root), *python])
            environment = {"PATH": os.environ.get("PATH", "")}
        elif self.isolation == "container":
            command = container_command(self.image, self.name, self.limits)
            command += ["python", *python[1:]]
            environment = dict(os.environ)
        else:
            folder = tempfile.mkdtemp(prefix="course-grading-")
            environment = ENVIRONMENT | {"HOME": folder, "COURSE_HOME": folder}
        ours, theirs = socket.socketpair()
        output, printing = os.pipe()
        try:
            self.process = subprocess.Popen(
                command, stdin=theirs, stdout=printing, stderr=printing, env=environment, cwd=folder
            )
        except OSError as error:
            raise SandboxError(f"{command[0]} cannot be started: {error}") from None
        finally:
            theirs.close()
            os.close(printing)
        self.folder = folder
        if self.nursery:
            self.control, self.log = ours, output
            self._expect(b"+")
        else:
            self.channel = Channel(ours, output, self.limits.printed)

    def _limits_of_processes(self) -> dict[str, int]:
        """Limits that the kernel holds each process to, by their names in ``resource``."""
        most = {"data": self.limits.memory, "nproc": self.limits.processes, "core": 0}
        most |= {"fsize": self.limits.disk, "cpu": int(self.limits.total) + 60}
        if self.isolation != "none":
            # Shared memory is no data, and what waits in sockets is not even mapped.
            most |= {"as": self.limits.memory + THREADS_RESERVE, "nofile": OPEN_FILES}
        return most

    def _expect(self, answer: bytes) -> None:
        """The nursery's answer, or an error with what it said before it died."""
        try:
            self.control.settimeout(START_SECONDS)
            if self.control.recv(1) == answer:
                return
        except OSError:
            pass
        os.set_blocking(self.log, False)
        try:
            said = os.read(self.log, 4000).decode(errors="replace").strip()
        except OSError:
            said = "it does not answer"
        self.close()
        raise SandboxError(f"the sandbox did not start: {said}")

    def stop(self) -> None:
        """End the submission's processes, every one. The nursery stays for the next one."""
        if self.channel is None:
            return
        self.channel.close()
        self.channel = None
        if self.nursery:
            try:
                self.control.settimeout(10)
                self.control.sendall(b"k")
                if self.control.recv(1) == b"k":
                    return
            except OSError:
                pass
        self.close()

    def close(self) -> None:
        """End everything. Killing bubblewrap ends its process namespace with all that is in it."""
        if self.process is not None:
            children = descendants(self.process.pid) if self.isolation == "none" else []
            self.process.kill()
            self.process.wait()
            for child in children:
                child.kill()
            if self.isolation == "container":
                tool = container_command(self.image, self.name, self.limits)[0]
                subprocess.run([tool, "rm", "--force", self.name], capture_output=True)
            if self.folder:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.process = None
        if self.groups is not None:
            self.groups.remove()
            self.groups = None
        if self.channel is not None:
            self.channel.close()
        if self.control is not None:
            self.control.close()
            os.close(self.log)
        self.control = self.channel = None

    # --- asking ----------------------------------------------------------------------------

    def run_cell(self, source: str) -> dict[str, Any] | None:
        """Run one cell; what it raised, or None.

        Raises
        ------
        Stopped : it broke a limit, or the process died
        """
        reply, _ = self._ask({"do": "cell", "source": source}, [], self.limits.cell, {})
        return reply["error"] if isinstance(reply.get("error"), dict) else None

    def look(self, name: str) -> str:
        """Whether a function of this name is "there", "missing" or "no function"."""
        reply, _ = self._ask({"do": "look", "function": name}, [], self.limits.call, {})
        return str(reply.get("do"))

    def call(self, function: str, args: tuple, kwargs: dict[str, Any]) -> tuple[dict, memoryview]:
        """Call a function of the submission with plain data, models and functions of ours.

        Raises
        ------
        Stopped : it broke a limit, or the process died
        """
        data: list[bytes] = []
        ours: dict[int, Callable[..., Any]] = {}

        def handle(value: Any) -> Any:
            if type(value).__module__.startswith("course_lib.") and hasattr(value, "tokenizer"):
                return {"model": value.name}
            if callable(value):
                ours[len(ours)] = value
                return {"call": len(ours) - 1}
            return None

        given = wire.encode((args, kwargs), data, handle)
        message = {"do": "call", "function": function, "given": given}
        return self._ask(message, data, self.limits.call, ours)

    def _ask(
        self, message: dict[str, Any], data: list[bytes], seconds: float, ours: dict[int, Callable]
    ) -> tuple[dict[str, Any], memoryview]:
        if self.channel is None:
            raise SandboxError("the sandbox was not started")
        begun = time.monotonic()
        left = self.limits.total - self.spent
        deadline = begun + min(seconds, left)
        nonce, asked = secrets.token_hex(8), 0
        frame = wire.pack(message | {"nonce": nonce}, data)
        try:
            self.channel.send(frame, deadline)
            while True:
                reply, extra = self.channel.receive(deadline, self._look_at_memory)
                if reply.get("nonce") != nonce:
                    raise Stopped("died", "Something answered that was not asked.")
                if reply.get("do") == "output":
                    raise Stopped("output", "The result is too large.")
                if reply.get("do") != "ask":
                    return reply, extra
                if (asked := asked + len(extra.obj)) > wire.MAX_ASKED:
                    raise Stopped("output", "The functions that were given were asked too much.")
                self.channel.send(_answer(reply, extra, ours), deadline)
        except TimeoutError:
            what = "in all" if left < seconds else "for one call"
            most = self.limits.total if left < seconds else seconds
            message = f"It took longer than the {most:g} seconds allowed {what}."
            raise Stopped("time", message) from None
        except wire.Malformed as error:
            raise Stopped(error.status, f"The answer cannot be read ({error}).") from None
        except Stopped as stopped:
            if stopped.status == "died" and self.groups is not None and self.groups.ran_out():
                raise self._out_of_memory() from None
            raise
        finally:
            self.spent += time.monotonic() - begun

    def _look_at_memory(self) -> None:
        most, sealed = self.limits.memory, self.isolation == "bwrap"
        if memory_below(self.process.pid, sealed, most) > most:
            raise self._out_of_memory()

    def _out_of_memory(self) -> Stopped:
        most = f"{self.limits.memory / 2**30:g} GiB"
        return Stopped("memory", f"More than {most} of memory were used.")


def _answer(reply: dict[str, Any], extra: memoryview, ours: dict[int, Callable]) -> bytes:
    """Call the function of ours that was asked for, with data; its errors travel as text."""
    data: list[bytes] = []
    nonce = reply["nonce"]
    which = reply.get("which")
    if type(which) is not int or which not in ours:
        raise wire.Malformed("no such function")
    given = wire.decode(reply.get("given"), extra)
    try:
        args, kwargs = given
        value = ours[which](*args, **{str(k): v for k, v in kwargs.items()})
        return wire.pack({"nonce": nonce, "value": wire.encode(value, data)}, data)
    except Exception as error:
        name = next(c.__name__ for c in type(error).__mro__ if hasattr(builtins, c.__name__))
        return wire.pack({"nonce": nonce, "error": str(error)[:1000], "kind": name})
