"""Surprisal by region: where in a sentence a model stumbles.

The surprisal of a token is -log p(token | tokens before it), in nats; that of a region is the
sum over its tokens. Regions are written as text, models read tokens, and the two meet in
character offsets: a token belongs to the region in which its first visible character lies. Every
token belongs to exactly one region, so the region surprisals of a sentence sum to its total.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.behaviour.formulas import evaluate_formula
from course_lib.behaviour.suites import RegionSuite
from course_lib.intervals import bootstrap_level_means, ends
from course_lib.models.packing import encode_all, score_unique
from course_lib.models.text_model import TextModel

Span = tuple[int, int]

METRICS: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": sum,
    "mean": statistics.fmean,
    "median": statistics.median,
    "max": max,
    "min": min,
    "range": lambda values: max(values) - min(values),
}


def join_regions(regions: Sequence[str]) -> tuple[str, list[Span]]:
    """Join regions to a sentence; return it with the characters each region covers.

    A single space stands between regions, none before a region that starts with a closing
    punctuation mark. An empty region covers nothing.

    Examples
    --------
    >>> join_regions(["The dog", "", "sleeps", "."])
    ('The dog sleeps.', [(0, 7), (7, 7), (8, 14), (14, 15)])
    """
    text, spans = "", []
    for region in regions:
        content = " ".join(region.split())
        if content and text and not re.match(r"[.,;:!?]", content):
            text += " "
        spans.append((len(text), len(text) + len(content)))
        text += content
    if not text:
        raise ValueError("All regions are empty, so there is nothing to score.")
    return text, spans


def token_regions(text: str, regions: Sequence[Span], tokens: Sequence[Span]) -> list[int]:
    """For each token, the index of the region in which its first visible character lies."""
    owner = []
    for start, _ in tokens:
        # tokens of the GPT family begin with the space before the word, which may lie in no region
        visible = len(text) - len(text[start:].lstrip())
        # Spaces at the very end belong to the last region that has characters.
        visible = min(visible, len(text.rstrip()) - 1)
        owner.append(next(r for r, (a, b) in enumerate(regions) if a <= visible < b))
    return owner


def sum_by_region(
    owner: Sequence[int], surprisals: Sequence[float], n_regions: int, metric: str = "sum"
) -> list[float]:
    """Combine token surprisals to one number per region; a region without tokens gets 0.0."""
    if metric not in METRICS:
        raise ValueError(f"Unknown region metric {metric!r}; choose one of {sorted(METRICS)}.")
    groups: list[list[float]] = [[] for _ in range(n_regions)]
    for region, value in zip(owner, surprisals, strict=True):
        groups[region].append(float(value))
    return [float(METRICS[metric](group)) if group else 0.0 for group in groups]


def region_surprisals(lm: TextModel, regions: Sequence[str], metric: str = "sum") -> list[float]:
    """Surprisal of each region of one sentence, in nats, given the start token and what precedes.

    Parameters
    ----------
    lm : language model
        Any causal model of the course whose tokenizer reports character offsets.
    regions : list of str
        The sentence in pieces; an empty piece gets 0.0.
    metric : str
        "sum" (then the regions sum to the total surprisal), "mean", "median", "max", "min" or
        "range" of the token surprisals.

    Returns
    -------
    list of float, one per region. Cost: one forward pass.

    Raises
    ------
    ValueError
        If all regions are empty, the sentence is too long, or the tokenizer has no offsets.

    Examples
    --------
    >>> from course_lib import load_model
    >>> lm = load_model()
    >>> parts = region_surprisals(lm, ["The dog", "sleeps", "."])
    >>> abs(sum(parts) + lm.logprob("The dog sleeps.")) < 1e-3
    True
    """
    return _many_region_surprisals(lm, [regions], metric)[0]


def _many_region_surprisals(
    lm: TextModel, sentences: Sequence[Sequence[str]], metric: str
) -> list[list[float]]:
    joined = [join_regions(regions) for regions in sentences]
    ids = encode_all(lm, [text for text, _ in joined])
    scores = score_unique(lm, ids)
    results = []
    for (text, spans), item in zip(joined, ids, strict=True):
        owner = token_regions(text, spans, token_spans(lm, text, len(item) - 1))
        # log-probabilities of the tokens after the start token; the minus makes them surprisals
        values = (-scores[item]).tolist()
        results.append(sum_by_region(owner, values, len(spans), metric))
    return results


def token_spans(lm: TextModel, text: str, n_tokens: int) -> list[Span]:
    """Character offsets of the scored tokens of a text, as the tokenizer reports them."""
    if not getattr(lm.tokenizer, "is_fast", False):
        raise ValueError(
            f"The tokenizer of {lm.name!r} does not report character offsets, which we need to "
            "align tokens with regions. Load a fast tokenizer (one with a tokenizer.json)."
        )
    encoded = lm.tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
    )
    spans = encoded["offset_mapping"][-n_tokens:]
    if len(spans) != n_tokens:
        raise ValueError(f"{lm.name!r} scores {n_tokens} tokens of {text!r}, not {len(spans)}.")
    return [tuple(span) for span in spans]


@dataclass(frozen=True)
class RegionResult:
    """How a model does on one region suite.

    Attributes
    ----------
    suite, model, metric : str
    predictions : tuple of str
        The formulas.
    correct : bool array, shape [items, predictions]
    surprisals : list of dict
        Per item: condition -> region number -> surprisal in nats.
    accuracies : float array, shape [predictions]
    intervals : list of (low, high)
        95 % bootstrap interval of each accuracy, over items.
    seed : int
    """

    suite: str
    model: str
    metric: str
    predictions: tuple[str, ...]
    correct: np.ndarray
    surprisals: list[dict[str, dict[int, float]]]
    accuracies: np.ndarray
    intervals: list[tuple[float, float]]
    seed: int

    def mean_by_region(self, condition: str) -> list[float]:
        """Surprisal of each region in one condition, averaged over items, in nats."""
        rows = [list(item[condition].values()) for item in self.surprisals]  # [items, regions]
        return np.mean(rows, axis=0).tolist()

    def __repr__(self) -> str:
        head = f"{self.suite}: {self.model}, {len(self.correct)} items, {self.metric} over tokens"
        lines = [
            f"  {accuracy:.3f} [{low:.3f}, {high:.3f}]  {formula.strip()}"
            for accuracy, (low, high), formula in zip(
                self.accuracies, self.intervals, self.predictions, strict=True
            )
        ]
        return "\n".join([head, *lines])


def evaluate_regions(
    lm: TextModel, suite: RegionSuite | Mapping, *, n_boot: int = 2000, seed: int = 0
) -> RegionResult:
    """Check the predictions of a region suite (Gauthier et al. 2020) item by item.

    Parameters
    ----------
    lm : language model
    suite : RegionSuite, or the dictionary of a SyntaxGym file
    n_boot, seed : int
        Size and seed of the bootstrap over items.

    Returns
    -------
    RegionResult. Cost: one forward pass over the different sentences of the suite.

    Raises
    ------
    ValueError
        For a malformed suite or formula; see `RegionSuite.from_dict` and `evaluate_formula`.
    """
    if not isinstance(suite, RegionSuite):
        suite = RegionSuite.from_dict(suite)
    # item and condition of every sentence: all are scored in one go
    keys = [(n, name) for n, item in enumerate(suite.items) for name in item.conditions]
    sentences = [suite.items[n].conditions[name] for n, name in keys]
    values: list[dict[str, dict[int, float]]] = [{} for _ in suite.items]
    scored = _many_region_surprisals(lm, sentences, suite.metric)
    for (n, name), row in zip(keys, scored, strict=True):
        values[n][name] = dict(zip(suite.regions, row, strict=True))
    # bool [items, predictions]
    correct = np.array([[_holds(f, item) for f in suite.predictions] for item in values])
    rng = np.random.default_rng(seed)
    intervals = [ends(bootstrap_level_means(column, n_boot, rng)) for column in correct.T]
    return RegionResult(
        suite=suite.name,
        model=lm.name,
        metric=suite.metric,
        predictions=suite.predictions,
        correct=correct,
        surprisals=values,
        accuracies=correct.mean(0),
        intervals=intervals,
        seed=seed,
    )


def _holds(formula: str, surprisals: Mapping[str, Mapping[int, float]]) -> bool:
    value = evaluate_formula(formula, surprisals)
    if not isinstance(value, bool):
        raise ValueError(f"The prediction {formula!r} gives a number; it must compare something.")
    return value
