"""Every named wrong answer is rejected with its cause; right answers get full marks."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from course_lib.checks import UNITS, exercises
from course_lib.checks.calling import run_checks
from course_lib.checks.runner import code_cells

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path, name: str = ""):
    spec = importlib.util.spec_from_file_location(f"mutation_{name or path.stem}", path)
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Unit:
    """The exercises of a unit with everything that is tried on them."""

    exercises: dict
    mutants: list
    other: dict
    held_out: dict
    solution: Path


def unit(number: str) -> Unit:
    answers = load(Path(__file__).with_name(f"unit{number}.py")).ANSWERS
    (folder,) = (ROOT / "solutions").glob(f"{number}_*")
    hidden = load(folder / "hidden_checks.py", f"held_out_{number}")
    solution = folder / f"{folder.name}.ipynb"
    return Unit(exercises(number), answers.mutants, answers.others, hidden.HELD_OUT, solution)


ALL = {number: unit(number) for number in UNITS}
IDS = [id for unit in ALL.values() for id in sorted(unit.exercises)]
MUTANTS = [mutant for unit in ALL.values() for mutant in unit.mutants]
# Wrong in what is visible too; here the held-out checks have to say so as well.
SEEN_TWICE = {("01.4", "micro")}


def of(id: str) -> Unit:
    return ALL[id.split(".")[0]]


@cache
def reference(number: str) -> dict:
    """The functions of a solution notebook, by name."""
    names: dict = {}
    for source in code_cells(ALL[number].solution):
        if "predict(" not in source:
            exec(source, names)
    return names


def both(id: str, function, seed: int = 0):
    exercise = of(id).exercises[id]
    return {
        "visible": run_checks(exercise, function, seed),
        "held-out": run_checks(exercise, function, seed, of(id).held_out[id]),
    }


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.exercise}-{m.name}-{m.where}")
def test_mutant_is_rejected_with_its_cause(mutant):
    results = both(mutant.exercise, mutant.function)
    rejected = results[mutant.where]
    assert not rejected.ok and rejected.earned < rejected.points
    assert mutant.phrase in rejected.message, rejected.message
    if mutant.where == "held-out" and (mutant.exercise, mutant.name) not in SEEN_TWICE:
        assert results["visible"].ok, "say visible: the student can be told at once"


@pytest.mark.parametrize("id", IDS)
def test_at_least_four_mutants_are_named_at_once(id):
    seen = [m.name for m in MUTANTS if m.exercise == id and m.where == "visible"]
    assert len(seen) >= 4
    assert max(Counter(seen).values()) == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("id", IDS)
def test_right_answers_get_full_marks(id, seed):
    exercise, solution = of(id).exercises[id], reference(id.split(".")[0])
    for function in (solution[exercise.function], *of(id).other[id]):
        results = both(id, function, seed)
        assert all(r.ok for r in results.values()), [r.message for r in results.values()]
        assert sum(r.earned for r in results.values()) == exercise.points


@pytest.mark.parametrize("id", IDS)
def test_points_of_visible_and_held_out_parts_add_up(id):
    exercise, held_out = of(id).exercises[id], sum(part.points for part in of(id).held_out[id])
    assert exercise.held_out_points == held_out > 0
    assert exercise.visible_points > held_out


@pytest.mark.parametrize("id", IDS)
def test_a_function_that_refuses_everything_earns_nothing(id):
    def refuse(*given, **named):
        raise ValueError("no")

    for result in both(id, refuse).values():
        assert result.earned == 0 and not result.ok
