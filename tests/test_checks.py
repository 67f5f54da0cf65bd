"""The checks survive whatever a student hands in, and give it what it deserves."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch
from stored_cases import stored

from course_lib.checks import UNITS, CheckResult, check, drawing, exercises
from course_lib.checks.engine import run_checks
from course_lib.checks.exercise import Case, Outcome
from course_lib.checks.foreign import borrowed
from course_lib.checks.reading import difference, mark, plain, read, same_mark
from course_lib.checks.results import HELD_OUT_NOTE, Wrong
from course_lib.grading.answers import Answers, BadDraw

ALL = {id: exercise for unit in UNITS for id, exercise in exercises(unit).items()}
NOTE = re.compile(r"passed", re.IGNORECASE)


class AlwaysEqual:
    """Claims to equal, and to be close to, everything."""

    def __eq__(self, other):
        return True

    __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __eq__
    __hash__ = None


class EqualTensor(torch.Tensor):
    """A tensor whose comparisons always hold."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("eq", "allclose", "equal", "isclose", "__eq__"):
            return True
        return super().__torch_function__(function, types, args, kwargs or {})


class OddDict(dict):
    def __getitem__(self, key):
        return AlwaysEqual()


GARBAGE = {
    "none": lambda *a, **k: None,
    "zero": lambda *a, **k: 0.0,
    "half": lambda *a, **k: 0.5,
    "one": lambda *a, **k: 1.0,
    "true": lambda *a, **k: True,
    "nan": lambda *a, **k: math.nan,
    "text": lambda *a, **k: "0.5",
    "first argument": lambda *a, **k: a[0],
    "second argument": lambda *a, **k: a[1],
    "always equal": lambda *a, **k: AlwaysEqual(),
    "list of always equal": lambda *a, **k: [AlwaysEqual()] * 5,
    "equal tensor": lambda *a, **k: torch.zeros(5).as_subclass(EqualTensor),
    "nan vector": lambda *a, **k: torch.full((len(a[0]) - 1,), math.nan),
    "zeros": lambda *a, **k: torch.zeros(max(len(a[0]) - 1, 1)),
    "zeros of the batch": lambda *a, **k: torch.zeros(len(a[0])),
    "minus log V": lambda x, *a, **k: torch.full(x.shape[:1], -1.0)[1:],
    "objects": lambda *a, **k: np.array([AlwaysEqual()] * 3, dtype=object),
    "odd dict": lambda *a, **k: OddDict(agrees=1, opposes=1, silent=1, overall=1),
    "dict of none": lambda *a, **k: {"agrees": None, "opposes": None, "silent": None},
    "zero interval": lambda *a, **k: (0.0, 1.0),
    "point interval": lambda *a, **k: (0.5, 0.5),
    "generator": lambda *a, **k: (x for x in a),
    "the function": lambda *a, **k: check,
    "the metric itself": lambda f, x, *a, **k: f(x),
    "zeros of the tokens": lambda f, x, *a, **k: [0.0] * len(x),
    "zeros of the players": lambda f, n, *a, **k: [0.0] * n,
    "ones of the players": lambda f, n, *a, **k: [1.0] * n,
    "an even share": lambda f, n, *a, **k: [(f([True] * n) - f([False] * n)) / n] * n,
    "zeros and no gap": lambda g, m, x, *a, **k: (torch.zeros(len(x)), 0.0),
    "zero measures": lambda *a, **k: {"comprehensiveness": 0.0, "sufficiency": 0.0},
    "on top, by chance": lambda *a, **k: (1.0, 1.0),
    "in the middle": lambda x, c: ((len(x) + 1) / 2, 0.5),
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.parametrize("id", sorted(ALL))
def test_garbage_earns_nothing(id, name):
    result = run_checks(ALL[id], GARBAGE[name])
    assert result.earned == 0 and not result.ok, str(result)
    assert result.message


@pytest.mark.parametrize("id", sorted(ALL))
def test_stub_is_not_attempted(id):
    def stub(*args, **kwargs):
        raise NotImplementedError()

    result = run_checks(ALL[id], stub)
    assert result.status == "not attempted" and result.earned == 0
    assert "not attempted yet" in str(result)


def helper():
    raise NotImplementedError()


def needs_one_more(logits, ids):
    if len(logits):
        raise NotImplementedError()
    return logits


def given_up(logits, ids):
    raise NotImplementedError("later")


@pytest.mark.parametrize("function", [lambda *a: helper(), needs_one_more, given_up])
def test_only_the_stub_is_not_attempted(function):
    result = run_checks(ALL["01.1"], function)
    assert result.status == "error" and result.message


def needs_one_line(logits, ids):
    rows = logits[:-1]
    return rows + undefined_name  # noqa: F821


def test_exception_becomes_a_message_with_type_and_line():
    result = check("01.1", needs_one_line)
    assert result.status == "error"
    assert "NameError: name 'undefined_name' is not defined" in result.message
    assert "in line 3 of needs_one_line: return rows + undefined_name" in result.message


@pytest.mark.parametrize("error", [SystemExit(0), RecursionError("deep"), NotImplementedError("x")])
def test_other_ways_to_stop_are_failures_too(error):
    def stops(*args):
        raise error

    result = check("01.1", stops)
    assert result.status == "error" and type(error).__name__ in result.message


def test_an_interrupt_is_not_swallowed():
    def interrupted(*args):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check("01.1", interrupted)


def test_wrong_number_of_arguments_is_explained():
    assert "TypeError" in check("01.3", lambda good: 0.5).message


def test_a_result_instead_of_a_function_is_explained():
    result = check("01.3", 0.5)
    assert result.status == "error" and "the function itself" in result.message


@pytest.mark.parametrize("id", ["01.9", "1", "99.1", ""])
def test_unknown_id_raises_and_lists_what_there_is(id):
    with pytest.raises(ValueError, match="01"):
        check(id, len)


def test_changed_input_is_noticed():
    def spoils(correct, paradigms, phenomena):
        paradigms.append("one more")
        return {}

    assert "changed the data" in check("01.4", spoils).message


def right_answer(good, bad, ties="half"):
    worth = {"half": 0.5, "wrong": 0.0, "right": 1.0}[ties]
    return torch.where(good == bad, worth, (good > bad).float()).mean()


def test_every_display_speaks_of_held_out_checks():
    shown = [check("01.3", right_answer), check("01.3", len), check("01.1", right_answer)]
    assert shown[0].ok and (shown[0].earned, shown[0].points) == (7, 7)
    for result in shown:
        for text in (str(result), repr(result), result._repr_html_()):
            assert HELD_OUT_NOTE in text and f"of {result.points}" in text
            assert not NOTE.search(text)


def test_html_is_escaped_and_marks_outcomes_in_words():
    def fails(*args):
        raise ValueError("<script>alert(1)</script>")

    page = check("01.3", fails)._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "not yet" in page and "holds" in check("01.3", right_answer)._repr_html_()


def test_result_survives_json():
    result = check("01.3", right_answer)
    assert CheckResult.from_dict(json.loads(json.dumps(result.as_dict()))) == result


# --- the engine, on an exercise made up for it ---------------------------------------------


class Inputs:
    """Builders as a unit has them: numbers to be added up, and their sum as seen from outside."""

    @staticmethod
    def numbers(rng, size=3, scale=1.0, integers=False):
        values = rng.integers(1, 9, size=size) if integers else rng.normal(size=size)
        return (torch.tensor(values * scale),)

    @staticmethod
    def twice(call, values):
        return call(values), call(values + 1)


@pytest.fixture
def made_up(monkeypatch) -> Answers:
    """ "Add up the numbers", with three mistakes of which one shows on negative numbers only."""
    monkeypatch.setattr(drawing, "_inputs", lambda unit: Inputs)
    answers = Answers("77.1", "a sum")
    answers.right(lambda x: _sum(x))
    answers.reference.__name__ = "total"
    answers.other(lambda x: float(np.sum(x.numpy())) if len(x) else _sum(x))
    answers.mistake("The sign is turned round.", lambda x: -_sum(x))
    answers.mistake("You took the mean.", lambda x: _sum(x) / len(x))
    answers.mistake("You added absolute values.", lambda x: _sum(x.abs()))
    draw = drawing.Draw
    answers.part("some", 3, [draw("numbers", {"size": n}) for n in (3, 5)], "Add them up.")
    answers.part("whole", 2, [draw("numbers", {"integers": True})], "Add them up, whole ones too.")
    none = draw("numbers", {"size": 0}, refused=True, note="No numbers must raise ValueError.")
    answers.part("none", 1, [none], "Refuse nothing at all.")
    answers.part("twice", 1, [draw("numbers", observe="twice")], "Add.", held_out=True)
    return answers


def _sum(x):
    if len(x) == 0:
        raise ValueError("nothing to add")
    return sum(x.tolist())


def by_part(answers, function):
    return [part.message for part in run_checks(stored(answers), function).parts]


def test_a_mistake_is_named_where_it_shows_and_points_are_earned_part_by_part(made_up):
    result = run_checks(stored(made_up), lambda x: _sum(x.abs()))
    assert (result.earned, result.points, result.held_out, result.status) == (3, 6, 1, "wrong")
    assert [p.message for p in result.parts] == ["You added absolute values.", "", ""]


def test_two_mistakes_at_once_get_the_rule_and_the_first_number_that_differs(made_up):
    some, whole, none = by_part(made_up, lambda x: -_sum(x.abs()))
    assert some.startswith("Add them up. In your answer it is -") and "and should be" in some
    assert whole == "The sign is turned round." and none.startswith("Refusing bad input counts")


def test_a_cause_is_never_named_by_half(made_up):
    """Wrong as a named mistake on one input and differently on another: no cause is named."""
    some, *_ = by_part(made_up, lambda x: -_sum(x) if len(x) == 3 else _sum(x) + 1)
    assert some.startswith("Add them up. In your answer")


def test_a_forgotten_refusal_and_a_turned_sign_are_told_apart(made_up):
    some, whole, none = by_part(made_up, lambda x: -float(x.sum()))
    assert some == whole == "The sign is turned round."
    assert none == "No numbers must raise ValueError. Your function accepted it."


def test_a_mistake_in_single_precision_is_still_named(made_up):
    assert by_part(made_up, lambda x: -float(x.float().sum()))[0] == "The sign is turned round."


def test_rounded_answers_are_wrong(made_up):
    result = run_checks(stored(made_up), lambda x: round(_sum(x), 4))
    assert not result.ok and result.parts[1].earned == 2


def test_an_observer_sees_several_calls(made_up):
    held_out = made_up.parts(5, held_out=True)
    assert run_checks(stored(made_up), _sum, held_out).ok
    assert not run_checks(stored(made_up), lambda x: -_sum(x), held_out).ok


def test_inputs_follow_from_the_seed(made_up):
    def values(seed):
        case = made_up.parts(seed, held_out=False)[0].cases[0]
        return case.draw.arguments("77", case.seed)[0]

    assert torch.equal(values(1), values(1)) and not torch.equal(values(1), values(2))


def test_where_right_answers_disagree_another_input_is_drawn(made_up):
    made_up.other(lambda x: _sum(x) + float(len(x) == 5 and x[0] > 0))  # right for half of them
    for seed in range(10):
        case = made_up.parts(seed, held_out=False)[0].cases[1]
        assert case.draw.arguments("77", case.seed)[0][0] <= 0
    made_up.other(lambda x: 0.0)
    with pytest.raises(BadDraw):
        made_up.exercise(3)


def test_a_right_answer_must_refuse_what_is_to_be_refused(made_up):
    given = drawing.Draw("numbers", refused=True, note="why")
    made_up.part("more", 1, [given], "rule")
    with pytest.raises(BadDraw, match="accepts"):
        made_up.exercise()


def test_a_fault_in_a_check_is_not_put_on_the_student(made_up):
    exercise = stored(made_up)
    broken = Case("77", drawing.Draw("no such builder"), [1], Outcome(1.0))
    object.__setattr__(exercise.parts[0], "cases", (broken,))
    with pytest.raises(AttributeError):
        run_checks(exercise, _sum)


# --- reading answers ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2, 2.0, torch.tensor(2.0), np.float32(2), np.array(2)])
def test_numbers_come_in_many_forms(value):
    assert read(value, 1.0) == 2.0 and type(read(value, 1.0)) is float


@pytest.mark.parametrize("value", [True, "2", {}, AlwaysEqual(), b"2"])
def test_what_is_no_number(value):
    with pytest.raises(Wrong):
        read(value, 1.0)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, [1, 2], torch.ones(1)])
def test_what_is_another_number(value):
    assert difference(read(value, 1.0), 1.0, 1e-5)


def test_vectors_come_back_as_plain_arrays():
    tensor = torch.ones(3, requires_grad=True) * 2
    like = np.zeros(3)
    for value in (tensor, tensor.tolist(), np.full(3, 2), torch.full((3,), 2).bfloat16(), [2] * 3):
        assert type(read(value, like)) is np.ndarray and read(value, like).dtype == np.float64
        assert difference(read(value, like), np.full(3, 2.0), 1e-9) == ""
    assert "shape [4]" in difference(like, np.zeros(4), 1e-9)


def test_tables_need_their_keys():
    assert read({"a": 1, "b": None}, {"a": 0.0, "b": None}) == {"a": 1.0, "b": None}
    with pytest.raises(Wrong, match="missing \\['b'\\]"):
        read({"a": 1}, {"a": 0.0, "b": 0.0})
    assert "None" in difference(read({"a": None}, {"a": 0.0}), {"a": 0.0}, 1e-5)


@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e5])
def test_tolerance_goes_with_the_size_of_the_numbers(scale):
    right = np.array([1.0, -0.5]) * scale
    assert difference(right * (1 + 1e-7), right, 1e-6) == ""
    assert difference(right * (1 + 1e-4), right, 1e-6) != ""


def test_infinity_equals_itself_and_nan_equals_nothing_finite():
    right = np.array([-np.inf, 1.0])
    assert difference(right.copy(), right, 1e-6) == ""
    assert "nan" in difference(np.array([np.nan, 1.0]), right, 1e-6)
    assert "infinite" in difference(np.array([-np.inf, np.inf]), right, 1e-6)


def test_marks_tell_answers_apart_and_forgive_rounding():
    values = np.random.default_rng(0).normal(size=(4, 5))
    one = mark(plain((values, 2.0, [("a", "b")])))
    assert same_mark(one, mark(plain((values + 1e-8, 2.0, [("a", "b")]))))
    assert not same_mark(one, mark(plain((values[::-1], 2.0, [("a", "b")]))))
    assert not same_mark(one, mark(plain((values, 2.0, [("a", "c")]))))
    assert not same_mark(one, mark(plain((values * 1e-5, 2.0, [("a", "b")]))))


# --- answers that lean on the course -----------------------------------------------------------


def test_an_answer_that_wraps_the_library_is_told_so():
    from course_lib import world

    def by_name(*given):
        return world.documents

    def by_import(*given):
        from course_lib.checks.engine import run_checks as inner

        return inner

    def helper():
        return by_name

    def by_helper(*given):
        return helper()

    for function in (by_name, by_import, by_helper):
        result = check("01.3", function)
        assert result.earned == 0 and result.status == "error"
        assert "asks you to write it yourself" in result.message
        assert borrowed(function).startswith("course_lib.")


def test_an_answer_of_ones_own_borrows_nothing():
    assert borrowed(right_answer) == "" and borrowed(len) == "" and borrowed(np.sum) == ""
