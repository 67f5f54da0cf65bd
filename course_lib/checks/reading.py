"""Answers as plain numbers: how a student's answer is read, compared, and told from others.

Nothing that a student returned is ever compared as it is. An answer becomes floats, float64 arrays,
text, None, and tuples, lists and dicts of these; so an object that claims to equal everything, a
tensor subclass or a nan gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import torch

from course_lib.checks.results import Wrong

NAMING = 1e-4  # relative: a mistake is recognised although it was computed in float32
Plain = float | str | None | np.ndarray | tuple | list | dict


def plain(value: Any) -> Plain:
    """An answer of our own in plain form: lists of numbers and tensors become float64 arrays."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list) and not all(isinstance(x, (int, float, np.number)) for x in value):
        return [plain(item) for item in value]
    array = _numbers(value, "the result")
    return array if isinstance(value, list) or array.ndim else float(array)


def read(answer: Any, like: Plain, what: str = "the result") -> Plain:
    """A student's answer in the form of the right one; sizes are compared later.

    Parameters
    ----------
    answer : anything
    like : the right answer as :func:`plain` gives it; only its kind matters here
    what : the name of the answer in messages

    Raises
    ------
    Wrong : the answer cannot be read in this form; the message says what was expected
    """
    if like is None or isinstance(like, str):
        return answer if answer is None or isinstance(answer, str) else _loose(answer, what)
    if answer is None:
        return None
    if isinstance(like, tuple):
        return _read_tuple(answer, like, what)
    if isinstance(like, dict):
        return _read_dict(answer, like)
    if isinstance(like, list):
        if not isinstance(answer, (list, tuple)):
            raise Wrong(f"{what} must be a list; yours is of type {type(answer).__name__}.")
        if like and isinstance(like[0], np.ndarray | float):
            return [read(item, like[0], f"entry {i} of {what}") for i, item in enumerate(answer)]
        return [_loose(item, what) for item in answer]
    value = _numbers(answer, what)
    return float(value) if isinstance(like, float) and value.ndim == 0 else value


def _read_tuple(answer: Any, like: tuple, what: str) -> tuple:
    if not isinstance(answer, (tuple, list)) or len(answer) != len(like):
        size = f" of {len(answer)}" if isinstance(answer, (tuple, list)) else ""
        raise Wrong(f"Return {len(like)} values; yours is a {type(answer).__name__}{size}.")
    names = [f"value {i + 1} of {len(like)}" for i in range(len(like))]
    return tuple(read(*item) for item in zip(answer, like, names, strict=True))


def _read_dict(answer: Any, like: dict) -> dict:
    if not isinstance(answer, Mapping):
        raise Wrong(f"Return a dict; yours is of type {type(answer).__name__}.")
    try:
        table = {str(key): answer[key] for key in list(answer)}
    except Exception as error:
        raise Wrong(f"The dict cannot be read ({type(error).__name__}).") from None
    if set(table) != set(like):
        missing, extra = sorted(set(like) - set(table)), sorted(set(table) - set(like))
        raise Wrong(f"The keys of the dict are wrong: missing {missing}, not expected {extra}.")
    return {key: read(table[key], like[key], f"the value of {key!r}") for key in like}


def _loose(item: Any, what: str) -> Plain:
    """Text, numbers and tuples of them, where the right answer has none of our arrays."""
    if item is None or isinstance(item, str):
        return item
    if isinstance(item, (tuple, list)):
        return tuple(_loose(part, what) for part in item)
    value = _numbers(item, what)
    return value if value.ndim else float(value)


def _numbers(answer: Any, what: str) -> np.ndarray:
    if isinstance(answer, (bool, np.bool_, str, bytes)):
        raise Wrong(f"{what} must be numeric; yours is of type {type(answer).__name__}.")
    try:
        if isinstance(answer, torch.Tensor):
            answer = answer.detach().cpu().double().numpy()
        elif isinstance(answer, (list, tuple)):
            answer = [_row(value, what) for value in answer]
        return np.array(answer, dtype=np.float64)
    except Exception as error:  # whatever a strange object does here is the answer's fault
        raise Wrong(f"{what} is not a plain number or array ({type(error).__name__}).") from None


def _row(value: Any, what: str) -> Any:
    # A list is asked for nothing more: numpy cannot look into tensors that require gradients.
    rows = isinstance(value, (np.ndarray, torch.Tensor)) and value.ndim
    return _numbers(value, what) if rows or isinstance(value, (list, tuple)) else float(value)


# --- comparing -----------------------------------------------------------------------------


def difference(got: Plain, right: Plain, tolerance: float, scale: float = 0.0) -> str:
    """The first place where an answer differs from the right one, in words; "" if none does.

    Numbers may differ by ``tolerance`` times the size of the largest number of the right array (or
    ``scale``, if that is larger: where numbers that cancel leave only their rounding).
    """
    for place, mine, ours in _leaves(got, right):
        if isinstance(mine, np.ndarray | float) and isinstance(ours, np.ndarray | float):
            if text := _numbers_differ(np.asarray(mine), np.asarray(ours), tolerance, scale):
                return f"{place}{text}".strip()
        elif mine is not ours and (type(mine) is not type(ours) or mine != ours):
            return f"{place}it is {_shown(mine)}, and should be {_shown(ours)}.".strip()
    return ""


def _leaves(got: Plain, right: Plain, place: str = "") -> Iterator[tuple[str, Plain, Plain]]:
    if isinstance(right, tuple) and isinstance(got, tuple) and len(got) == len(right):
        for i, (mine, ours) in enumerate(zip(got, right, strict=True)):
            yield from _leaves(mine, ours, f"{place}value {i + 1}: ")
    elif isinstance(right, dict) and isinstance(got, dict):
        for key in right:
            yield from _leaves(got[key], right[key], f"{place}{key}: ")
    elif isinstance(right, list) and isinstance(got, list):
        if len(got) != len(right):
            yield f"{place}its length: ", float(len(got)), float(len(right))
        for i, (mine, ours) in enumerate(zip(got, right, strict=False)):
            yield from _leaves(mine, ours, f"{place}entry {i}: ")
    else:
        yield place, got, right


def _numbers_differ(got: np.ndarray, right: np.ndarray, tolerance: float, scale: float) -> str:
    if got.shape != right.shape:
        return f"it must have shape {_shape(right)}; yours has shape {_shape(got)}."
    if np.isnan(got).any() and not np.isnan(right).any():
        return "it holds nan. Look for 0 / 0, inf - inf, or a nan times a mask of 0."
    finite = np.abs(right[np.isfinite(right)])
    size = max(finite.max(initial=0.0), scale) or 1.0
    with np.errstate(invalid="ignore"):
        near = (np.abs(got - right) <= tolerance * size) | (got == right)
    near |= np.isnan(got) & np.isnan(right)
    if near.all():
        return ""
    first = tuple(np.argwhere(~near)[0])
    where = f"entry {[int(i) for i in first]} is " if got.ndim else "it is "
    if np.isinf(got[first]):
        return f"{where}infinite. A logarithm of 0? Stay in log space (log_softmax)."
    mine, ours = f"{got[first]:.6g}", f"{right[first]:.6g}"
    if mine == ours:
        ours = f"{right[first]:.12g} (off by {got[first] - right[first]:.1g}: was it float32?)"
    return f"{where}{mine}, and should be {ours}."


def _shape(value: np.ndarray) -> str:
    return "[" + ", ".join(str(n) for n in value.shape) + "]"


def _shown(value: Plain) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else repr(value)
    return text if len(text) < 80 else text[:77] + "..."


# --- telling answers apart -----------------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """What is kept of a wrong answer: its kind, and two numbers for each of its arrays.

    The two are sums of the array's numbers with fixed random weights, so two answers with the same
    mark are equal for all practical purposes, and a mark takes no room. ``sizes`` holds the sums of
    the absolute terms, against which rounding is judged; they are not stored.
    """

    kind: str
    sums: tuple[tuple[float, ...], ...] = ()
    sizes: tuple[float, ...] = ()


def mark(value: Plain) -> Mark:
    """The mark of an answer in plain form."""
    kinds: list[str] = []
    numbers: list[np.ndarray] = []
    _walk(value, kinds, numbers)
    finite = [np.where(np.isfinite(array), array, 0.0).ravel() for array in numbers]
    sums = tuple(tuple(map(float, _weights(len(flat)) @ flat)) for flat in finite)
    return Mark(" ".join(kinds), sums, tuple(float(np.abs(flat).sum()) for flat in finite))


def _weights(length: int) -> np.ndarray:
    """Two rows of weights of either sign; a single number is its own mark."""
    if length == 1:
        return np.ones((1, 1))
    rng = np.random.default_rng(length)
    return rng.uniform(0.5, 1.5, size=(2, length)) * rng.choice([-1, 1], size=(2, length))


def _walk(value: Plain, kinds: list[str], numbers: list[np.ndarray]) -> None:
    if isinstance(value, (tuple, list)):
        kinds.append(f"{type(value).__name__}{len(value)}")
        for item in value:
            _walk(item, kinds, numbers)
    elif isinstance(value, dict):
        for key in sorted(value):
            kinds.append(key)
            _walk(value[key], kinds, numbers)
    elif isinstance(value, np.ndarray | float):
        array = np.asarray(value)
        strange = {"nan": np.isnan(array), "inf": array == np.inf, "-inf": array == -np.inf}
        counts = [f" {name}{where.sum()}" for name, where in strange.items() if where.any()]
        kinds.append(_shape(array) + "".join(counts))
        numbers.append(array)
    else:
        text = value.encode(errors="surrogatepass") if isinstance(value, str) else None
        kinds.append("none" if text is None else f"text {crc32(text)}")


def same_mark(mine: Mark, theirs: Mark, tolerance: float = NAMING) -> bool:
    """Whether two marks belong to the same answer; ``mine`` was made here and has its sizes."""
    if mine.kind != theirs.kind:
        return False
    return all(
        math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance * size)
        for ours, stored, size in zip(mine.sums, theirs.sums, mine.sizes, strict=True)
        for a, b in zip(ours, stored, strict=True)
    )
