"""Minimal pairs: does the model prefer the acceptable sentence?

The score of a sentence w_1 ... w_n is the sum (or the mean) of log p(w_t | w_<t) over its
tokens, in nats. A pair is correct when

    margin = score(good) - score(bad) > 0.

Whether a start token is given, whether we sum or average, and what happens with ties changes
the accuracy (Warstadt et al. 2020 sum; other tools average or drop the first token), so these
choices are one object, the `Protocol`, and every result prints it. All causal models of the
course can be scored: n-gram, LSTM, Transformer-XL and transformers models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.behaviour.suites import Pair, as_pairs
from course_lib.intervals import bootstrap_level_means, ends
from course_lib.models.packing import encode_all, score_unique
from course_lib.models.text_model import TextModel
from course_lib.tables import html_table

TIES = {"half": 0.5, "wrong": 0.0, "right": 1.0}


@dataclass(frozen=True)
class Protocol:
    """How a sentence becomes a score.

    Attributes
    ----------
    bos : bool
        True: all tokens are scored, the first one given the start token. False: there is no
        start token and the first token is given, not scored.
    reduction : "sum" or "mean"
        Over the scored tokens. The mean favours long sentences less harshly.
    ties : "half", "wrong" or "right"
        What an exact tie counts: 0.5, 0 or 1.

    Examples
    --------
    >>> print(Protocol(reduction="mean"))
    start token given, mean log-probability per token in nats, ties count half
    """

    bos: bool = True
    reduction: str = "sum"
    ties: str = "half"

    def __post_init__(self) -> None:
        if self.reduction not in ("sum", "mean"):
            raise ValueError(f"reduction is 'sum' or 'mean', not {self.reduction!r}.")
        if self.ties not in TIES:
            raise ValueError(f"ties is one of {sorted(TIES)}, not {self.ties!r}.")

    def __str__(self) -> str:
        start = "start token given" if self.bos else "no start token, first token not scored"
        total = "summed log-probability" if self.reduction == "sum" else "mean log-probability"
        per = "" if self.reduction == "sum" else " per token"
        return f"{start}, {total}{per} in nats, ties count {self.ties}"


@dataclass(frozen=True)
class PairScores:
    """Scores of minimal pairs under one protocol.

    Attributes
    ----------
    good, bad : Tensor, float64, shape [N]
        Score of each sentence in nats (sum or mean of log-probabilities).
    pairs : list of Pair
    protocol : Protocol
    model : str
    """

    good: Tensor
    bad: Tensor
    pairs: list[Pair]
    protocol: Protocol
    model: str

    @property
    def margin(self) -> Tensor:
        """score(good) - score(bad) in nats, shape [N]; positive = the good one is preferred."""
        return self.good - self.bad

    @property
    def correct(self) -> Tensor:
        """1 where the good sentence is preferred, 0 where the bad one is, ties by protocol."""
        # [N]
        right = (self.margin > 0).double()
        # a tie is an exact one: equal sentences have equal scores, see `score_unique`
        return torch.where(self.margin == 0, TIES[self.protocol.ties], right)

    @property
    def accuracy(self) -> float:
        """The mean of `correct` over pairs."""
        return float(self.correct.mean())

    def __repr__(self) -> str:
        ties = int((self.margin == 0).sum())
        return (
            f"{self.model}: accuracy {self.accuracy:.3f} on {len(self.pairs)} pairs "
            f"({ties} ties)\n{self.protocol}"
        )


def score_pairs(
    lm: TextModel,
    pairs: Iterable[Pair | Mapping[str, Any] | Sequence[str]],
    protocol: Protocol | None = None,
) -> PairScores:
    """Score minimal pairs.

    Parameters
    ----------
    lm : language model
        Any causal model of the course.
    pairs : iterable
        (good, bad) tuples, records with BLiMP's fields, or `Pair` objects.
    protocol : Protocol, optional
        By default: start token given, sums, ties count half.

    Returns
    -------
    PairScores. Cost: one forward pass over the different sentences. Two sentences with the same
    tokens get exactly the same score, so an identical pair has margin 0.

    Raises
    ------
    ValueError
        For an empty sentence, one longer than the context, or, without a start token, one of a
        single token: nothing in it would be scored.

    Examples
    --------
    >>> from course_lib import load_model
    >>> scores = score_pairs(load_model(), [("The dog sleeps.", "The dog sleep.")])
    >>> bool(scores.margin > 0)
    True
    """
    protocol = protocol or Protocol()
    pairs = as_pairs(pairs)
    ids = encode_all(lm, [text for pair in pairs for text in (pair.good, pair.bad)])
    if not protocol.bos:
        ids = [item[1:] for item in ids]  # the first token is given instead
        for number, item in enumerate(ids):
            if len(item) < 2:
                raise ValueError(
                    f"A sentence of pair {number // 2} has a single token. Without a start token "
                    "the first token is not scored, so no score is left: use Protocol(bos=True)."
                )
    tokens = score_unique(lm, ids)
    reduce = torch.sum if protocol.reduction == "sum" else torch.mean
    # one number for each different sentence
    scores = {item: float(reduce(row)) for item, row in tokens.items()}
    # [2 N] in the order good, bad, good, bad, ... -> [N, 2]
    table = torch.tensor([scores[item] for item in ids], dtype=torch.float64).view(-1, 2)
    return PairScores(table[:, 0], table[:, 1], pairs, protocol, lm.name)


@dataclass(frozen=True)
class Row:
    """Accuracy on one paradigm, one phenomenon, or overall, with its 95 % interval."""

    name: str
    n: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True)
class SuiteResult:
    """Accuracy of a model on a suite of minimal pairs.

    Attributes
    ----------
    paradigms : dict, name -> Row
        Mean over the pairs of a paradigm.
    phenomena : dict, name -> Row
        Mean over the paradigms of a phenomenon, each counting the same.
    overall : Row
        Mean over all paradigms, as BLiMP reports it.
    scores : PairScores
    seed : int
        Of the bootstrap.
    """

    paradigms: dict[str, Row]
    phenomena: dict[str, Row]
    overall: Row
    scores: PairScores
    seed: int

    @property
    def caption(self) -> str:
        """Model, protocol and seed: what must stand beside the numbers."""
        return f"{self.scores.model}: {self.scores.protocol}; bootstrap seed {self.seed}"

    def intervals(self, level: str = "phenomena") -> dict[str, tuple[float, float, float]]:
        """Name -> (accuracy, low, high) for "paradigms" or "phenomena": what a plot needs."""
        return {name: (r.accuracy, r.low, r.high) for name, r in getattr(self, level).items()}

    def _rows(self) -> list[tuple[str, Row]]:
        levels = (("phenomenon", self.phenomena), ("paradigm", self.paradigms))
        return [(k, r) for k, rows in levels for r in rows.values()] + [("", self.overall)]

    def __repr__(self) -> str:
        width = max(len(row.name) for _, row in self._rows())
        lines = [self.caption, f"{'level':<10}  {'name':<{width}}  pairs  accuracy [95 % interval]"]
        for kind, r in self._rows():
            numbers = f"{r.n:>5}  {r.accuracy:.3f} [{r.low:.3f}, {r.high:.3f}]"
            lines.append(f"{kind:<10}  {r.name:<{width}}  {numbers}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        heads = ("name", "level", "pairs", "accuracy", "95 % interval")
        rows = [
            (r.name, kind, r.n, f"{r.accuracy:.3f}", f"{r.low:.3f} to {r.high:.3f}")
            for kind, r in self._rows()
        ]
        return html_table(heads, rows, self.caption)


def score_suite(
    lm: TextModel,
    suite: Iterable[Pair | Mapping[str, Any]],
    protocol: Protocol | None = None,
    *,
    n_boot: int = 2000,
    seed: int = 0,
) -> SuiteResult:
    """Score a suite and report accuracy by paradigm, by phenomenon and overall.

    Parameters
    ----------
    lm, protocol :
        As in `score_pairs`.
    suite : iterable of pairs with a paradigm (UID) and a phenomenon (linguistics_term)
        From `load_blimp` or `course_lib.world.course_suite()`.
    n_boot, seed : int
        The 95 % intervals come from `n_boot` resamplings of the pairs within each paradigm.
        They speak about other pairs from the same templates, not about other templates.

    Raises
    ------
    ValueError
        As `score_pairs`, and if one paradigm appears under two phenomena.
    """
    scores = score_pairs(lm, suite, protocol)
    rng = np.random.default_rng(seed)
    correct, sampled, member = {}, {}, {}
    paradigm_of = np.array([pair.paradigm or "all pairs" for pair in scores.pairs])
    for name in dict.fromkeys(paradigm_of.tolist()):
        chosen = np.flatnonzero(paradigm_of == name)
        phenomena = {scores.pairs[i].phenomenon for i in chosen}
        if len(phenomena) > 1:
            raise ValueError(f"The paradigm {name!r} stands under {sorted(phenomena)}: pick one.")
        member[name] = phenomena.pop() or name  # a paradigm that names none stands for itself
        correct[name] = scores.correct.numpy()[chosen]
        sampled[name] = bootstrap_level_means(correct[name], n_boot, rng)

    def row(label: str, names: Sequence[str]) -> Row:
        # [names, n_boot] -> [n_boot]: draw k of the mean is the mean of all paradigms' draws k
        low, high = ends(np.mean([sampled[name] for name in names], axis=0))
        # a mean of means: paradigms count alike, however many pairs they have
        accuracy = float(np.mean([correct[name].mean() for name in names]))
        return Row(label, sum(len(correct[name]) for name in names), accuracy, low, high)

    groups = {p: [n for n in member if member[n] == p] for p in dict.fromkeys(member.values())}
    return SuiteResult(
        paradigms={name: row(name, [name]) for name in correct},
        phenomena={name: row(name, names) for name, names in groups.items()},
        overall=row("overall (mean over paradigms)", list(correct)),
        scores=scores,
        seed=seed,
    )


def surprisals(lm: TextModel, text: str, unit: str = "nats") -> list[tuple[str, float]]:
    """Surprisal -log p(token | tokens before it) of each token of a text.

    Parameters
    ----------
    unit : "nats" or "bits"
        A bit is log 2 = 0.693 nats.

    Returns
    -------
    list of (token, surprisal), the start token left out. Cost: one forward pass.

    Examples
    --------
    >>> from course_lib import load_model
    >>> [token for token, _ in surprisals(load_model(), "The dog sleeps.")]
    ['The', 'dog', 'sleeps', '.']
    """
    if unit not in ("nats", "bits"):
        raise ValueError(f"unit is 'nats' or 'bits', not {unit!r}.")
    ids = lm.encode(text)
    # one bit is so many nats
    scale = math.log(2) if unit == "bits" else 1.0
    values = (-lm.score_ids([ids])[0].double() / scale).tolist()
    return [(lm.token_string(i), value) for i, value in zip(ids[1:], values, strict=True)]
