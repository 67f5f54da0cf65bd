"""01.6, surprisal of regions: answers, mistakes and draws (instructors only)."""

import math

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.6", "surprisal of regions")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def tokens_of(logprobs, regions, n_regions):
    """The log-probabilities of each region, a list of lists; refuses regions that are none."""
    found = [[] for _ in range(n_regions)]
    for logprob, region in zip(logprobs.tolist(), regions, strict=True):
        if not 1 <= region <= n_regions:
            raise ValueError(f"region {region} is not one of 1 ... {n_regions}")
        found[region - 1].append(logprob)
    return found


def by_region(*given, of=lambda values: -sum(values)):
    """One number for each region that has tokens, and 0 for the others."""
    return [of(values) if values else 0.0 for values in tokens_of(*given)]


@right
def region_surprisals(logprobs, regions, n_regions):
    return by_region(logprobs, regions, n_regions)


@other
def with_bincount(logprobs, regions, n_regions):
    places = np.array(regions)
    if places.min() < 1 or places.max() > n_regions:
        raise ValueError("region out of range")
    return np.bincount(places - 1, -logprobs.double().numpy(), n_regions)


@other
def with_masks(logprobs, regions, n_regions):
    if not set(regions) <= set(range(1, n_regions + 1)):
        raise ValueError(regions)
    home = torch.tensor(regions)
    return torch.stack([-logprobs[home == r].sum() for r in range(1, n_regions + 1)])


ANSWERS.variants(
    by_region,
    {
        "The sign is turned round: surprisal is minus the log-probability.": {"of": sum},
        "You used the logarithm to base 2 (bits). Use the natural logarithm: nats.": {
            "of": lambda values: -sum(values) / math.log(2)
        },
        "You took the mean in each region; surprisals of a region add up.": {
            "of": lambda values: -sum(values) / len(values)
        },
        "You took the largest surprisal of each region; surprisals of a region add up.": {
            "of": lambda values: -min(values)
        },
        "You used probabilities; surprisal is minus the log-probability.": {
            "of": lambda values: sum(map(math.exp, values))
        },
        "You added probabilities first; add the surprisals of the tokens.": {
            "of": lambda values: -math.log(sum(map(math.exp, values)))
        },
    },
)
for kept in (0, -1):
    mistake(
        "You kept one token of each region; add all of them.",
        lambda *given, kept=kept: by_region(*given, of=lambda values: -values[kept]),
    )
mistake(
    "Every region needs a value; one without a token has surprisal 0.",
    lambda *given: [-sum(values) for values in tokens_of(*given) if values],
)
mistake(
    "You are off by one: regions are numbered from 1, region 1 stands first.",
    lambda *given: np.roll(by_region(*given), 1),
    lambda *given: [0.0, *by_region(*given)[:-1]],
    lambda *given: [*by_region(*given)[1:], 0.0],
)
BEFORE = "Tokens of one region need not be neighbours: keep adding to what stands there."


@mistake(BEFORE, held_out=True)
def last_run_of_each(logprobs, regions, n_regions):
    found = [0.0] * n_regions
    previous = None
    for values, region in zip(logprobs.tolist(), regions, strict=True):
        before = found[region - 1] if region == previous else 0.0
        found[region - 1] = before - values
        previous = region
    return found


OUTSIDE = "A region outside 1 ... n_regions must raise ValueError, or its surprisal is lost."


@mistake(OUTSIDE, held_out=True)
def wraps_round(logprobs, regions, n_regions):
    found = [0.0] * n_regions
    for logprob, region in zip(logprobs.tolist(), regions, strict=True):
        found[region - 1] -= logprob
    return found


mistake(
    OUTSIDE,
    lambda logprobs, regions, n: by_region(logprobs, [min(max(r, 1), n) for r in regions], n),
    lambda logprobs, regions, n: (
        [0.0] * n if set(regions) - set(range(1, n + 1)) else by_region(logprobs, regions, n)
    ),
    held_out=True,
)


@mistake(
    "You multiplied with a mask: inf times 0 is nan. Choose the tokens of a region.", held_out=True
)
def times_mask(logprobs, regions, n_regions):
    tokens_of(logprobs, regions, n_regions)
    homes = torch.tensor(regions) == torch.arange(1, n_regions + 1)[:, None]
    return -(homes * logprobs).sum(1)


@witness("sum of the surprisals")
def rounded(*given):
    return [round(value, 4) for value in by_region(*given)]


def draw(places, n_regions, note="", observe="", refused=False, **options):
    options = {"places": places, "n_regions": n_regions} | options
    return Draw("regions", options, note, 1e-6, observe=observe, refused=refused)


RULE = "A region's surprisal is the sum of the surprisals of its tokens."
VALUES = [
    draw([1, 1, 2, 3, 3, 3], 3),
    draw([1, 2, 2, 4, 4, 4, 5], 5, "Region 3 is empty."),
    draw([2, 2, 3], 4, "The first and the last region are empty.", size=1e-3),
]
ANSWERS.part("sum in each region", 5, VALUES, RULE, "Every region needs a value.")
TOTALS = [
    draw([1, 1, 1, 2, 3, 3, 3, 3, 4, 4], 4, observe="total"),
    draw([1, 1, 2, 3, 3, 5, 5, 5, 6, 7, 7], 7, observe="total"),
]
WHOLE = "The regions sum to the surprisal of the sentence: each token belongs to one region."
ANSWERS.part("regions sum to the total", 2, TOTALS, WHOLE)
MIXED = [
    draw([2, 1, 2, 4, 1, 4], 4, "The tokens of a region are not neighbours."),
    draw([1, 1, 1, 2, 2, 5, 5, 5], 6, "The regions are in no order.", shuffled=True),
    draw([1, 2, 1, 3, 3], 3, "The first token is impossible.", never=1, dtype="float64"),
    draw([1], 1, "A single token.", size=1e5),
]
ANSWERS.part("regions out of order", 2, MIXED, RULE, held_out=True)
BAD = [
    draw(
        [1, 2, bad, 3],
        3,
        f"Region {bad} of 3 does not exist and must raise ValueError.",
        refused=True,
    )
    for bad in (0, 4, -1)
]
ANSWERS.part("regions out of range", 1, BAD, RULE, held_out=True)
