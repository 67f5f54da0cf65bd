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


def raised_by_stub(error: BaseException, function: Callable[..., Any]) -> bool:
    """Whether an error says no more than that a function, as far as can be seen, is the stub.

    >>> raised_by_stub(NotImplementedError(), _stub), raised_by_stub(NotImplementedError(), sum)
    (True, True)
    >>> raised_by_stub(NotImplementedError(), lambda x: x), raised_by_stub(ValueError(), _stub)
    (False, False)
    """
    code = getattr(function, "__code__", _stub.__code__)
    bare = type(error) is NotImplementedError and not error.args
    return bare and code.co_code == _stub.__code__.co_code
