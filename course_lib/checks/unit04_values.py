"""Checks of 04.1 and 04.2: the metric, and the values of an ablation (see unit04.py)."""

from __future__ import annotations

import math

import numpy as np
import torch

from course_lib.checks.calling import as_vector, compare
from course_lib.checks.results import Wrong

PER_PROMPT = (
    "One number per prompt, please: without the single values there is no interval, and no way to "
    "see which prompts disagree."
)


def as_array(answer, shape, what, hint=""):
    """The answer as a finite float64 array of this shape, or :class:`Wrong`."""
    if isinstance(answer, (list, tuple)) and len(shape) > 1:
        if len(answer) != shape[0]:
            raise Wrong(f"{what} must have shape {list(shape)}; yours has {len(answer)} rows.")
        return np.stack([as_array(row, shape[1:], what, hint) for row in answer])
    if isinstance(answer, (torch.Tensor, np.ndarray)):
        if tuple(answer.shape) != tuple(shape):
            text = f"{what} must have shape {list(shape)}; yours has {list(answer.shape)}. {hint}"
            raise Wrong(text.strip())
        answer = answer.reshape(-1)
    return as_vector(answer, math.prod(shape), what, hint).reshape(shape)


# --- 04.1 greater_than(logits [N, T, V], years, starts) -> [N] ---------------------------------


def readings(rng, prompts, tokens, n_years, more=12):
    """Logits, the ids of the years in no order, and a first year for each prompt.

    Half of the years are likely, and so are some words that are no years at all.
    """
    vocabulary = n_years + more
    ids = rng.permutation(vocabulary)[:n_years]
    logits = rng.normal(size=(prompts, tokens, vocabulary)) * 1.5
    logits += rng.uniform(3, 6, size=(prompts, tokens, 1))
    starts = rng.choice(np.arange(1, n_years - 2), size=prompts, replace=prompts > n_years - 3)
    # The id of a first year must not be that year itself, or two mistakes look like none.
    return torch.tensor(logits, dtype=torch.float32), ids.tolist(), starts.tolist()


def year_sums(table, columns, starts, first=1, average=False):
    """Sum of a table [N, V] over the years after each start, minus that over the others [N]."""
    chosen = table[:, columns]
    later = np.arange(len(columns)) >= np.array(starts)[:, None] + first
    if average:
        counts = [np.maximum(side.sum(1), 1) for side in (later, ~later)]
        return (chosen * later).sum(1) / counts[0] - (chosen * ~later).sum(1) / counts[1]
    return (chosen * np.where(later, 1, -1)).sum(1)


def metric_mistakes(logits, years, starts):
    table = logits.double()
    last = table[:, -1]
    probs = last.softmax(-1).numpy()
    right = year_sums(probs, years, starts)
    later = np.arange(len(years)) > np.array(starts)[:, None]
    only = last[:, years].softmax(-1).numpy()
    sums = probs[:, years].sum(1)
    by_id = np.array(years)[None] > np.array(years)[starts][:, None]
    return right, {
        "The first year itself counts as wrong: 'later' means y > start, and y = start does "
        "not belong there.": year_sums(probs, years, starts, first=0),
        "The later years begin at start + 1; yours begin one further on.": year_sums(
            probs, years, starts, first=2
        ),
        "The sign is turned round: later years count for the model.": -right,
        "You left out the years that are not later: subtract their probabilities.": (
            probs[:, years] * later
        ).sum(1),
        "You returned only the probability of the years that are not later.": (
            probs[:, years] * ~later
        ).sum(1),
        "You added the two sums; the metric is their difference.": sums,
        "You took means over the years. The metric is a difference of sums, a probability minus "
        "a probability.": year_sums(probs, years, starts, average=True),
        "You normalised over the years alone, or divided by their sum. Take the softmax over the "
        "whole vocabulary: mass on other words counts for nobody.": year_sums(
            only, list(range(len(years))), starts
        ),
        "You summed logits. Bring them to probabilities first.": year_sums(
            last.numpy(), years, starts
        ),
        "You summed log-probabilities; sum probabilities.": year_sums(
            last.log_softmax(-1).numpy(), years, starts
        ),
        "You read the first position. The prediction after the prompt stands in the last "
        "one.": year_sums(table[:, 0].softmax(-1).numpy(), years, starts),
        "You read the position before the last one.": year_sums(
            table[:, -2 if logits.shape[1] > 1 else -1].softmax(-1).numpy(), years, starts
        ),
        "You averaged over the positions. The prediction after the prompt stands in the last "
        "one.": year_sums(table.softmax(-1).mean(1).numpy(), years, starts),
        "You normalised over the positions. Each row is one distribution over the vocabulary: use "
        "the last axis.": year_sums(table.softmax(1)[:, -1].numpy(), years, starts),
        "You normalised over the prompts. Each row is one distribution over the vocabulary: use "
        "the last axis.": year_sums(table.softmax(0)[:, -1].numpy(), years, starts),
        "You took a year for a token id. The id of year y is years[y].": year_sums(
            probs, list(range(len(years))), starts
        ),
        "You compared token ids. Compare years: years[y] is only the name of year y in the "
        "vocabulary.": (probs[:, years] * np.where(by_id, 1, -1)).sum(1),
        "You used the first prompt's year for all prompts.": year_sums(
            probs, years, [starts[0]] * len(starts)
        ),
        "You compared two years only. Sum over all years after start, and over all others.": (
            probs[np.arange(len(starts)), np.array(years)[(np.array(starts) + 1) % len(years)]]
            - probs[np.arange(len(starts)), np.array(years)[starts]]
        ),
        "You returned absolute values: a model that prefers earlier years has a negative "
        "metric.": abs(right),
    }  # fmt: skip


def metric_compare(student, logits, years, starts, tolerance=1e-5):
    answer = student(logits, years, starts)
    got = as_vector(answer, len(starts), "the metric", PER_PROMPT)
    right, mistakes = metric_mistakes(logits, years, starts)
    otherwise = (
        "Wrong metric. At the last position of each prompt: the probabilities of all years above "
        "its start, minus those of all the other years."
    )
    compare(got, right, mistakes, otherwise, tolerance)


def metric_single(student, rng):
    for tokens, n_years in ((3, 10), (1, 7), (5, 30), (2, 100)):
        metric_compare(student, *readings(rng, 1, tokens, n_years))


def metric_batch(student, rng):
    for prompts, tokens, n_years in ((4, 3, 12), (6, 1, 25), (3, 4, 130)):
        metric_compare(student, *readings(rng, prompts, tokens, n_years))


# --- 04.2 ablation_values(values [N, T, d], kind, seed) -> [N, T, d] ----------------------------

KEEPS_SHAPE = "The new values stand in the same places: one [T, d] for each of the N prompts."


def outputs(rng, prompts, tokens, width):
    """What a node wrote on N prompts, float32 [N, T, d]; no two prompts or positions agree."""
    centre = rng.uniform(1, 3, size=(1, tokens, width)) * rng.choice([-1, 1], size=(tokens, width))
    return torch.tensor(centre + rng.normal(size=(prompts, tokens, width)), dtype=torch.float32)


def ablated(student, values, kind, *seed):
    answer = student(values, kind, *seed)
    return as_array(answer, tuple(values.shape), f"the values for {kind!r}", KEEPS_SHAPE)


def ablation_constant(student, rng):
    for prompts, tokens, width in ((5, 3, 4), (3, 4, 2), (4, 1, 3)):
        values = outputs(rng, prompts, tokens, width)
        x = values.double().numpy()
        mean = np.broadcast_to(x.mean(0), x.shape)
        zero = np.zeros_like(x)
        got = ablated(student, values, "zero")
        mistakes = {
            "For kind='zero' you returned the mean.": mean,
            "For kind='zero' you returned the values unchanged.": x,
        }
        compare(got, zero, mistakes, "For kind='zero' every value is 0.")
        got = ablated(student, values, "mean")
        others = (x.sum(0) - x) / (prompts - 1)
        mistakes = {
            "You averaged over the positions of each prompt. The mean runs over the prompts: at "
            "each position, what this node says on average.": np.broadcast_to(
                x.mean(1, keepdims=True), x.shape
            ),
            "You averaged over prompts and positions together. Each position keeps its own "
            "mean.": np.broadcast_to(x.mean((0, 1)), x.shape),
            "You averaged over everything, also over the dimensions.": np.full_like(x, x.mean()),
            "You averaged over the dimensions of the vector.": np.broadcast_to(
                x.mean(2, keepdims=True), x.shape
            ),
            "You added the prompts up; divide by their number.": np.broadcast_to(x.sum(0), x.shape),
            "You divided by N - 1. A mean divides by N.": prompts / (prompts - 1) * mean,
            "You left out the prompt itself. The mean runs over all prompts.": others,
            "You took the median; take the mean.": np.broadcast_to(np.median(x, 0), x.shape),
            "You subtracted the mean. The new value is the mean itself.": x - mean,
            "For kind='mean' you returned the values unchanged.": x,
            "For kind='mean' you returned zeros.": zero,
        }
        otherwise = "For kind='mean' each position holds the mean over the N prompts there."
        compare(got, mean, mistakes, otherwise, tolerance=1e-5)


def donors(student, values, seed):
    """Which prompt each prompt's new values come from; Wrong unless each has one, and another."""
    got = ablated(student, values, "resample", seed)
    x = values.double().numpy()
    same = np.isclose(got[:, None], x[None], rtol=1e-5, atol=1e-5)  # [N, N, T, d]
    whole = same.all((2, 3))
    if not whole.any(1).all():
        if same.all(3).any(1).all():
            raise Wrong(
                "You drew anew for each position. The values of one prompt stay together, or you "
                "build a prompt that does not exist."
            )
        if np.isclose(np.sort(got.reshape(len(x), -1)), np.sort(x.reshape(len(x), -1))).all():
            raise Wrong(
                "You shuffled within each prompt. Resampling exchanges the prompts and leaves "
                "every position where it is."
            )
        raise Wrong(
            "For kind='resample' each prompt gets the values of one other prompt, unchanged."
        )
    drawn = whole.argmax(1)
    if (drawn == np.arange(len(x))).all():
        raise Wrong("For kind='resample' you returned the values unchanged.")
    if (drawn == np.arange(len(x))).any():
        raise Wrong(
            "A prompt kept its own values: nothing was ablated there. Draw so that every prompt "
            "gets those of another one."
        )
    if len(set(drawn)) < len(x):
        raise Wrong(
            "Two prompts got the values of the same prompt. Each prompt's values are handed on "
            "exactly once, so that their distribution stays what it was."
        )
    return drawn


def ablation_resampled(student, rng):
    for prompts, tokens, width in ((7, 3, 2), (6, 2, 4), (2, 2, 3), (3, 1, 1)):
        values = outputs(rng, prompts, tokens, width)
        seeds = rng.choice(10_000, size=8, replace=False).tolist()
        drawn = [donors(student, values, seed) for seed in seeds]
        if not np.array_equal(donors(student, values, seeds[0]), drawn[0]):
            raise Wrong(
                "Two calls with the same seed gave different values. Make the generator inside, "
                "from the seed, so that your result can be repeated."
            )
        if prompts > 4 and len({tuple(d) for d in drawn}) == 1:
            raise Wrong("Every seed gives the same draw. Draw at random, from the seed.")
