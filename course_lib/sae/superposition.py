"""Superposition: how n features fit into fewer than n dimensions, and when they do not.

A toy world (Elhage et al. 2022): each of n features is off with probability S (the sparsity) and
otherwise uniform between 0 and 1. They are squeezed into m < n dimensions and read back,

    h = W x,      x_hat = ReLU(W^T h + b),      W [m, n]

and W is trained to make sum_i importance_i (x_i - x_hat_i)^2 small. With dense features the best
that m dimensions can do is to keep the m most important features and drop the rest. When features
are rare they seldom meet, so more of them share the dimensions, at the price of some interference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ToyWorld:
    """Trained toy models, one for each of S sparsities.

    Attributes
    ----------
    sparsity : tuple of float, length S
        Probability that a feature is off.
    W : Tensor [S, m, n], b : Tensor [S, n]
    importance : Tensor [n]
    loss : Tensor [S]
        Weighted squared error of a sample at the end, as a share of that of predicting the mean.
    error : Tensor [S, n]
        Squared error of each feature as a share of its variance, on fresh samples.
    """

    sparsity: tuple[float, ...]
    W: Tensor
    b: Tensor
    importance: Tensor
    loss: Tensor
    error: Tensor

    @property
    def norms(self) -> Tensor:
        """Length of each feature's direction [S, n]: near 0 = dropped, near 1 = represented."""
        return self.W.norm(dim=1)

    @property
    def represented(self) -> Tensor:
        """Number of features whose direction is longer than a half, [S]."""
        return (self.norms > 0.5).sum(-1)

    @property
    def recovered(self) -> Tensor:
        """Number of features with less than half of their variance lost, [S]."""
        return (self.error < 0.5).sum(-1)

    @property
    def interference(self) -> Tensor:
        """Mean over represented features of the summed squared overlap with the others, [S]."""
        unit = self.W / self.norms[:, None].clamp_min(1e-9)  # [S, m, n] / [S, 1, n]
        # [S, n, n]: how much of feature j lies along feature i
        overlap = torch.einsum("smi,smj->sij", unit, self.W).square()
        # [S, n], without what a feature has in common with itself
        others = overlap.sum(-1) - overlap.diagonal(dim1=1, dim2=2)
        kept = self.norms > 0.5
        return (others * kept).sum(-1) / kept.sum(-1).clamp_min(1)

    def __repr__(self) -> str:
        m, n = self.W.shape[1:]
        lines = [f"{n} features in {m} dimensions"]
        for row in zip(self.sparsity, self.represented.tolist(), self.recovered.tolist(),
                       self.interference.tolist(), strict=True):  # fmt: skip
            lines.append("  off {:.3f}  represented {:2d}  recovered {:2d}  interference {:.2f}"
                         .format(*row))  # fmt: skip
        return "\n".join(lines)


def sample_features(sparsity: Tensor, rows: int, n: int, generator: torch.Generator) -> Tensor:
    """Feature values [S, rows, n]: 0 with probability `sparsity` [S], else uniform in [0, 1]."""
    values = torch.rand(len(sparsity), rows, n, generator=generator)
    on = torch.rand(len(sparsity), rows, n, generator=generator) >= sparsity[:, None, None]
    return values * on


def train_toy(
    sparsity: Sequence[float] = (0.0, 0.5, 0.7, 0.9, 0.95, 0.99),
    features: int = 20,
    dimensions: int = 5,
    *,
    decay: float = 0.9,
    steps: int = 2500,
    batch: int = 256,
    rate: float = 5e-3,
    seed: int = 0,
) -> ToyWorld:
    """Train the toy model for every sparsity at once.

    Parameters
    ----------
    sparsity : sequence of float
        In [0, 1): probability that a feature is off.
    features, dimensions : int
        n and m.
    decay : float
        The importance of feature i is decay^i.
    steps, batch, rate, seed : training.

    Raises
    ------
    ValueError
        For a sparsity outside [0, 1) or sizes below 1.

    Notes
    -----
    Some seconds; no language model is involved.

    Examples
    --------
    >>> toy = train_toy((0.0, 0.9), features=6, dimensions=2, steps=300)
    >>> toy.W.shape
    torch.Size([2, 2, 6])
    """
    if not sparsity or not all(0 <= s < 1 for s in sparsity) or min(features, dimensions) < 1:
        raise ValueError("Sparsities must lie in [0, 1), sizes must be at least 1.")
    generator = torch.Generator().manual_seed(seed)
    off = torch.tensor(sparsity, dtype=torch.float32)
    # [S, m, n]: the models of all sparsities in one tensor
    W = torch.randn(len(off), dimensions, features, generator=generator) * features**-0.5
    b = torch.zeros(len(off), features)
    importance = decay ** torch.arange(features, dtype=torch.float32)
    # What rare features lose is divided by how often they are on, so that all sparsities learn.
    weight = importance / (1 - off)[:, None, None]  # [n] / [S, 1, 1] -> [S, 1, n]
    adam = torch.optim.Adam([W.requires_grad_(), b.requires_grad_()], lr=rate)
    for step in range(steps):
        adam.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        x = sample_features(off, batch, features, generator)
        # a sum over the S models: each has weights of its own
        loss = (weight * (x - read_back(W, b, x)).square()).sum() / batch
        adam.zero_grad()
        loss.backward()
        adam.step()
    W, b = W.detach(), b.detach()
    x = sample_features(off, 20_000, features, generator)
    squared = (x - read_back(W, b, x)).square().mean(1)  # [S, n]
    variance = x.var(1, correction=0)
    total = (importance * squared).sum(-1) / (importance * variance).sum(-1)
    return ToyWorld(tuple(map(float, sparsity)), W, b, importance, total, squared / variance)


def read_back(W: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """ReLU(W^T W x + b) for x [S, rows, n]."""
    h = torch.einsum("smn,srn->srm", W, x)  # [S, rows, m]
    return (torch.einsum("smn,srm->srn", W, h) + b[:, None]).relu()
