"""Where in a student's code an exception arose. Also used where no other check can be seen."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any


def place_of_error(error: BaseException, function: Callable[..., Any]) -> str:
    """The line of the student's code that raised, with a leading blank; "" if it is unknown."""
    code = getattr(function, "__code__", None)
    where, trace = "", error.__traceback__
    while trace is not None:
        frame = trace.tb_frame.f_code
        if code is not None and frame.co_filename == code.co_filename:
            line = linecache.getline(frame.co_filename, trace.tb_lineno).strip()
            number = trace.tb_lineno - frame.co_firstlineno + 1
            where = f" in line {number} of {frame.co_name}" + (f": {line}" if line else "")
        trace = trace.tb_next
    return where


def _stub() -> None:
    raise NotImplementedError()


def may_be_stub(function: Callable[..., Any]) -> bool:
    """Whether a function does nothing but raise NotImplementedError, as far as can be seen.

    >>> may_be_stub(_stub), may_be_stub(lambda x: x + 1)
    (True, False)
    """
    code = getattr(function, "__code__", None)
    return code is None or code.co_code == _stub.__code__.co_code
