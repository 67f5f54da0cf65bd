"""Scoring many sentences with one model: each different sentence once, similar lengths together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from course_lib.text_model import TextModel, UnknownWordsWarning

# Batches of about this many tokens stay in the cache of a CPU core; larger ones are slower.
BATCH_TOKENS = 1024

Ids = tuple[int, ...]


def encode_all(lm: TextModel, texts: Sequence[str]) -> list[Ids]:
    """Encode texts, start token first; one warning for all that hold unknown words.

    Raises
    ------
    ValueError
        For an empty or too long text, with its number in the list.

    Warns
    -----
    UnknownWordsWarning
        Counts the texts with unknown words and shows the first case. Two sentences that differ
        in unknown words alone look the same to the model and get the same score.
    """
    encoded: dict[str, Ids] = {}
    unknown: list[str] = []
    for number, text in enumerate(texts):
        if text in encoded:
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                encoded[text] = tuple(lm.encode(text))
            except ValueError as error:
                raise ValueError(f"Sentence {number} cannot be scored. {error}") from error
        for warning in caught:
            if issubclass(warning.category, UnknownWordsWarning):
                unknown.append(str(warning.message))
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
    if unknown:
        warnings.warn(
            f"{len(unknown)} of {len(encoded)} different sentences hold words that "
            f"{lm.name!r} does not know. The first case: {unknown[0]}",
            UnknownWordsWarning,
            stacklevel=3,
        )
    return [encoded[text] for text in texts]


def score_unique(lm: TextModel, ids: Iterable[Ids]) -> dict[Ids, Tensor]:
    """Score each different sequence once, in batches of one length, so that nothing is padding.

    Returns
    -------
    dict
        Sequence of T ids -> log p(id_t | ids before t) in nats for t = 1..T-1, float64 [T - 1].
        A sequence always gets the same numbers, in whatever order the sequences come.

    Raises
    ------
    ValueError
        If a log-probability is not finite.

    Notes
    -----
    Cost: one forward pass over the tokens of the different sequences.
    """
    scores: dict[Ids, Tensor] = {}
    for batch in length_batches(sorted(set(ids), key=lambda item: (len(item), item))):
        for item, row in zip(batch, lm.score_ids([list(item) for item in batch]), strict=True):
            if not torch.isfinite(row).all():
                raise ValueError(
                    f"{lm.name!r} gives the tokens {[lm.token_string(i) for i in item]} a "
                    "log-probability that is not finite, so no comparison is possible. Check its "
                    "weights (half precision overflows on a CPU: load with float32)."
                )
            scores[item] = row.double().cpu()
    return scores


def length_batches(ids: Sequence[Ids]) -> Iterable[list[Ids]]:
    """Cut sequences sorted by length in batches of one length and at most BATCH_TOKENS tokens."""
    batch: list[Ids] = []
    for item in ids:
        if batch and (len(item) != len(batch[0]) or (len(batch) + 1) * len(item) > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch


def bootstrap_means(values: np.ndarray, n_boot: int, rng: np.random.Generator) -> np.ndarray:
    """Means of `n_boot` samples drawn with replacement from the values, shape [n_boot].

    The values are few different numbers (0, 0.5, 1), so we draw how often each occurs instead
    of drawing item by item. The distribution is the same.
    """
    levels, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    drawn = rng.multinomial(counts.sum(), counts / counts.sum(), size=n_boot)
    return drawn @ levels / counts.sum()


def interval(values: np.ndarray, n_boot: int, rng: np.random.Generator) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean."""
    return percentiles(bootstrap_means(values, n_boot, rng))


def percentiles(means: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % points of bootstrap means."""
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
