"""04.1, the metric of greater-than: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.1", "the metric of greater-than")


def last(table):
    return table[:, -1]


def signed(table, later):
    return torch.where(later, table, -table).sum(1)


@ANSWERS.right
def greater_than(
    logits, years, starts, at=last, axis=-1, scale=torch.softmax, first=1, combine=signed
):
    """``combine`` gets the table [N, K] of the years, and which ones count for the model."""
    if len(starts) != len(logits) or not all(0 <= start < len(years) for start in starts):
        raise ValueError("one start for each prompt, from 0 to K - 1")
    table = at(scale(logits.double(), axis))[:, years]
    later = torch.arange(len(years)) >= torch.tensor(starts).unsqueeze(1) + first
    return combine(table, later)


@ANSWERS.other
def one_year_at_a_time(logits, years, starts):
    if len(starts) != logits.shape[0] or min(starts) < 0 or max(starts) >= len(years):
        raise ValueError(starts)
    found = []
    for row, start in zip(logits[:, -1].detach().double().numpy(), starts, strict=True):
        weights = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        found.append(sum(p if y > start else -p for y, p in enumerate(weights[years])))
    return found


@ANSWERS.other
def all_minus_twice_the_earlier(logits, years, starts):
    if len(starts) != len(logits) or any(s not in range(len(years)) for s in starts):
        raise ValueError
    sums = logits[:, -1].double().softmax(-1)[:, years].cumsum(1)
    return sums[:, -1] - 2 * sums[torch.arange(len(starts)), torch.tensor(starts)]


AXIS = "Each row is one distribution over the vocabulary: use the last axis."
AT = "The prediction after the prompt stands in the last one."
# fmt: off
for message, changed in {
    "The first year itself counts as wrong: 'later' means y > start.": {"first": 0},
    "The later years begin at start + 1; yours begin one further on.": {"first": 2},
    "You summed logits. Bring them to probabilities first.": {"scale": lambda x, _: x},
    "You summed log-probabilities; sum probabilities.": {"scale": torch.log_softmax},
    f"You read the first position. {AT}": {"at": lambda x: x[:, 0]},
    "You read the position before the last one.": {"at": lambda x: x[:, -2:][:, 0]},
    f"You averaged over the positions. {AT}":
        {"scale": lambda x, axis: x.softmax(axis).mean(1, keepdim=True).expand_as(x)},
    f"You normalised over the positions. {AXIS}": {"axis": 1},
    f"You normalised over the prompts. {AXIS}": {"axis": 0},
    "The sign is turned round: later years count for the model.":
        {"combine": lambda table, later: signed(table, ~later)},
    "You returned absolute values: a model that prefers earlier years has a negative metric.":
        {"combine": lambda table, later: signed(table, later).abs()},
    "One number per prompt, please: without them there is no interval.":
        {"combine": lambda table, later: signed(table, later).mean()},
    "You added the two sums; the metric is their difference.":
        {"combine": lambda table, later: table.sum(1)},
    "You normalised over the years alone, or divided by their sum. Take the softmax over the whole "
    "vocabulary: mass on other words counts for nobody.":
        {"combine": lambda table, later: signed(table, later) / table.sum(1)},
    "You left out the years that are not later: subtract their probabilities.":
        {"combine": lambda table, later: (table * later).sum(1)},
    "You returned only the probability of the years that are not later.":
        {"combine": lambda table, later: (table * ~later).sum(1)},
    "You took means over the years. The metric is a difference of sums.":
        {"combine": lambda table, later: (table * later).sum(1) / later.sum(1).clamp(min=1)
         - (table * ~later).sum(1) / (~later).sum(1)},
    "You compared two years only. Sum over all years after start, and over all others.":
        {"combine": lambda table, later: table.new_tensor([
            row[(n := int((~side).sum())) % len(row)] - row[n - 1]
            for row, side in zip(table, later, strict=True)])},
}.items():
    ANSWERS.mistake(message, partial(greater_than, **changed))
for message, wrong in {
    "You used the first prompt's year for all prompts.":
        lambda logits, years, starts: greater_than(logits, years, [starts[0]] * len(starts)),
    "You took a year for a token id. The id of year y is years[y].":
        lambda logits, years, starts: greater_than(logits, list(range(len(years))), starts),
    "You compared token ids. years[y] is only the name of year y in the vocabulary.":
        lambda logits, years, starts: greater_than(
            logits, sorted(years), [sorted(years).index(years[start]) for start in starts]),
}.items():
    ANSWERS.mistake(message, wrong)
# fmt: on


@ANSWERS.mistake(
    "The metric is off where logits lie far apart: go to float64 first.", held_out=True
)
def in_their_own_type(logits, years, starts):
    return greater_than(logits.softmax(-1), years, starts, scale=lambda x, _: x)


ANSWERS.mistake(
    "The metric of large float64 logits that differ by little is off: do not go through float32.",
    lambda logits, years, starts: greater_than(logits.float(), years, starts),
    held_out=True,
)


@ANSWERS.witness("The rule")
def no_more_than_a_hundred_years(*given):
    return greater_than(*given, combine=lambda *both: signed(*(x[:, :100] for x in both)))


def draws(*sizes):
    names = ("prompts", "tokens", "n_years")
    return [Draw("readings", dict(zip(names, size, strict=True))) for size in sizes]


RULE = (
    "The rule: at the last position of each prompt, the probabilities of all years above its "
    "start, minus those of all the other years."
)
ANSWERS.part("one prompt", 3, draws((1, 3, 10), (1, 1, 7), (1, 5, 30), (1, 2, 100)), RULE)
several = draws((4, 3, 12), (6, 1, 25), (3, 4, 130))
ANSWERS.part("several prompts, each with its own year", 3, several, RULE)
SIZE = {"prompts": 3, "tokens": 2, "n_years": 9}
ENDS = [
    Draw("readings", SIZE | {"starts": starts}, "After the last year no year is right.")
    for starts in ([0, 8, 4], [8, 0, 8], [0, 0, 0])
]
FAR = [
    Draw("readings", SIZE | {"dtype": kind, "far": 300.0}, "Logits that lie far apart.", 1e-6)
    for kind in ("float16", "bfloat16", "float32", "float64")
]
LARGE = Draw("readings", SIZE | {"dtype": "float64", "shift": 4e4}, "Large logits.", 1e-6)
ANSWERS.part("logits far apart, and the last year", 1, [*ENDS, *FAR, LARGE], RULE, held_out=True)
BAD = [
    Draw("readings", SIZE | {"starts": bad}, refused=True, note=f"{bad} must raise ValueError")
    for bad in ([1, 2, 9], [-1, 1, 2], [1, 2], [1, 2, 3, 1])
]
ANSWERS.part("starts that cannot be", 1, BAD, "One start for each prompt.", held_out=True)
