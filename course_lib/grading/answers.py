"""The instructor's side of an exercise: the right answer, known mistakes, and what is drawn.

A file ``solutions/NN_NAME/answers/exNN_M.py`` makes one :class:`Answers` named ``ANSWERS``. From it
follow the stored cases of the visible checks (``make exercises``), the checks of the grader with
inputs of each student's own, and the tests that every mistake is told by its own message. Students
never receive these files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from course_lib.checks.calling import Stopped, Student
from course_lib.checks.drawing import Draw, seed_of
from course_lib.checks.exercise import Case, Exercise, Outcome, Part
from course_lib.checks.reading import Mark, plain

VISIBLE_SEED = 0
ATTEMPTS = 50  # draws until all right answers agree on one


class BadDraw(RuntimeError):
    """Right answers disagree on every input that was drawn: the draw or an answer is at fault."""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer under the message that names it.

    ``held_out`` says that only the grader's inputs show it.
    """

    message: str
    function: Callable[..., Any]
    held_out: bool = False


@dataclass(frozen=True)
class Planned:
    """A part before anything is drawn."""

    name: str
    points: int
    draws: tuple[Draw, ...]
    rule: str
    hint: str
    held_out: bool


class LiveMarks(Sequence[Mark | None]):
    """The marks of the mistakes on one input, computed when a wrong answer asks for them."""

    def __init__(self, case: Case, mistakes: Sequence[Mistake]) -> None:
        self.case, self.mistakes = case, mistakes
        self.known: dict[int, Mark | None] = {}

    def __getitem__(self, number: int) -> Mark | None:
        if number not in self.known:
            got = self.case.outcome(Student(self.mistakes[number].function))
            self.known[number] = got.mark if self.case.problem(got) else None
        return self.known[number]

    def __len__(self) -> int:
        return len(self.mistakes)


class Answers:
    """Everything that is known about the answers to one exercise.

    Parameters
    ----------
    id : for example "04.1"
    title : as the student sees it beside the points
    """

    def __init__(self, id: str, title: str) -> None:
        self.id, self.title, self.unit = id, title, id.split(".")[0]
        self.others: list[Callable[..., Any]] = []
        self.mistakes: list[Mistake] = []
        self.witnesses: list[tuple[str, Callable[..., Any]]] = []
        self.planned: list[Planned] = []

    # --- what an answers file says ---------------------------------------------------------

    def right(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: the right answer, under the name that students define."""
        self.reference = function
        return function

    def other(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: a right answer in another style; every input must give it full marks."""
        self.others.append(function)
        return function

    def mistake(self, message: str, *functions: Callable[..., Any], held_out: bool = False) -> Any:
        """Wrong answers under the message that names them; without functions, a decorator."""
        if not functions:
            return lambda given: self.mistake(message, given, held_out=held_out) or given
        self.mistakes += [Mistake(message, function, held_out) for function in functions]

    def mistakes_of(
        self, functions: Mapping[str, Callable[..., Any]], held_out: bool = False
    ) -> None:
        """Wrong answers by message."""
        for message, function in functions.items():
            self.mistake(message, function, held_out=held_out)

    def variants(
        self,
        function: Callable[..., Any],
        options: Mapping[str, Any] | None = None,
        held_out: bool = False,
        **changes: Mapping[str, Any],
    ) -> None:
        """Mistakes that are one function with other options, by message.

        ``options`` has a table of options for each message; each of ``changes`` belongs to the
        option of its name and has its value: ``variants(f, sign={"Turned round.": -1})``. Where a
        message names several mistakes, it has a tuple of tables or values.
        """
        for name, values in ({"": options or {}} | changes).items():
            for message, several in values.items():
                for one in several if isinstance(several, tuple) else (several,):
                    changed = {name: one} if name else one
                    self.mistake(message, partial(function, **changed), held_out=held_out)

    def witness(self, phrase: str) -> Callable[..., Any]:
        """Decorator: a wrong answer written independently, rejected with a message that has this.

        A witness guards against answers that the known mistakes were fitted to.
        """

        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            self.witnesses.append((phrase, function))
            return function

        return keep

    def part(
        self,
        name: str,
        points: int,
        draws: Sequence[Draw],
        rule: str,
        hint: str = "",
        held_out: bool = False,
    ) -> None:
        """A part of the checks: inputs, and the rule that holds for them in a sentence."""
        self.planned.append(Planned(name, points, tuple(draws), rule, hint, held_out))

    # --- what follows from it --------------------------------------------------------------

    @property
    def points(self) -> int:
        return sum(part.points for part in self.planned)

    def exercise(self, seed: int = VISIBLE_SEED) -> Exercise:
        """The exercise with its visible parts, drawn from a seed."""
        parts = self.parts(seed, held_out=False)
        return Exercise(self.id, self.title, self.reference.__name__, self.points, parts)

    def parts(self, seed: int, held_out: bool) -> tuple[Part, ...]:
        """The visible or the held-out parts, drawn from a seed.

        Raises
        ------
        BadDraw : two right answers disagree wherever we look
        """
        return tuple(
            Part(
                planned.name,
                planned.points,
                planned.rule,
                tuple(self._case(planned, number, seed) for number in range(len(planned.draws))),
                [mistake.message for mistake in self.mistakes],
                planned.hint,
            )
            for planned in self.planned
            if planned.held_out == held_out
        )

    def _case(self, planned: Planned, number: int, seed: int) -> Case:
        draw = planned.draws[number]
        for attempt in range(ATTEMPTS):
            place = seed_of(seed, self.id, planned.name, number, attempt)
            case = Case(self.unit, draw, place, self._right(draw, place))
            # Near a tie two right answers may round to different sides: draw again there.
            if not any(case.problem(case.outcome(Student(other))) for other in self.others):
                return replace(case, marks=LiveMarks(case, self.mistakes))
        raise BadDraw(f"{self.id}, {planned.name!r}: right answers disagree on {draw}")

    def _right(self, draw: Draw, seed: list[int]) -> Outcome:
        try:
            value = plain(draw.run(self.unit, seed, Student(self.reference)))
        except Stopped as stopped:
            if not draw.refused:
                raise
            return Outcome(raised=stopped.kinds)
        if draw.refused:
            raise BadDraw(f"{self.id}: the right answer accepts {draw}")
        return Outcome(value)


def load_answers(sources: Mapping[str, str]) -> dict[str, Answers]:
    """The answers of a unit by exercise, from the texts of its files by name, in order of ids."""
    found = {}
    for name, source in sources.items():
        module = ModuleType(Path(name).stem)
        exec(compile(source, name, "exec"), module.__dict__)
        found[module.ANSWERS.id] = module.ANSWERS
    return dict(sorted(found.items()))


def read_answers(folder: Path) -> dict[str, str]:
    """The texts of the answers files in ``folder``, by name."""
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("ex*.py"))}
