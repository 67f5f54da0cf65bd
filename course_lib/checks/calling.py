"""Calling a student's function and turning its answer into plain numbers.

Checks never compare objects that a student returned: an answer is converted to floats and
numpy arrays first, and compared after that. So an object that claims to equal everything, a
tensor subclass or a nan gains nothing.
"""

from __future__ import annotations

import linecache
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import torch

from course_lib.checks.results import (
    CheckResult,
    Exercise,
    NotAttempted,
    Part,
    PartResult,
    Wrong,
)

CHANGED = (
    "Your function changed the data it was given. Work on a copy: the caller still "
    "needs the original (x = x + 1 makes a new tensor, x += 1 and x[i] = ... do not)."
)
STUB = "Not attempted yet: the function still raises NotImplementedError."
ONLY_REFUSES = (
    "Refusing bad input counts when good input is answered: a function that raises an error for "
    "everything would do as much."
)


class Student:
    """The student's function as the checks see it: copies in, exceptions named, no side effects.

    Parameters
    ----------
    function : callable taking and returning plain data (tensors, arrays, lists, numbers, text)
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.stopped = False
        self.answers = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = _copy(args), _copy(kwargs)
        try:
            answer = self.function(*given[0], **given[1])
        except NotImplementedError as error:
            if str(error):
                self._stop(error)
            raise NotAttempted from None
        except (Exception, SystemExit) as error:
            self._stop(error)
        if not _unchanged(given, (args, kwargs)):
            raise Wrong(CHANGED)
        self.answers += 1
        return answer

    def refuses(self, kind: type[Exception], *args: Any, why: str, **kwargs: Any) -> None:
        """Demand that the function raises ``kind`` for these arguments; ``why`` explains it."""
        try:
            self.function(*_copy(args), **_copy(kwargs))
        except kind as error:
            if isinstance(error, NotImplementedError):
                raise NotAttempted from None
            return
        except NotImplementedError:
            raise NotAttempted from None
        except (Exception, SystemExit) as error:
            raise Wrong(f"{why} Your function raised {type(error).__name__} instead.") from None
        raise Wrong(f"{why} Your function accepted it and returned something.")

    def _stop(self, error: BaseException) -> None:
        self.stopped = True
        raise Wrong(describe_error(error, self.function)) from None


def describe_error(error: BaseException, function: Callable[..., Any]) -> str:
    """Type, message and line of an exception inside the student's function."""
    where = place_of_error(error, function)
    return f"Your function stopped with {type(error).__name__}: {error}{where}"


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


def run_checks(
    exercise: Exercise,
    student: Callable[..., Any] | Student,
    seed: int = 0,
    parts: tuple[Part, ...] | None = None,
) -> CheckResult:
    """Run the parts of one exercise on a student's function. Never raises for its mistakes.

    Parameters
    ----------
    exercise : the exercise; its visible parts are run unless ``parts`` is given
    student : the function under test, or a :class:`Student` that calls it elsewhere
    seed : every random input follows from this number and the name of the part
    parts : held-out parts of the same shape, to run instead of the visible ones
    """
    held_out = exercise.held_out_points if parts is None else 0
    parts = exercise.parts if parts is None else parts
    if not callable(student):
        message = f"check needs the function itself, without a call: {exercise.function}"
        results = tuple(PartResult(p.name, 0, p.points, message) for p in parts)
        return CheckResult(exercise.id, exercise.title, "error", results, held_out)
    guarded = student if isinstance(student, Student) else Student(student)
    try:
        results = without_mere_refusals([run_part(exercise, part, guarded, seed) for part in parts])
    except NotAttempted:
        return not_attempted(exercise, parts, held_out)
    wrong = any(result.earned < result.points for result in results)
    status = "error" if guarded.stopped else "wrong" if wrong else "ok"
    return CheckResult(exercise.id, exercise.title, status, tuple(results), held_out)


def run_part(exercise: Exercise, part: Part, student: Student, seed: int) -> PartResult:
    """Run one part. Raises :class:`NotAttempted` for a stub; a mistake becomes a message."""
    rng = np.random.default_rng([seed, crc32(f"{exercise.id} {part.name}".encode())])
    before = student.answers
    try:
        part.run(student, rng)
    except Wrong as wrong:
        return PartResult(part.name, 0, part.points, str(wrong))
    return PartResult(part.name, part.points, part.points, answered=student.answers > before)


def without_mere_refusals(results: Sequence[PartResult]) -> list[PartResult]:
    """Take the points back where no part holds in which the function returned something."""
    if any(result.earned and result.answered for result in results):
        return list(results)
    return [replace(r, earned=0, message=r.message or ONLY_REFUSES) for r in results]


def not_attempted(
    exercise: Exercise,
    parts: tuple[Part, ...],
    held_out: int,
    message: str = STUB,
) -> CheckResult:
    """The result for a function that still is the stub, or that is missing."""
    results = tuple(PartResult(part.name, 0, part.points, message) for part in parts)
    return CheckResult(exercise.id, exercise.title, "not attempted", results, held_out)


def as_number(answer: Any, what: str = "the result") -> float:
    """The answer as a finite Python float, or :class:`Wrong` with the reason."""
    value = _array(answer, what)
    if value.size != 1:
        raise Wrong(f"{what} must be one number; yours has shape {_shape(value)}.")
    return float(_finite(value.reshape(()), what))


def as_vector(answer: Any, length: int, what: str = "the result", hint: str = "") -> np.ndarray:
    """The answer as a finite float64 array of ``length`` values, or :class:`Wrong`."""
    value = _array(answer, what)
    if value.shape != (length,):
        raise Wrong(
            f"{what} must have shape [{length}]; yours has shape {_shape(value)}. {hint}".strip()
        )
    return _finite(value, what)


def as_table(answer: Any, keys: set[str], optional: bool = False) -> dict[str, float | None]:
    """The answer as a dict of floats (``None`` allowed if ``optional``), or :class:`Wrong`."""
    if not isinstance(answer, Mapping):
        raise Wrong(f"Return a dict; yours is of type {type(answer).__name__}.")
    try:
        table = {str(key): answer[key] for key in list(answer)}
    except Exception as error:
        raise Wrong(f"The dict cannot be read ({type(error).__name__}).") from None
    if set(table) != keys:
        missing, extra = sorted(keys - set(table)), sorted(set(table) - keys)
        raise Wrong(f"The keys of the dict are wrong: missing {missing}, not expected {extra}.")
    none = {key for key, value in table.items() if optional and value is None}
    return {k: None if k in none else as_number(v, f"the value of {k!r}") for k, v in table.items()}


def compare(
    got: Any,
    expected: Any,
    mistakes: Mapping[str, Any],
    otherwise: str,
    tolerance: float = 1e-4,
) -> None:
    """Raise :class:`Wrong` unless ``got`` equals ``expected``; name the mistake that explains it.

    ``mistakes`` maps a message to the value that this mistake would have produced; a mistake
    that cannot be told from the right answer on this input is passed over.
    """
    if _close(got, expected, tolerance):
        return
    for message, value in mistakes.items():
        if _close(got, value, tolerance) and not _close(expected, value, tolerance):
            raise Wrong(message)
    raise Wrong(otherwise)


def _close(a: Any, b: Any, tolerance: float) -> bool:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance))


def _array(answer: Any, what: str) -> np.ndarray:
    if answer is None:
        raise Wrong(f"{what} is None: does every branch of your function end with return?")
    if isinstance(answer, (bool, np.bool_, str, bytes)):
        raise Wrong(f"{what} must be numeric; yours is of type {type(answer).__name__}.")
    try:
        if isinstance(answer, torch.Tensor):
            answer = answer.detach().cpu().double().numpy()
        elif isinstance(answer, (list, tuple)):
            answer = [float(value) for value in answer]
        return np.array(answer, dtype=np.float64)
    except Exception as error:  # whatever a strange object does here is the answer's fault
        raise Wrong(f"{what} is not a plain number or array ({type(error).__name__}).") from None


def _finite(value: np.ndarray, what: str) -> np.ndarray:
    if np.isnan(value).any():
        raise Wrong(f"{what} holds nan. Look for 0 / 0, inf - inf, or a nan times a mask of 0.")
    if np.isinf(value).any():
        raise Wrong(
            f"{what} is infinite: log of a probability that became 0. "
            "Stay in log space (log_softmax, not log of softmax)."
        )
    return value


def _shape(value: np.ndarray) -> str:
    return "[" + ", ".join(str(n) for n in value.shape) + "]"


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
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
