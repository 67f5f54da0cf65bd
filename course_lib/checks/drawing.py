"""The inputs of a check: which builder makes them, with which options, from which seed.

Builders are the functions of ``course_lib/checks/inputs/unitNN.py``: ``build(rng, **options)``
returns the arguments of one call as a tuple (fewer where defaults are to be tried). They hold
small random models and tables, and nothing of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from zlib import crc32

import numpy as np


@dataclass(frozen=True)
class Draw:
    """One input of an exercise, to be built anew from a seed.

    Attributes
    ----------
    builder : name of a function in the unit's module of inputs
    options : its keyword arguments, plain data
    note : what is special about this input; said where no named mistake explains the answer
    tolerance : how far numbers may be off, relative to the largest of the right answer
    scale : a size for numbers that cancel, in place of that of the right answer if it is larger
    observe : name of a function ``observe(call, *arguments)`` beside the builder, which calls the
        answer as often as it likes and returns what is compared; "" compares what one call returns
    refused : the answer has to raise an error here; ``note`` says why
    """

    builder: str
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    tolerance: float = 1e-5
    scale: float = 0.0
    observe: str = ""
    refused: bool = False

    def arguments(self, unit: str, seed: list[int]) -> tuple:
        """The arguments, built anew: callables among them may count or draw as they are used."""
        build = getattr(_inputs(unit), self.builder)
        return build(np.random.default_rng(seed), **self.options)

    def run(self, unit: str, seed: list[int], function: Callable[..., Any]) -> Any:
        """What the function gives on this input, or what the observer saw of it."""
        arguments = self.arguments(unit, seed)
        if not self.observe:
            return function(*arguments)
        return getattr(_inputs(unit), self.observe)(function, *arguments)


def draws(
    builder: str, *options: dict[str, Any] | tuple, note: str = "", tolerance: float = 1e-9, **more
) -> list[Draw]:
    """A draw for each of these options of one builder, alike in all else.

    A tuple stands for the option ``of``, which says what an input is made of: ``(4, 3)`` is
    ``{"of": (4, 3)}``.
    """
    options = [one if isinstance(one, dict) else {"of": one} for one in options]
    return [Draw(builder, one, note, tolerance, **more) for one in options]


def _inputs(unit: str) -> Any:
    return import_module(f"course_lib.checks.inputs.unit{unit}")


def seed_of(seed: int, exercise: str, part: str, number: int, attempt: int = 0) -> list[int]:
    """The seed of one draw: it follows from the student's seed and the place of the draw."""
    return [seed, crc32(f"{exercise} {part}".encode()), number, attempt]
