"""Every known mistake is told by its own message; right answers get full marks on every draw."""

from __future__ import annotations

import json
from functools import cache

import pytest
from stored_cases import cases_of, same

from course_lib.checks import exercises
from course_lib.checks.calling import Student
from course_lib.checks.cases import FOLDER
from course_lib.checks.engine import look_at, run_checks
from course_lib.grading.answers import Mistake
from tests.answers import ROOT, all_answers

ALL = all_answers()
MISTAKES = [(id, mistake) for id, answers in ALL.items() for mistake in answers.mistakes]
WITNESSES = [(id, *witness) for id, answers in ALL.items() for witness in answers.witnesses]
SEEDS = (1, 2)


def stored(id: str):
    return exercises(id.split(".")[0])[id]


@cache
def drawn(id: str, seed: int, held_out: bool):
    return ALL[id].parts(seed, held_out)


def name_of(value) -> str:
    """The same in every process: an address in it would be none."""
    if isinstance(value, Mistake):
        return value.message[:40]
    return getattr(value, "__name__", "wrong") if callable(value) else str(value)[:40]


def messages_of(result) -> set[str]:
    return {part.message for part in result.parts if part.earned < part.points}


@pytest.mark.parametrize(("id", "mistake"), MISTAKES, ids=name_of)
def test_a_mistake_is_told_by_its_own_message(id, mistake):
    visible = run_checks(stored(id), mistake.function)
    if mistake.held_out:
        assert visible.ok, "the student can be told at once: do not hold it out"
        for seed in SEEDS:
            parts = [*drawn(id, seed, False), *drawn(id, seed, True)]
            result = run_checks(stored(id), mistake.function, parts)
            assert messages_of(result) == {mistake.message}
    else:
        assert messages_of(visible) == {mistake.message}
        for seed in SEEDS:
            again = run_checks(stored(id), mistake.function, drawn(id, seed, False))
            assert not again.ok and mistake.message in again.message


@pytest.mark.parametrize("id", ALL)
def test_a_mistake_gives_a_wrong_answer_and_does_not_only_stop(id):
    """A slip in a mistake itself would be told by its message, too: both stop alike."""
    for mistake in (m for m in ALL[id].mistakes if not m.held_out):
        looks = [look_at(part, Student(mistake.function)) for part in stored(id).parts]
        pairs = [pair for look in looks for pair in zip(look.outcomes, look.problems, strict=True)]
        assert any(problem and not outcome.raised for outcome, problem in pairs), mistake.message


@pytest.mark.parametrize("id", ALL)
def test_at_least_four_mistakes_are_told_at_once(id):
    assert sum(not mistake.held_out for mistake in ALL[id].mistakes) >= 4
    assert len(ALL[id].others) >= 1


@pytest.mark.parametrize("id", ALL)
def test_right_answers_get_full_marks(id):
    for function in (ALL[id].reference, *ALL[id].others):
        assert run_checks(stored(id), function).ok
        for seed in SEEDS:
            parts = [*drawn(id, seed, False), *drawn(id, seed, True)]
            result = run_checks(stored(id), function, parts)
            assert result.ok and result.earned == ALL[id].points, str(result)


@pytest.mark.parametrize(("id", "phrase", "function"), WITNESSES, ids=name_of)
def test_a_witness_is_rejected(id, phrase, function):
    parts = [*drawn(id, 1, False), *drawn(id, 1, True)]
    result = run_checks(stored(id), function, parts)
    assert not result.ok and phrase in result.message, result.message


@pytest.mark.parametrize("id", ALL)
def test_visible_parts_outweigh_held_out_ones(id):
    exercise = stored(id)
    held_out = sum(part.points for part in ALL[id].planned if part.held_out)
    assert exercise.held_out_points == held_out > 0
    assert exercise.visible_points > held_out


@pytest.mark.parametrize("id", ALL)
def test_a_function_that_refuses_everything_earns_nothing(id):
    def refuse(*given):
        raise ValueError("no")

    for parts in (None, drawn(id, 1, True)):
        result = run_checks(stored(id), refuse, parts)
        assert result.earned == 0 and not result.ok


@pytest.mark.parametrize("unit", sorted({id.split(".")[0] for id in ALL}))
def test_stored_cases_follow_from_the_answers(unit):
    on_disk = json.loads((FOLDER / f"{unit}.json").read_text("utf-8"))
    assert same(on_disk, cases_of(ROOT, unit)), "run `make exercises`"
