"""Scalar mix: one probe that reads all layers at once, and says how much it takes from each.

    h = sum_l s_l h_l,  s = softmax(a)          centre of gravity = sum_l l s_l

The layer weights a are learnt together with a linear probe on h. Tenney et al. 2019 found that in
BERT the centre of gravity rises from parts of speech to coreference: "the classical pipeline".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_lib.intervals import bootstrap_counts
from course_lib.probing.gold import Targets, split
from course_lib.probing.probe import Estimate, estimate

STEPS, RATE, PENALTY = 120, 0.03, 2e-3


@dataclass(frozen=True)
class Mix:
    """What a scalar mix takes from each layer.

    Attributes
    ----------
    weights : float [L + 1], sum to 1; low, high : the ends of their 95 % intervals (1.96 bootstrap
        standard errors)
    centre : Estimate of the centre of gravity, in layers (0 = what the first block reads)
    accuracy : Estimate, on groups that training did not have
    """

    concept: str
    weights: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centre: Estimate
    accuracy: Estimate


def scalar_mix(x: Tensor, data: Targets, *, draws: int = 12, seed: int = 0) -> Mix:
    """Learn layer weights and a linear probe together.

    Parameters
    ----------
    x : [L + 1, N, D], all layers of `features`. Every unit of every layer is brought to mean 0
        and variance 1 first: otherwise a layer with large states would need a small weight.
    draws : bootstrap samples of groups, each with a mix of its own; they give the intervals.

    Notes
    -----
    All draws are fitted in one batch: 120 steps of Adam on [draws + 1, N, D]. No forward pass of
    the model. The weights say what this probe takes, not where the property arises: a layer that
    only keeps what an earlier one computed can get as much weight.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.probing import annotate, features, read_states, targets
    >>> lm = load_model("course-lm")
    >>> corpus = annotate(lm, 20)
    >>> data = targets(corpus, "role", 200)
    >>> mix = scalar_mix(features(read_states(lm, corpus), data), data, draws=2)
    >>> 0 <= mix.centre.value <= 6
    True
    """
    if x.dim() != 3 or x.shape[1] != len(data):
        raise ValueError(
            f"A mix needs all layers of the states, [L + 1, {len(data)}, D]; got {list(x.shape)}."
        )
    train, test = split(data, seed=seed)
    x = x.float()
    fitted_on = x[:, torch.as_tensor(train)]
    # [L + 1, 1, D] each
    mean, spread = fitted_on.mean(1, keepdim=True), fitted_on.std(1, keepdim=True)
    x = (x - mean) / spread.clamp_min(1e-6)
    counts = torch.as_tensor(place_counts(data.groups[train], draws, seed)).float()
    y = torch.as_tensor(data.labels)
    # row 0 is the mix itself, the others its bootstrap draws
    a, w, b = fit_mixes(x[:, train], y[train], len(data.classes), counts, seed)
    s = a.softmax(-1)  # [draws + 1, L + 1]
    # the weighted sum of the layers, at the test places
    mixed = torch.einsum("l,lnd->nd", s[0], x[:, test])
    hits = (mixed @ w[0] + b[0]).argmax(-1) == y[test]  # [n, D] @ [D, K] -> [n]
    # [draws + 1, L + 1] @ [L + 1]
    centres = (s @ torch.arange(s.shape[1], dtype=s.dtype)).numpy()
    # drawn groups repeat, so the draws are a little surer than the fit itself and lie beside it:
    # we take their spread, not their place
    spread = 1.96 * s[1:].std(0).numpy()
    reach = 1.96 * centres[1:].std(ddof=1)
    weights = s[0].numpy()
    return Mix(
        data.concept, weights, weights - spread, weights + spread,
        Estimate(float(centres[0]), *(float(centres[0] + k * reach) for k in (-1, 1)), len(train)),
        estimate(hits.double().numpy(), data.groups[test], seed),
    )  # fmt: skip


def place_counts(groups: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """How often each place counts: once in row 0, then as its group was drawn, [draws + 1, N]."""
    if draws < 2:
        raise ValueError(f"An interval needs at least 2 draws, got {draws}.")
    # a group is drawn as a whole, with all of its places
    names, group = np.unique(groups, return_inverse=True)
    drawn = bootstrap_counts(len(names), draws, seed)
    # [draws, groups] -> [draws, N]
    return np.concatenate([np.ones((1, len(groups))), drawn[:, group]])


def fit_mixes(
    x: Tensor, y: Tensor, classes: int, counts: Tensor, seed: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer weights [B, L + 1], probes [B, D, K] and biases [B, K], one for each row of counts."""
    layers, _, width = x.shape
    size = len(counts)
    dice = torch.Generator().manual_seed(seed)
    a = torch.zeros(size, layers, requires_grad=True)
    w = (0.01 * torch.randn(size, width, classes, generator=dice)).requires_grad_()
    b = torch.zeros(size, classes, requires_grad=True)
    optimizer = torch.optim.Adam([a, w, b], lr=RATE)
    # [L + 1, N * D]; weights of the places [B, N], 1 in sum for each draw
    flat, share = x.reshape(layers, -1), counts / counts.sum(1, keepdim=True)
    for _ in range(STEPS):
        mixed = (a.softmax(-1) @ flat).view(size, -1, width)  # [B, N, D]
        logp = (mixed @ w + b[:, None]).log_softmax(-1)  # [B, N, K]
        wanted = logp.gather(-1, y.expand(size, -1)[..., None]).squeeze(-1)  # [B, N]
        # a sum over draws: each has parameters of its own, so none feels the others
        loss = -(share * wanted).sum() + PENALTY * w.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return a.detach(), w.detach(), b.detach()
