"""The answers of all units, loaded once for the tests that try them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from course_lib.checks import UNITS
from course_lib.grading.answers import Answers, load_answers, read_answers

ROOT = Path(__file__).resolve().parent.parent


@cache
def answers_of(unit: str) -> dict[str, Answers]:
    """The answers of a unit by exercise."""
    (folder,) = ROOT.glob(f"solutions/{unit}_*/answers")
    return load_answers(read_answers(folder))


def all_answers() -> dict[str, Answers]:
    """The answers to every exercise of the course, by id."""
    return {id: answers for unit in UNITS for id, answers in answers_of(unit).items()}
