"""Is an attribution faithful? Take tokens away in its order, compare methods, ask the generator.

With the tokens in order of their scores, best first, and v(S) the metric with only S present:

    deletion(k)  = v(without the first k)       comprehensiveness = mean of m(x) - deletion(k)
    insertion(k) = v(with the first k alone)    sufficiency       = mean of m(x) - insertion(k)

(DeYoung et al. 2020). A faithful order has high comprehensiveness and low sufficiency, its deletion
curve falls early and its insertion curve rises early: compared with random orders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from course_lib.attribution.baselines import Baseline, as_baseline, coalition_values
from course_lib.attribution.question import Question, ask
from course_lib.attribution.result import Attribution
from course_lib.intervals import Interval, bootstrap_interval, tensor_ends
from course_lib.models.text_model import TextModel

MEASURES = {  # name: is higher better?
    "comprehensiveness": True, "sufficiency": False, "deletion area": False, "insertion area": True,
}  # fmt: skip


@dataclass(frozen=True)
class Faithfulness:
    """Curves and measures of one attribution beside those of random orders.

    Attributes
    ----------
    method, output, baseline : str
    deletion, insertion : Tensor [T + 1]
        The metric after k = 0 ... T tokens, in the unit of `output`.
    measures : dict, name -> float
        comprehensiveness, sufficiency, deletion area, insertion area (means over the curve).
    random : dict, name -> (mean, low, high)
        The same for random orders; low and high enclose 95 % of the orders.
    beaten : dict, name -> float
        Share of random orders that do worse; ties count half. 0.5 is what a random order gets.
    random_curves : Tensor [2, T + 1]
        Mean deletion and insertion curve of the random orders.
    fractions : tuple of float
    orders, seed, passes : int
    """

    method: str
    output: str
    baseline: str
    deletion: Tensor
    insertion: Tensor
    measures: dict[str, float]
    random: dict[str, Interval]
    beaten: dict[str, float]
    random_curves: Tensor
    fractions: tuple[float, ...]
    orders: int
    seed: int
    passes: int

    def __repr__(self) -> str:
        lines = [
            f"faithfulness of {self.method}: {self.output}, baseline {self.baseline}, fractions "
            f"{self.fractions}, {self.orders} random orders (seed {self.seed})"
        ]
        for name, value in self.measures.items():
            mean, low, high = self.random[name]
            better = "higher" if MEASURES[name] else "lower"
            lines.append(
                f"  {name:<17} {value:+.3f}, random {mean:+.3f} [{low:+.3f}, {high:+.3f}], "
                f"beats {self.beaten[name]:.0%} ({better} is better)"
            )
        return "\n".join(lines)


def curves(
    question: Question, orders: Tensor, baseline: Baseline | str | None = None
) -> tuple[Tensor, Tensor]:
    """Deletion and insertion curves [R, T + 1] of orders [R, T] (places of tokens, best first).

    Cost: at most 2 (T - 1) R + 2 forward passes, times the draws of the baseline.
    """
    rank = orders.argsort(1)[:, None, :]  # [R, 1, T]
    k = torch.arange(orders.shape[1] + 1)[:, None]  # [T + 1, 1] tokens so far
    # deletion keeps what comes after the first k, insertion these alone
    keep = torch.stack([rank >= k, rank < k])  # [2, R, T + 1, T]
    masks, back = torch.unique(keep.flatten(0, 2), dim=0, return_inverse=True)
    # orders meet in the empty and the whole text, and often between: each set is read once
    values = coalition_values(question, masks, baseline).mean(-1)[back].view(keep.shape[:3])
    return values[0], values[1]


def _measures(value: float, deletion: Tensor, insertion: Tensor, fractions) -> dict[str, Tensor]:
    size = deletion.shape[1] - 1
    k = [math.ceil(fraction * size) for fraction in fractions]  # rounded up: one token at least
    return {
        "comprehensiveness": value - deletion[:, k].mean(1),
        "sufficiency": value - insertion[:, k].mean(1),
        # over the share of tokens from 0 to 1: [R, T + 1] -> [R]
        "deletion area": torch.trapezoid(deletion, dx=1 / size),
        "insertion area": torch.trapezoid(insertion, dx=1 / size),
    }


def faithfulness(
    lm: TextModel,
    result: Attribution,
    *,
    baseline: Baseline | str | None = None,
    fractions: Sequence[float] = (0.1, 0.2, 0.5),
    orders: int = 20,
    seed: int = 0,
) -> Faithfulness:
    """Judge an attribution by the model's own answers on parts of the text.

    Parameters
    ----------
    lm : LanguageModel
        The model that was attributed.
    result : Attribution
    baseline :
        What stands in place of missing tokens; default Static(). The verdict depends on it.
    fractions : sequence of float
        Shares of the tokens (rounded up) that comprehensiveness and sufficiency average over.
    orders, seed : int
        Random orders as control.

    Returns
    -------
    Faithfulness
        In the unit of the result's output.

    Raises
    ------
    ValueError
        For fractions outside (0, 1], no random orders, or another model's attribution.

    Notes
    -----
    Cost: at most 2 (T - 1) (orders + 1) + 2 forward passes, times the draws of the baseline.
    Sources: DeYoung et al. 2020; curves: Samek et al. 2017, Petsiuk et al. 2018.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.attribution import erasure
    >>> lm = load_model()
    >>> result = erasure(lm, "Can you stop the dog from", "barking", "crying")
    >>> judged = faithfulness(lm, result, orders=5)
    >>> judged.deletion.shape, judged.deletion[0] == judged.insertion[-1]
    (torch.Size([7]), tensor(True))
    """
    question = ask(lm, result.text, result.target, result.foil, result.output)
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions) or orders < 1:
        raise ValueError("fractions must lie above 0 and at most at 1, and orders be at least 1.")
    if question.tokens != result.tokens:
        raise ValueError("The attribution has other tokens: was it made for another model?")
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randperm(len(result.tokens), generator=generator) for _ in range(orders)]
    # the attribution's own order in row 0, random ones below: [1 + orders, T]
    deletion, insertion = curves(
        question, torch.stack([torch.tensor(result.order), *drawn]), baseline
    )
    every = _measures(float(question.values([question.ids])), deletion, insertion, fractions)
    beaten, random = {}, {}
    for name, values in every.items():
        # [orders], positive = worse than ours
        worse = (values[0] - values[1:]) * (1 if MEASURES[name] else -1)
        beaten[name] = float(((worse > 0).double() + 0.5 * (worse == 0).double()).mean())
        spread = tensor_ends(values[1:]).tolist()
        random[name] = (float(values[1:].mean()), *spread)
    return Faithfulness(
        result.method, result.output, as_baseline(baseline).describe(lm), deletion[0],
        insertion[0], {name: float(values[0]) for name, values in every.items()}, random, beaten,
        torch.stack([deletion[1:].mean(0), insertion[1:].mean(0)]), tuple(fractions), orders,
        seed, question.passes,
    )  # fmt: skip


def ranks(scores: Tensor) -> Tensor:
    """Rank of each score [T] from the highest, 1; ties share the mean of their ranks.

    Examples
    --------
    >>> ranks(torch.tensor([3.0, 7.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    higher = (scores[None] > scores[:, None]).sum(1)  # [1, T] > [T, 1] -> [T, T] -> [T]
    # k equal scores, itself among them, have the ranks higher + 1 ... higher + k
    return higher + ((scores[None] == scores[:, None]).sum(1) + 1) / 2


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's correlation of two score vectors [T]; 0 where all scores of one are equal."""
    x, y = (ranks(s).double() - ranks(s).double().mean() for s in (a, b))  # [T] each
    scale = float(x.norm() * y.norm())
    # Pearson's correlation of the ranks, which are centred here
    return float(x @ y) / scale if scale else 0.0


def top_overlap(a: Tensor, b: Tensor, top: int = 3) -> float:
    """Share of the `top` best tokens [T] that two score vectors have in common."""
    best = (set(s.argsort(descending=True, stable=True)[:top].tolist()) for s in (a, b))
    return len(set.intersection(*best)) / min(top, len(a))


@dataclass(frozen=True)
class Agreement:
    """How far pairs of methods agree over the same texts.

    `correlation` and `overlap` map (method, method) to (mean, low, high); the 95 % intervals are
    a bootstrap over the `texts` texts. `top` is the number of tokens in the overlap.
    """

    methods: tuple[str, ...]
    correlation: dict[tuple[str, str], Interval]
    overlap: dict[tuple[str, str], Interval]
    texts: int
    top: int
    seed: int

    def matrix(self, what: str = "correlation") -> Tensor:
        """Means [M, M] of "correlation" or "overlap", 1 on the diagonal, in order of `methods`."""
        table = getattr(self, what)
        out = torch.eye(len(self.methods), dtype=torch.float64)
        for (i, a), (j, b) in combinations(enumerate(self.methods), 2):
            out[i, j] = out[j, i] = table[a, b][0]
        return out

    def __repr__(self) -> str:
        head = f"{self.texts} texts, means with 95 % intervals over texts (seed {self.seed})"
        lines = []
        for pair, (r, low, high) in self.correlation.items():
            mean, least, most = self.overlap[pair]
            lines.append(
                f"  {pair[0]} / {pair[1]}: rank correlation {r:+.2f} [{low:+.2f}, {high:+.2f}], "
                f"top-{self.top} overlap {mean:.2f} [{least:.2f}, {most:.2f}]"
            )
        return "\n".join([head, *lines])


def agreement(
    results: Mapping[str, Sequence[Attribution]], top: int = 3, seed: int = 0
) -> Agreement:
    """Compare methods pair by pair on the same texts.

    Parameters
    ----------
    results : dict from a method's name to its attributions
        Two methods or more, each with the same texts in the same order.
    top, seed : int
        Tokens in the overlap; seed of the bootstrap over texts (2,000 resamplings).

    Returns
    -------
    Agreement. Cost: no forward pass. Unsigned scores (gradient norm) are compared as they are.

    Raises
    ------
    ValueError
        For fewer than two methods, or attributions of different texts or questions.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.attribution import erasure, gradient_x_input
    >>> lm, texts = load_model(), ["Can you stop the dog from", "Please stop the baby from"]
    >>> both = {f.__name__: [f(lm, text, "barking", "crying") for text in texts]
    ...         for f in (erasure, gradient_x_input)}
    >>> agreement(both).matrix().shape
    torch.Size([2, 2])
    """
    asked = {
        name: [(r.text, r.tokens, r.target, r.foil) for r in each] for name, each in results.items()
    }
    first = next(iter(asked.values()), [])
    if len(asked) < 2 or not first or any(each != first for each in asked.values()):
        raise ValueError(
            "Agreement needs two methods or more, each on the same texts, targets and foils in "
            "the same order: {'erasure': [...], 'IG': [...]}."
        )
    correlation, overlap = {}, {}
    for a, b in combinations(results, 2):
        pairs = [(x.scores, y.scores) for x, y in zip(results[a], results[b], strict=True)]
        correlation[a, b] = bootstrap_interval([rank_correlation(*p) for p in pairs], seed=seed)
        overlap[a, b] = bootstrap_interval([top_overlap(*p, top) for p in pairs], seed=seed)
    return Agreement(tuple(results), correlation, overlap, len(first), top, seed)
