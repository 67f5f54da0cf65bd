"""Where sparse autoencoders mislead: absorption, splitting, and the luck of the seed.

- *Splitting*: with more room, one feature becomes several narrower ones. So "the feature for
  nouns" is a statement about one dictionary of one width.
- *Absorption*: a feature that seems to stand for a concept is silent at some of its words, because
  a feature of that very word already carries the concept's direction. Sparsity rewards it: one
  feature costs less than two (Chanin et al. 2024).
- *Seeds*: two runs that differ in their random start find different features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from course_lib.sae.base import SparseAutoencoder
from course_lib.sae.concepts import BestUnit, GoldTokens


def matched_features(a: Tensor, b: Tensor) -> Tensor:
    """For each direction of `a` [F, d], its largest cosine with a direction of `b` [G, d]: [F].

    Two dictionaries agree on a feature where it is near 1. Compare with random directions, whose
    largest cosine is far from 0 too when there are many: about sqrt(2 log G / d).

    Examples
    --------
    >>> matched_features(torch.eye(2), torch.eye(2)).tolist()
    [1.0, 1.0]
    """
    return (
        torch.nn.functional.normalize(a, dim=-1)
        .mm(torch.nn.functional.normalize(b, dim=-1).T)
        .amax(-1)
    )


@dataclass(frozen=True)
class Splitting:
    """How a feature of a narrow dictionary fares in a wide one.

    Attributes
    ----------
    feature : int
        Of the narrow dictionary.
    parts : tuple of int
        Features of the wide one, in the order in which they were added.
    coverage : tuple of float
        Share of the narrow feature's tokens at which one of the first 1, 2, ... parts is on.
    precision : tuple of float
        Share of the tokens of the first 1, 2, ... parts at which the narrow feature is on.
    """

    feature: int
    parts: tuple[int, ...]
    coverage: tuple[float, ...]
    precision: tuple[float, ...]

    @property
    def needed(self) -> int | None:
        """Number of parts that cover four fifths of the tokens; None if these do not."""
        return next((k + 1 for k, share in enumerate(self.coverage) if share >= 0.8), None)


def splitting(
    narrow: Tensor, wide: Tensor, feature: int, parts: int = 8, purity: float = 0.6
) -> Splitting:
    """Cover the tokens of one narrow feature with features of a wider dictionary, greedily.

    Parameters
    ----------
    narrow : Tensor [N, F], wide : Tensor [N, G]
        Strengths at the same tokens.
    feature : int
        Of the narrow one.
    parts : int
        At most so many.
    purity : float
        A feature can be a part if the narrow one is on at this share of its tokens: else the
        broadest feature would cover everything.

    Raises
    ------
    ValueError
        For other tokens, or a feature that is never on.
    """
    if len(narrow) != len(wide):
        raise ValueError(f"{len(narrow)} and {len(wide)} tokens: both must see the same ones.")
    target, on = narrow[:, feature] > 0, wide > 0  # [N], [N, G]
    if not bool(target.any()):
        raise ValueError(f"Feature {feature} is on at none of these tokens.")
    # [G]: where it is on, the narrow one mostly is too
    pure = on[target].sum(0) >= purity * on.sum(0).clamp_min(1)
    left, covered = target.clone(), torch.zeros_like(target)
    chosen, coverage, precision = [], [], []
    for _ in range(parts):
        # [G], tokens that no part covers yet
        gain = on[left].sum(0) * pure
        best = int(gain.argmax())
        if not int(gain[best]):
            break
        chosen.append(best)
        covered |= on[:, best]
        left &= ~on[:, best]
        coverage.append(float((covered & target).sum() / target.sum()))
        precision.append(float((covered & target).sum() / covered.sum()))
    return Splitting(feature, tuple(chosen), tuple(coverage), tuple(precision))


@dataclass(frozen=True)
class Absorption:
    """Where the best feature of a concept is silent, and which feature speaks in its place.

    Attributes
    ----------
    concept : str
    feature : int
        The best one.
    held, missed, absorbed : int
        Tokens where the concept holds; of these, where the feature is silent; of those, where
        another feature alone carries at least half of the state's component along the concept.
    cases : tuple of (str, int, int)
        The word, the feature that stands in, and at how many tokens; the most frequent first.
    chance : float
        Share of missed tokens absorbed when the concept's direction is random instead: the mean of
        20 draws.
    """

    concept: str
    feature: int
    held: int
    missed: int
    absorbed: int
    cases: tuple[tuple[str, int, int], ...]
    chance: float

    @property
    def rate(self) -> float:
        """Share of all tokens of the concept that were absorbed."""
        return self.absorbed / max(self.held, 1)

    def __repr__(self) -> str:
        words = ", ".join(f"{word} by {feature} ({n})" for word, feature, n in self.cases[:5])
        return (
            f"{self.concept}: feature {self.feature} is silent at {self.missed} of {self.held} "
            f"tokens, absorbed at {self.absorbed} ({self.rate:.1%} of all; among the missed "
            f"{self.absorbed / max(self.missed, 1):.0%}, along random directions "
            f"{self.chance:.0%}); "
            f"{words}"
        )


def absorption(
    sae: SparseAutoencoder, values: Tensor, gold: GoldTokens, best: BestUnit, share: float = 0.5
) -> Absorption:
    """Look for absorption of one concept by features of single words.

    Parameters
    ----------
    sae : SparseAutoencoder
    values : Tensor [N, F]
        Strengths at the gold tokens.
    best : BestUnit
        The concept's best feature, from `best_units`.
    share : float
        How much of a state's component along the concept one other feature must carry.

    Notes
    -----
    The concept's direction is the difference of the mean reconstructions with and without it.
    Components are counted from the mean of the tokens without. A state that says
    nothing about the concept (a component below half of that of an average token of it) is a
    plain miss, not absorption. No forward pass.
    """
    judged = torch.tensor(gold.judged[best.concept])
    held = torch.tensor(gold.concepts[best.concept]) & judged
    written = sae.W_dec.detach()
    without = values[judged & ~held].mean(0)  # [F]
    # [F] @ [F, d]: by how much the mean reconstruction differs; b_dec cancels
    direction = ((values[held].mean(0) - without) @ written).double()
    silent = held & (values[:, best.unit] <= best.threshold)
    rows = values[silent].double()  # [M, F]

    def taken(along: Tensor) -> tuple[Tensor, Tensor]:
        """Where one feature stands in for the concept along this direction, and which."""
        along = along / along.norm()
        parts = (rows - without) * (written.double() @ along)  # [M, F]
        parts[:, best.unit] = 0.0  # it is silent here
        # of the mean token of the concept
        typical = float((values[held].double().mean(0) - without) @ (written.double() @ along))
        total = parts.sum(-1)  # [M], the state's whole component
        most = parts.max(-1)
        enough = total > 0.5 * abs(typical)
        return enough & (most.values >= share * total), most.indices

    if not len(rows):
        return Absorption(best.concept, best.unit, int(held.sum()), 0, 0, (), 0.0)
    absorbed, which = taken(direction)
    generator = torch.Generator().manual_seed(1)  # 0 would follow how course-lm was started
    draws = [taken(torch.randn(sae.d, generator=generator).double())[0].double().mean()
             for _ in range(20)]  # fmt: skip
    places = np.flatnonzero(silent.numpy())[absorbed.numpy()]
    forms = [gold.words[place].form if gold.words[place] else "" for place in places]
    counts: dict[tuple[str, int], int] = {}
    for pair in zip(forms, which[absorbed].tolist(), strict=True):
        counts[pair] = counts.get(pair, 0) + 1
    cases = sorted(((*pair, n) for pair, n in counts.items()), key=lambda case: -case[2])
    return Absorption(best.concept, best.unit, int(held.sum()), len(rows), int(absorbed.sum()),
                      tuple(cases), float(torch.stack(draws).mean()))  # fmt: skip
