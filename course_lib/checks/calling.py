"""Calling a student's function: copies in, exceptions named, changed data noticed."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from course_lib.checks.places import place_of_error, raised_by_stub
from course_lib.checks.results import NotAttempted, Wrong

CHANGED = (
    "Your function changed the data it was given. Work on a copy: the caller still "
    "needs the original (x = x + 1 makes a new tensor, x += 1 and x[i] = ... do not)."
)
STUB = "Not attempted yet: the function still raises NotImplementedError."


class Stopped(Wrong):
    """The student's function raised an exception; ``kinds`` names its built-in types, own first."""

    def __init__(self, message: str, error: BaseException) -> None:
        super().__init__(message)
        bases = type(error).__mro__
        self.kinds = tuple(c.__name__ for c in bases if getattr(builtins, c.__name__, None) is c)


class Student:
    """The student's function as the checks see it.

    Parameters
    ----------
    function : callable taking and returning plain data (tensors, arrays, lists, numbers, text)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.stopped = False
        self.answers = 0

    def __call__(self, *args: Any) -> Any:
        """The answer for a copy of these arguments.

        Raises
        ------
        NotAttempted : the function still is the stub
        Stopped : it raised something else
        Wrong : it changed what it was given
        """
        given = _copy(args)
        try:
            answer = self.function(*given)
        except (Exception, SystemExit) as error:
            if raised_by_stub(error, self.function):
                raise NotAttempted from None
            raise Stopped(describe_error(error, self.function), error) from None
        if not _unchanged(given, args):
            raise Wrong(CHANGED)
        self.answers += 1
        return answer


def describe_error(error: BaseException, function: Callable[..., Any]) -> str:
    """Type, message and line of an exception inside the student's function."""
    where = place_of_error(error, function)
    return f"Your function stopped with {type(error).__name__}: {error}{where}"


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        # A fresh leaf with the same strides, so that what is not contiguous stays so.
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple)):
        return type(value)(_copy(v) for v in value)
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return value


def _unchanged(given: Any, original: Any) -> bool:
    try:
        return _same(given, original)
    except Exception:  # something of another kind now stands there
        return False


def _same(a: Any, b: Any) -> bool:
    """Equality of the given data with its original; both sides were made by the checks."""
    if isinstance(a, torch.Tensor):
        return a.shape == b.shape and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=True))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    return a == b or (isinstance(a, float) and math.isnan(a))
