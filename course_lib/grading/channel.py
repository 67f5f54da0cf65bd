"""The grader's end of the line to a sandbox: frames both ways, and what is printed there."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

from course_lib.grading import wire

TICK = 0.2  # seconds between two looks at the memory
DIED = "The process that ran your code ended."


class Stopped(BaseException):
    """The submission was stopped, and why. Not an ``Exception``: no check may swallow it."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Channel:
    """A socket that carries frames, and the pipe that takes what is printed, drained meanwhile."""

    def __init__(self, line: socket.socket, output: int, may_print: int) -> None:
        self.line, self.output, self.may_print = line, output, may_print
        self.frame, self.printed, self.told = bytearray(), 0, b""

    def close(self) -> None:
        self.line.close()
        os.close(self.output)

    def send(self, frame: bytes, deadline: float) -> None:
        """Send one frame of :func:`wire.pack`.

        Raises
        ------
        Stopped : nobody is there any more
        TimeoutError : it was not taken in time
        """
        self.line.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            self.line.sendall(frame)
        except TimeoutError:
            raise
        except OSError:
            raise Stopped("died", DIED) from None

    def receive(
        self, deadline: float, look: Callable[[], None]
    ) -> tuple[dict[str, Any], memoryview]:
        """The next frame. ``look`` is called from time to time and may stop the waiting.

        Raises
        ------
        Stopped : nobody is there any more, or too much is printed
        TimeoutError : nothing came in time
        """
        next_look = time.monotonic() + TICK
        with selectors.DefaultSelector() as selector:
            selector.register(self.line, selectors.EVENT_READ)
            selector.register(self.output, selectors.EVENT_READ)
            while not (found := wire.unpack(self.frame)):
                now = time.monotonic()
                if now > deadline:
                    raise TimeoutError
                if now > next_look:
                    look()
                    next_look = time.monotonic() + TICK
                for key, _ in selector.select(TICK):
                    if key.fileobj is self.line:
                        self._take()
                    elif not self._drain():
                        selector.unregister(self.output)
        return found

    def _take(self) -> None:
        try:
            piece = self.line.recv(2**20)
        except OSError:
            piece = b""
        if not piece:
            raise Stopped("died", DIED)
        self.frame += piece

    def _drain(self) -> bool:
        piece = os.read(self.output, 2**16)
        self.printed += len(piece)
        self.told = (self.told + piece)[-4000:]
        if self.printed > self.may_print:
            raise Stopped("output", f"More than {self.may_print / 2**20:g} MiB were printed.")
        return bool(piece)
