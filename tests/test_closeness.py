"""What the tests take for the same value: no less than the types hold, and no more."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.closeness import close, precision


@pytest.mark.parametrize(
    ("dtype", "rounding", "mistake"), [(torch.float32, 4e-6, 4e-5), (torch.float64, 4e-10, 4e-9)]
)
def test_rounding_passes_and_a_mistake_does_not(dtype, rounding, mistake):
    values = torch.tensor([1.0, -0.5, 0.0, -math.inf], dtype=dtype)
    close(values + rounding, values)
    close(1000 * (values + rounding), 1000 * values)
    for factor in (1, 1000):  # infinities do not widen what is allowed
        with pytest.raises(AssertionError, match="not close"):
            close(factor * (values + mistake), factor * values)
    with pytest.raises(AssertionError, match="not close"):
        close(values[2:3] + mistake, values[2:3])


def test_small_differences_of_large_numbers_say_how_large():
    large = torch.tensor([5000.0, 5001.0], dtype=torch.float64)
    close(large[1] - large[0] + 1e-6, 1.0, scale=5001)
    with pytest.raises(AssertionError, match="not close"):
        close(large[1] - large[0] + 1e-6, 1.0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (torch.ones(2), torch.ones(3)),
        (torch.ones(2), torch.ones(2, dtype=torch.float64)),
        (torch.tensor([math.nan]), torch.tensor([1.0])),
        (torch.tensor([-math.inf]), torch.tensor([math.inf])),
        (torch.tensor([3]), torch.tensor([4])),
        (np.float64(1), 1 + 1e-8),
        ([1.0, 2.0], [1.0, 2.1]),
    ],
)
def test_what_differs_is_never_close(found, expected):
    with pytest.raises(AssertionError):
        close(found, expected)


def test_families_that_compute_in_float32_inside():
    assert precision("gpt_neo") == precision("llama") == torch.float32
    assert precision("gpt2") == torch.float64


def test_no_test_has_a_tolerance_of_its_own_that_a_type_cannot_hold():
    literal = re.compile(r"\b(atol|rtol|abs|rel)=1e-(9|1\d)\b|< 1e-1\d\b")
    exact = [
        f"{path.name}: {line.strip()}"
        for path in sorted(Path(__file__).parent.glob("test_*.py"))
        for line in path.read_text().splitlines()
        if literal.search(line) and path.name != Path(__file__).name
    ]
    assert exact == []
