"""The checks survive whatever a student hands in, and give it what it deserves."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
import torch

from course_lib.checks import UNITS, CheckResult, Exercise, Part, Wrong, check, exercises
from course_lib.checks.calling import as_number, as_table, as_vector, compare, run_checks
from course_lib.checks.results import HELD_OUT_NOTE

UNIT = exercises("01")
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


def test_inputs_follow_from_the_seed():
    def inputs(seed):
        seen = []

        def spy(*args, **kwargs):
            seen.append(args[0].clone())
            return right_answer(*args, **kwargs)

        run_checks(UNIT["01.3"], spy, seed)
        return torch.cat(seen)

    assert torch.equal(inputs(1), inputs(1))
    assert not torch.equal(inputs(1), inputs(2))


def test_points_are_earned_part_by_part():
    def holds(student, rng):
        assert student(1) == 2

    def fails(student, rng):
        raise Wrong("because")

    exercise = Exercise("x", "t", "f", 10, (Part("a", 3, holds), Part("b", 4, fails)))
    result = run_checks(exercise, lambda x: x + 1)
    assert (result.earned, result.points, result.held_out, result.status) == (3, 7, 3, "wrong")
    assert result.message == "because"


def test_a_fault_in_a_check_is_not_put_on_the_student():
    def faulty(student, rng):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_checks(Exercise("x", "t", "f", 1, (Part("a", 1, faulty),)), len)


@pytest.mark.parametrize("value", [2, 2.0, torch.tensor(2.0), torch.tensor([2]), np.float32(2)])
def test_numbers_come_in_many_forms(value):
    assert as_number(value) == 2.0 and type(as_number(value)) is float


@pytest.mark.parametrize("value", [None, True, "2", math.nan, math.inf, [1, 2], {}, AlwaysEqual()])
def test_what_is_no_number(value):
    with pytest.raises(Wrong):
        as_number(value)


def test_vectors_come_back_as_plain_arrays():
    tensor = torch.ones(3, requires_grad=True) * 2
    for value in (tensor, tensor.tolist(), np.full(3, 2), torch.full((3,), 2).bfloat16()):
        assert type(as_vector(value, 3)) is np.ndarray
        assert as_vector(value, 3).dtype == np.float64
    with pytest.raises(Wrong, match=r"shape \[4\]"):
        as_vector(tensor, 4)


def test_tables_need_their_keys():
    assert as_table({"a": 1, "b": None}, {"a", "b"}, optional=True) == {"a": 1.0, "b": None}
    with pytest.raises(Wrong, match="missing \\['b'\\]"):
        as_table({"a": 1}, {"a", "b"})
    with pytest.raises(Wrong, match="None"):
        as_table({"a": None}, {"a"})


def test_compare_passes_over_a_mistake_that_gives_the_right_answer():
    with pytest.raises(Wrong, match="otherwise"):
        compare(3.0, 1.0, {"same as right": 1.0}, "otherwise")
    with pytest.raises(Wrong, match="named"):
        compare(3.0, 1.0, {"named": 3.0}, "otherwise")
    compare(1.0, 1.0, {"named": 1.0}, "otherwise")
