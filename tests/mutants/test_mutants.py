"""Every named wrong answer is rejected with its cause; right answers get full marks."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

from course_lib.checks import exercises
from course_lib.checks.calling import run_checks

ROOT = Path(__file__).resolve().parents[2]


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"mutation_{path.stem}", path)
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


MUTANTS = load(Path(__file__).with_name("unit01.py"))
HELD_OUT = load(ROOT / "solutions" / "01_behaviour" / "hidden_checks.py").HELD_OUT
UNIT = exercises("01")


@pytest.fixture(scope="module")
def reference() -> dict:
    """The functions of the solution notebook, by name."""
    from course_lib.checks.runner import code_cells

    names: dict = {}
    for source in code_cells(ROOT / "solutions" / "01_behaviour" / "01_behaviour.ipynb"):
        if "predict(" not in source:
            exec(source, names)
    return names


def both(exercise_id: str, function, seed: int = 0):
    exercise = UNIT[exercise_id]
    return {
        "visible": run_checks(exercise, function, seed),
        "held-out": run_checks(exercise, function, seed, HELD_OUT[exercise_id]),
    }


@pytest.mark.parametrize(
    "mutant", MUTANTS.MUTANTS, ids=lambda m: f"{m.exercise}-{m.name}-{m.where}"
)
def test_mutant_is_rejected_with_its_cause(mutant):
    results = both(mutant.exercise, mutant.function)
    rejected = results[mutant.where]
    assert not rejected.ok and rejected.earned < rejected.points
    assert mutant.phrase in rejected.message, rejected.message
    if mutant.where == "held-out" and mutant.name != "micro":
        assert results["visible"].ok, "say visible: the student can be told at once"


@pytest.mark.parametrize("id", sorted(UNIT))
def test_at_least_four_mutants_are_named_at_once(id):
    seen = [m.name for m in MUTANTS.MUTANTS if m.exercise == id and m.where == "visible"]
    assert len(seen) >= 4
    assert max(Counter(seen).values()) == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("id", sorted(UNIT))
def test_right_answers_get_full_marks(id, seed, reference):
    for function in (reference[UNIT[id].function], *MUTANTS.OTHER[id]):
        results = both(id, function, seed)
        assert all(r.ok for r in results.values()), [r.message for r in results.values()]
        assert sum(r.earned for r in results.values()) == UNIT[id].points


@pytest.mark.parametrize("id", sorted(UNIT))
def test_points_of_visible_and_held_out_parts_add_up(id):
    held_out = sum(part.points for part in HELD_OUT[id])
    assert UNIT[id].held_out_points == held_out > 0
    assert UNIT[id].visible_points > held_out
