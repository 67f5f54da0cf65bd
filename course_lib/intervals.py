"""95 % intervals: how far a number could have come out otherwise, had other items been drawn.

The percentile bootstrap (Efron 1979): draw as many items as there are, with replacement, and
compute the number again; the middle 95 % of many such numbers are the interval. For a mean,
`bootstrap_interval` does all of it. Three ways of drawing give the same distribution and differ in
what they are good for:

- `bootstrap_means`: item by item, the plain way; all cells of a table share the draws, so that
  differences and ratios can be formed draw by draw (a paired interval);
- `bootstrap_counts`: how often each item, or each group of items, was drawn; for numbers that are
  no means, such as F1 or a ratio of sums;
- `bootstrap_level_means`: how often each *value* was drawn; quick where many items share a few
  values.

Always seeded: the same seed gives the same interval. Torch is imported only for tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

Interval = tuple[float, float, float]  # value, low, high
LEVELS = (0.025, 0.975)


def ends(drawn: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % points of numbers [n_boot].

    Examples
    --------
    >>> ends(np.arange(101))
    (2.5, 97.5)
    """
    low, high = np.percentile(drawn, [100 * level for level in LEVELS])
    return float(low), float(high)


def tensor_ends(drawn: Tensor) -> Tensor:
    """The 2.5 % and 97.5 % points along the first dimension: [n_boot, ...] -> [..., 2].

    Examples
    --------
    >>> import torch
    >>> tensor_ends(torch.arange(101.0)[:, None]).tolist()
    [[2.5, 97.5]]
    """
    return drawn.quantile(drawn.new_tensor(LEVELS), dim=0).movedim(0, -1)


def bootstrap_means(values: Tensor, n_boot: int = 1000, seed: int = 0) -> Tensor:
    """Means of values [..., N] over items drawn with replacement, float64 [n_boot, ...].

    All cells share the draws, so that differences and ratios of two means can be formed draw by
    draw.

    Examples
    --------
    >>> import torch
    >>> means = bootstrap_means(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), n_boot=500)
    >>> means.shape, float(means[:, 0].std()), bool(means[:, 1].std() > 0.5)
    (torch.Size([500, 2]), 0.0, True)
    """
    import torch

    n = values.shape[-1]
    draws = torch.randint(n, (n_boot, n), generator=torch.Generator().manual_seed(seed))
    counts = torch.zeros(n_boot, n, dtype=torch.float64)
    counts.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))
    return torch.einsum("bn,...n->b...", counts, values.double()) / n


def bootstrap_counts(n: int, n_boot: int, rng: int | np.random.Generator = 0) -> np.ndarray:
    """How often each of n items (or groups) was drawn, [n_boot, n]; each row sums to n.

    Examples
    --------
    >>> bootstrap_counts(3, 1000, rng=0).sum(1).tolist() == [3] * 1000
    True
    """
    return np.random.default_rng(rng).multinomial(n, np.full(n, 1 / n), size=n_boot)


def bootstrap_level_means(values: np.ndarray, n_boot: int, rng: np.random.Generator) -> np.ndarray:
    """Means of `n_boot` samples of few-valued numbers (0, 0.5, 1), shape [n_boot].

    Examples
    --------
    >>> means = bootstrap_level_means(np.array([0, 1, 1, 1]), 1000, np.random.default_rng(0))
    >>> sorted(set(means.tolist()))
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    levels, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=n_boot)
    return drawn @ levels / counts.sum()


def bootstrap_interval(
    values: Sequence[float] | np.ndarray | Tensor, n_boot: int = 2000, seed: int = 0
) -> Interval:
    """Mean of values [N], one an item, with its 95 % percentile bootstrap interval over items.

    The draws come from numpy for an array and from torch otherwise.

    Examples
    --------
    >>> bootstrap_interval([1.0] * 20)
    (1.0, 1.0, 1.0)
    """
    if isinstance(values, np.ndarray):
        draws = np.random.default_rng(seed).integers(0, len(values), (n_boot, len(values)))
        return float(values.mean()), *ends(values[draws].mean(1))
    import torch

    x = torch.as_tensor(values, dtype=torch.float64)
    low, high = tensor_ends(bootstrap_means(x, n_boot, seed)).tolist()
    return float(x.mean()), low, high


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's (1927) 95 % interval of a share; unlike the usual one it is honest for small n.

    >>> [round(end, 2) for end in wilson(4, 5)]
    [0.38, 0.96]
    """
    z = 1.96
    middle, spread = hits + z**2 / 2, z * math.sqrt(hits * (n - hits) / n + z**2 / 4)
    return (middle - spread) / (n + z**2), (middle + spread) / (n + z**2)
