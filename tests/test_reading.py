"""Answers of any tensor type are read as numbers; none breaks a check."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course_lib.checks import exercises
from course_lib.checks.engine import run_checks
from course_lib.checks.reading import difference, plain, read
from course_lib.checks.results import Wrong
from tests.answers import answers_of

STRANGE = {
    "requires a gradient": lambda x: x.detach().requires_grad_(),
    "has a history": lambda x: x.detach().requires_grad_() * 1.0,
    "does not lie in a row": lambda x: x.detach().T.contiguous().T,
    "is a list of rows": lambda x: list(x.detach().requires_grad_()),
}


def changed(id, change):
    """The right answer to 03.5 or 03.6 with its tensor changed."""
    right = answers_of("03")[id].reference
    if id == "03.6":
        return lambda *given: change(right(*given))
    return lambda *given: (change(right(*given)[0]), right(*given)[1])


@pytest.mark.parametrize("change", STRANGE.values(), ids=STRANGE)
@pytest.mark.parametrize("id", ["03.5", "03.6"])
def test_a_right_tensor_of_any_kind_gets_full_marks(id, change):
    result = run_checks(exercises("03")[id], changed(id, change))
    assert result.ok, str(result)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("id", ["03.5", "03.6"])
def test_an_answer_of_few_digits_is_wrong_and_does_not_break_the_check(id, dtype):
    result = run_checks(exercises("03")[id], changed(id, lambda x: x.to(dtype).requires_grad_()))
    assert result.status == "wrong" and "should be" in result.message, str(result)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.int64])
def test_numbers_are_those_of_the_tensor(dtype):
    x = torch.tensor([[1.0, 2.5], [-3.0, 0.0]]).to(dtype)
    x = x.requires_grad_() if dtype.is_floating_point else x
    like = np.zeros((2, 2))
    for answer in (x, list(x), [list(row) for row in x]):
        got = read(answer, like)
        assert got.dtype == np.float64 and got.tolist() == x.tolist()
        assert difference(got, plain(x), 0.0) == ""


def test_what_has_no_numbers_is_named():
    with pytest.raises(Wrong, match="must be numeric"):
        read("1.0", np.zeros(2))
    with pytest.raises(Wrong, match="not a plain number or array"):
        read([object()], np.zeros(2))
