"""Inputs of assignment 04: logits of a small vocabulary, residual streams, tables of circuits."""

from __future__ import annotations

import numpy as np
import torch

# --- 04.1 greater_than(logits [N, T, V], years, starts) ----------------------------------------


def readings(
    rng, prompts, tokens, n_years, dtype="float32", more=12, starts=None, far=0.0, shift=0.0
):
    """Logits, the ids of the years in no order, and a first year for each prompt.

    Half of the years are likely, and so are some words that are no years at all. With ``far`` one
    year stands that many units above the rest, and a second one half a unit above it; ``shift`` is
    added to all logits.
    """
    vocabulary = n_years + more
    ids = rng.permutation(vocabulary)[:n_years]
    logits = rng.normal(size=(prompts, tokens, vocabulary)) * 1.5
    logits += rng.uniform(3, 6, size=(prompts, tokens, 1))
    if starts is None:
        starts = rng.choice(np.arange(1, n_years - 2), size=prompts, replace=prompts > n_years - 3)
        starts = starts.tolist()
    table = torch.tensor(logits + shift).to(getattr(torch, dtype))
    if far:
        table[:, :, ids[2]] += far
        table[:, -1, ids[5]] = table[:, -1, ids[2]] + 0.5
    return table, ids.tolist(), starts
