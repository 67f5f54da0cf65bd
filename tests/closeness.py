"""How far apart two computations of one value may lie: decided here, for every test.

Processors differ in the order in which they add and in whether they round between a product and a
sum. Bit equality is right for whole numbers, for data that is copied, and for the same call on the
same shapes; wherever a value is computed in two ways, it is close to what its type can hold.
"""

from __future__ import annotations

from typing import Any

import torch

# Of the largest number that was added up. The types hold 6e-8 and 1e-16 of it.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}
# GPT-Neo's attention and the library's RMSNorm compute in float32, whatever the weights.
SINGLE_INSIDE = ("gpt_neo", "llama", "qwen2", "qwen3")


def precision(kind: str, weights: torch.dtype = torch.float64) -> torch.dtype:
    """The coarsest type that a model of a family computes in."""
    return torch.float32 if kind in SINGLE_INSIDE else weights


def tolerance(values: Any, dtype: torch.dtype | None = None, scale: float | None = None) -> float:
    """The distance allowed from `values`.

    Parameters
    ----------
    dtype : the type they were computed in, where it is not their own
    scale : the size of what was added up, where the values are small differences of large
        numbers; otherwise the largest value, but at least 1, the size of logits and states
    """
    values = _tensor(values)
    if scale is None:
        scale = max([1.0, *values[values.isfinite()].abs().flatten().tolist()])
    return TOLERANCE[dtype or values.dtype] * scale


def close(
    found: Any, expected: Any, dtype: torch.dtype | None = None, scale: float | None = None
) -> None:
    """Fail unless two tensors, arrays, lists or numbers are equal but for rounding.

    The shapes must agree, and the types of two tensors. See :func:`tolerance`.

    >>> close(torch.tensor([0.1]) + 0.2, torch.tensor([0.3]))
    >>> close(0.1 + 0.2, 0.3)
    >>> close(0.1 + 1e-8, 0.1)
    Traceback (most recent call last):
        ...
    AssertionError: Scalars are not close!
    ...
    """
    types = {x.dtype for x in (found, expected) if torch.is_tensor(x) and x.is_floating_point()}
    assert len(types) < 2, f"two types: {types}"
    found, expected = _tensor(found), _tensor(expected)
    coarser = min(found.dtype, expected.dtype, key=lambda one: torch.finfo(one).bits)
    allowed = tolerance(expected, dtype or coarser, scale)
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=allowed)


def _tensor(values: Any) -> torch.Tensor:
    """A floating tensor: the numbers of Python have 64 bits."""
    kept = torch.as_tensor(values).detach() if hasattr(values, "dtype") else None
    if kept is None or not kept.is_floating_point():
        return torch.as_tensor(values, dtype=torch.float64)
    return kept
