"""The collection into which the files of this folder write right and wrong answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mutant:
    """A wrong answer, the checks that must reject it, and a phrase their message must contain."""

    exercise: str
    name: str
    where: str  # "visible" or "held-out"
    phrase: str
    function: Callable


@dataclass
class Answers:
    """`others[id]` are right answers in another style, `mutants` the wrong ones; by decorator."""

    others: dict[str, list[Callable]] = field(default_factory=dict)
    mutants: list[Mutant] = field(default_factory=list)

    def other(self, exercise: str) -> Callable:
        def keep(function: Callable) -> Callable:
            self.others.setdefault(exercise, []).append(function)
            return function

        return keep

    def mutant(self, exercise: str, phrase: str, where: str = "visible") -> Callable:
        def keep(function: Callable) -> Callable:
            self.mutants.append(Mutant(exercise, function.__name__, where, phrase, function))
            return function

        return keep
