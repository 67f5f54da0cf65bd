"""Running checks: call, compare, and name the mistake that explains a wrong answer.

A mistake is named only if it explains the answers to *all* cases of a part; otherwise the student
gets the rule and the first number that differs, never a cause that may be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from course_lib.checks.calling import STUB, Student
from course_lib.checks.exercise import Case, Exercise, Outcome, Part
from course_lib.checks.reading import NAMING, Mark, same_mark
from course_lib.checks.results import CheckResult, NotAttempted, PartResult

ONLY_REFUSES = (
    "Refusing bad input counts when good input is answered: a function that raises an error for "
    "everything would do as much."
)


@dataclass(frozen=True)
class Look:
    """A part after its cases were run: the results, and the place and text of the first problem."""

    part: Part
    outcomes: tuple[Outcome, ...]
    problems: tuple[str, ...]
    answered: bool

    @property
    def first(self) -> int | None:
        return next((i for i, problem in enumerate(self.problems) if problem), None)

    def plain_message(self) -> str:
        """The rule, what is special about the input, and what differs there."""
        case, problem = self.part.cases[self.first], self.problems[self.first]
        if case.draw.refused or self.outcomes[self.first].message:
            return problem
        hint = self.part.hint if "must have shape" in problem else ""
        said = [self.part.rule, case.draw.note, f"In your answer {problem}", hint]
        return " ".join(text for text in said if text)


def look_at(part: Part, student: Student) -> Look:
    """Run every case of a part. Raises :class:`NotAttempted` for a stub."""
    before = student.answers
    outcomes = tuple(case.outcome(student) for case in part.cases)
    pairs = list(zip(part.cases, outcomes, strict=True))
    problems = tuple(case.problem(outcome) for case, outcome in pairs)
    student.stopped |= any(outcome.raised and not case.draw.refused for case, outcome in pairs)
    return Look(part, outcomes, problems, student.answers > before)


def explanations(look: Look) -> list[str]:
    """The messages of the mistakes that explain a part, those that fit to the last digit first.

    Cases that have to be answered and cases that have to be refused are explained apart: whoever
    forgets a refusal may still turn a sign round.
    """
    if look.first is None:
        return []
    refused = look.part.cases[look.first].draw.refused
    seen = [
        (case, outcome.mark, case.right.mark, bool(problem))
        for case, outcome, problem in zip(
            look.part.cases, look.outcomes, look.problems, strict=True
        )
        if case.draw.refused == refused
    ]
    found = [
        message
        for exact in (True, False)
        for number, message in enumerate(look.part.messages)
        if _explains(number, seen, exact)
    ]
    return list(dict.fromkeys(found))


def _explains(number: int, seen: list[tuple[Case, Mark, Mark, bool]], exact: bool) -> bool:
    bites = False
    for case, mine, right, wrong in seen:
        theirs = case.marks[number]
        near = case.draw.tolerance if exact else NAMING
        if not wrong and theirs is None:
            continue  # both are right here, and may round differently
        if exact and wrong != (theirs is not None):
            return False
        if not same_mark(mine, theirs or right, near):
            return False
        bites |= wrong and theirs is not None and (exact or not same_mark(mine, right))
    return bites


def told(looks: Sequence[Look]) -> list[PartResult]:
    """The results of some parts, each with the message that explains it.

    Of several mistakes that explain a part, the one that explains most parts is named.
    """
    found = [explanations(look) for look in looks]
    votes = Counter(message for messages in found for message in messages)
    results = []
    for look, messages in zip(looks, found, strict=True):
        part = look.part
        if look.first is None:
            results.append(PartResult(part.name, part.points, part.points, "", look.answered))
        else:
            best = max(messages, key=votes.__getitem__, default=None)
            results.append(PartResult(part.name, 0, part.points, best or look.plain_message()))
    return results


def without_mere_refusals(results: Sequence[PartResult]) -> list[PartResult]:
    """Take the points back where no part holds in which the function returned something."""
    if any(result.earned and result.answered for result in results):
        return list(results)
    return [replace(r, earned=0, message=r.message or ONLY_REFUSES) for r in results]


def run_checks(
    exercise: Exercise,
    student: Callable[..., Any] | Student,
    parts: Sequence[Part] | None = None,
) -> CheckResult:
    """Run the parts of one exercise on a student's function. Never raises for its mistakes.

    Parameters
    ----------
    exercise : the exercise; its visible parts are run unless ``parts`` is given
    student : the function under test, or a :class:`Student` that calls it elsewhere
    parts : held-out parts of the same shape, to run instead of the visible ones
    """
    if not callable(student):
        message = f"check needs the function itself, without a call: {exercise.function}"
        return without_points(exercise, message, "error")
    guarded = student if isinstance(student, Student) else Student(student)
    held_out = exercise.held_out_points if parts is None else 0
    try:
        looks = [look_at(p, guarded) for p in (exercise.parts if parts is None else parts)]
    except NotAttempted:
        return without_points(exercise, STUB, "not attempted", parts)
    results = without_mere_refusals(told(looks))
    wrong = any(result.earned < result.points for result in results)
    status = "error" if guarded.stopped else "wrong" if wrong else "ok"
    return CheckResult(exercise.id, exercise.title, status, tuple(results), held_out)


def without_points(
    exercise: Exercise, message: str, status: str, parts: Sequence[Part] | None = None
) -> CheckResult:
    """The result where nothing could be checked, for the reason given; ``parts`` as above."""
    held_out, run = (exercise.held_out_points, exercise.parts) if parts is None else (0, parts)
    results = tuple(PartResult(part.name, 0, part.points, message) for part in run)
    return CheckResult(exercise.id, exercise.title, status, results, held_out)
