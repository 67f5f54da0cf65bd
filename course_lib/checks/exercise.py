"""What a check is made of: an exercise has parts, a part has cases.

Visible parts have their cases as stored numbers (``cases.py``); the grader computes them anew for
every student.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.checks.calling import Stopped
from course_lib.checks.drawing import Draw
from course_lib.checks.reading import Mark, Plain, difference, mark, read
from course_lib.checks.results import Wrong


@dataclass(frozen=True)
class Outcome:
    """What came of a call: a value in plain form, or the names of what it raised, or neither.

    ``message`` is what a student is told about a call that gave nothing to compare.
    """

    value: Plain = None
    raised: tuple[str, ...] = ()
    message: str = ""

    @property
    def mark(self) -> Mark:
        if self.message or self.raised:
            return Mark(f"raised {self.raised[0]}" if self.raised else self.message)
        return mark(self.value)


@dataclass(frozen=True)
class Case:
    """One input of a part.

    Attributes
    ----------
    unit, draw, seed : from which the input is built anew for every call
    right : the right result, or the kind of error to be raised
    marks : the mark of each known mistake's result, or None where it equals the right one
    """

    unit: str
    draw: Draw
    seed: list[int]
    right: Outcome
    marks: Sequence[Mark | None] = ()

    def outcome(self, function: Callable[..., Any]) -> Outcome:
        """What a guarded function gives here. Raises :class:`NotAttempted` for a stub."""
        try:
            answer = self.draw.run(self.unit, self.seed, function)
            return Outcome(read(answer, self.right.value))
        except Stopped as stopped:
            return Outcome(raised=stopped.kinds, message=str(stopped))
        except Wrong as wrong:
            return Outcome(message=str(wrong))

    def problem(self, got: Outcome) -> str:
        """What is wrong with a result, in words that need no known mistake; "" if it is right."""
        if self.draw.refused:
            if self.right.raised[0] in got.raised:
                return ""
            did = f"raised {got.raised[0]} instead" if got.raised else "accepted it"
            return f"{self.draw.note} Your function {did}."
        return got.message or difference(
            got.value, self.right.value, self.draw.tolerance, self.draw.scale
        )


@dataclass(frozen=True)
class Part:
    """One check of an exercise.

    Attributes
    ----------
    name, points : what it is about, and what it is worth
    rule : what has to hold, in a sentence: said where no known mistake explains a wrong answer
    hint : said beside a wrong shape
    cases : the inputs with what is expected of them
    messages : what names each known mistake, in the order of the marks of a case
    """

    name: str
    points: int
    rule: str
    cases: Sequence[Case]
    messages: Sequence[str] = ()
    hint: str = ""


@dataclass(frozen=True)
class Exercise:
    """One graded function. ``points`` counts the visible and the held-out parts together."""

    id: str
    title: str
    function: str
    points: int
    parts: tuple[Part, ...]

    @property
    def visible_points(self) -> int:
        return sum(part.points for part in self.parts)

    @property
    def held_out_points(self) -> int:
        return self.points - self.visible_points
