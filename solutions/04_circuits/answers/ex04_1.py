"""04.1, the metric of greater-than: answers, mistakes and draws (instructors only)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.1", "the metric of greater-than")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def by_year(logits, years, starts, at=-1, axis=-1, scale=torch.softmax, first=1):
    """The table [N, K] of what is summed, and the signs [N, K]; refuses what has no meaning."""
    if len(starts) != len(logits) or not all(0 <= start < len(years) for start in starts):
        raise ValueError("one start for each prompt, from 0 to K - 1")
    table = scale(logits.double(), axis)[:, at if logits.shape[1] > 1 else -1][:, years]
    later = torch.arange(len(years)) >= torch.tensor(starts).unsqueeze(1) + first
    return table, later


def metric(logits, years, starts, **options):
    table, later = by_year(logits, years, starts, **options)
    return torch.where(later, table, -table).sum(1)


@right
def greater_than(logits, years, starts):
    return metric(logits, years, starts)


@other
def one_year_at_a_time(logits, years, starts):
    if len(starts) != logits.shape[0] or min(starts) < 0 or max(starts) >= len(years):
        raise ValueError(starts)
    found = []
    for row, start in zip(logits[:, -1].detach().double().numpy(), starts, strict=True):
        weights = np.exp(row - row.max())
        found.append(sum(p if y > start else -p for y, p in enumerate(weights[years])))
        found[-1] /= weights.sum()
    return found


@other
def all_minus_twice_the_earlier(logits, years, starts):
    if len(starts) != len(logits) or any(s not in range(len(years)) for s in starts):
        raise ValueError
    sums = logits[:, -1].double().softmax(-1)[:, years].cumsum(1)
    return sums[:, -1] - 2 * sums[torch.arange(len(starts)), torch.tensor(starts)]


ANSWERS.variants(
    metric,
    {
        "The first year itself counts as wrong: 'later' means y > start, and y = start does not "
        "belong there.": {"first": 0},
        "The later years begin at start + 1; yours begin one further on.": {"first": 2},
        "You summed logits. Bring them to probabilities first.": {"scale": lambda x, _: x},
        "You summed log-probabilities; sum probabilities.": {"scale": torch.log_softmax},
        "You read the first position. The prediction after the prompt stands in the last one.": {
            "at": 0
        },
        "You read the position before the last one.": {"at": -2},
        "You normalised over the positions. Each row is one distribution over the vocabulary: use "
        "the last axis.": {"axis": 1},
        "You normalised over the prompts. Each row is one distribution over the vocabulary: use "
        "the last axis.": {"axis": 0},
    },
)
mistake(
    "The sign is turned round: later years count for the model.",
    lambda *given: -metric(*given),
)
mistake(
    "You returned absolute values: a model that prefers earlier years has a negative metric.",
    lambda *given: metric(*given).abs(),
)
mistake(
    "You used the first prompt's year for all prompts.",
    lambda logits, years, starts: metric(logits, years, [starts[0]] * len(starts)),
)
mistake(
    "You took a year for a token id. The id of year y is years[y].",
    lambda logits, years, starts: metric(logits, list(range(len(years))), starts),
)


@mistake("You added the two sums; the metric is their difference.")
def added(*given):
    return by_year(*given)[0].sum(1)


@mistake("You left out the years that are not later: subtract their probabilities.")
def later_only(*given):
    table, later = by_year(*given)
    return (table * later).sum(1)


@mistake("You returned only the probability of the years that are not later.")
def earlier_only(*given):
    table, later = by_year(*given)
    return (table * ~later).sum(1)


@mistake(
    "You took means over the years. The metric is a difference of sums, a probability minus a "
    "probability."
)
def means(*given):
    table, later = by_year(*given)
    sums = [(table * side).sum(1) / side.sum(1).clamp(min=1) for side in (later, ~later)]
    return sums[0] - sums[1]


@mistake(
    "You normalised over the years alone, or divided by their sum. Take the softmax over the whole "
    "vocabulary: mass on other words counts for nobody."
)
def share_of_years(*given):
    return metric(*given) / by_year(*given)[0].sum(1)


@mistake("You averaged over the positions. The prediction after the prompt stands in the last one.")
def mean_position(logits, years, starts):
    table = logits.double().softmax(-1).mean(1, keepdim=True)
    return metric(table, years, starts, scale=lambda x, _: x)


@mistake(
    "You compared token ids. Compare years: years[y] is only the name of year y in the vocabulary."
)
def compares_ids(logits, years, starts):
    table, _ = by_year(logits, years, starts)
    ids = torch.tensor(years)
    return torch.where(ids > ids[starts].unsqueeze(1), table, -table).sum(1)


@mistake("You compared two years only. Sum over all years after start, and over all others.")
def two_years(logits, years, starts):
    table, _ = by_year(logits, years, starts)
    rows, first = torch.arange(len(starts)), torch.tensor(starts)
    return table[rows, (first + 1) % len(years)] - table[rows, first]


@mistake(
    "One number per prompt, please: without the single values there is no interval, and no way to "
    "see which prompts disagree."
)
def one_number(*given):
    return metric(*given).mean()


@mistake(
    "With logits that lie far apart the metric is off: convert them to float64 before the softmax.",
    held_out=True,
)
def in_their_own_type(logits, years, starts):
    by_year(logits, years, starts)
    return metric(logits.softmax(-1), years, starts, scale=lambda x, _: x)


mistake(
    "The metric of large float64 logits that differ by little is off: stay in float64, and do not "
    "go through float32.",
    lambda logits, years, starts: metric(logits.float(), years, starts),
    held_out=True,
)


@witness("The rule")
def no_more_than_a_hundred_years(logits, years, starts):
    table, later = by_year(logits, years, starts)
    return torch.where(later, table, -table)[:, :100].sum(1)


def draws(*sizes, **more):
    names = ("prompts", "tokens", "n_years")
    return [Draw("readings", dict(zip(names, size, strict=True)) | more) for size in sizes]


RULE = (
    "The rule: at the last position of each prompt, the probabilities of all years above its start, "
    "minus those of all the other years."
)
HINT = "One number per prompt."
ANSWERS.part("one prompt", 3, draws((1, 3, 10), (1, 1, 7), (1, 5, 30), (1, 2, 100)), RULE, HINT)
ANSWERS.part(
    "several prompts, each with its own year",
    3,
    draws((4, 3, 12), (6, 1, 25), (3, 4, 130)),
    RULE,
    HINT,
)
END = {"note": "After the last year no year is right."}
FAR = {"note": "These logits lie far apart.", "tolerance": 1e-6}
SIZE = {"prompts": 3, "tokens": 2, "n_years": 9}
ANSWERS.part(
    "logits far apart, and the last year",
    1,
    [Draw("readings", SIZE | {"starts": s}, **END) for s in ([0, 8, 4], [8, 0, 8], [0, 0, 0])]
    + [
        Draw("readings", SIZE | {"dtype": kind, "far": 300.0}, **FAR)
        for kind in ("float16", "bfloat16", "float32", "float64")
    ]
    + [Draw("readings", SIZE | {"dtype": "float64", "shift": 4e4}, "Large logits.", 1e-6)],
    RULE,
    held_out=True,
)
ANSWERS.part(
    "starts that cannot be",
    1,
    [
        Draw(
            "readings",
            SIZE | {"starts": starts},
            note=f"For 3 prompts and years 0 to 8 the starts {starts} must raise ValueError.",
            refused=True,
        )
        for starts in ([1, 2, 9], [-1, 1, 2], [1, 2], [1, 2, 3, 1])
    ],
    "Each prompt has one start, from 0 to K - 1.",
    held_out=True,
)
