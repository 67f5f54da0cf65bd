"""01.6, surprisal of regions: answers, mistakes and draws (instructors only)."""

import math
from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.6", "surprisal of regions")


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


@ANSWERS.right
def region_surprisals(logprobs, regions, n_regions):
    return by_region(logprobs, regions, n_regions)


@ANSWERS.other
def with_bincount(logprobs, regions, n_regions):
    places = np.array(regions)
    if places.min() < 1 or places.max() > n_regions:
        raise ValueError("region out of range")
    return np.bincount(places - 1, -logprobs.double().numpy(), n_regions)


@ANSWERS.other
def with_masks(logprobs, regions, n_regions):
    if not set(regions) <= set(range(1, n_regions + 1)):
        raise ValueError(regions)
    home = torch.tensor(regions)
    return torch.stack([-logprobs[home == r].sum() for r in range(1, n_regions + 1)])


def probability(values):
    return sum(map(math.exp, values))


ADDED = "You added probabilities first; add the surprisals of the tokens."
for message, of in (
    ("The sign is turned round: surprisal is minus the log-probability.", sum),
    ("You used base 2 (bits). Use the natural logarithm: nats.", lambda v: -sum(v) / math.log(2)),
    ("You took the mean in each region; surprisals of a region add up.", lambda v: -np.mean(v)),
    ("You took the largest of each region; surprisals of a region add up.", lambda v: -min(v)),
    ("You kept one token of each region; add all of them.", lambda v: -v[0]),
    ("You kept one token of each region; add all of them.", lambda v: -v[-1]),
    ("You used probabilities; surprisal is minus the log-probability.", probability),
    (ADDED, lambda v: -math.log(probability(v))),
):
    ANSWERS.mistake(message, partial(by_region, of=of))
ANSWERS.mistake(
    "You are off by one: regions are numbered from 1, region 1 stands first.",
    lambda *given: np.roll(by_region(*given), 1),
    lambda *given: [0.0, *by_region(*given)[:-1]],
    lambda *given: [*by_region(*given)[1:], 0.0],
)
ANSWERS.mistake(
    "Every region needs a value; one without a token has surprisal 0.",
    lambda *given: [-sum(values) for values in tokens_of(*given) if values],
)
held_out = partial(ANSWERS.mistake, held_out=True)
OUTSIDE = "A region outside 1 ... n_regions must raise ValueError, or its surprisal is lost."


@held_out(OUTSIDE)
def wraps_round(logprobs, regions, n_regions):
    found = [0.0] * n_regions
    for logprob, region in zip(logprobs.tolist(), regions, strict=True):
        found[region - 1] -= logprob
    return found


@held_out(OUTSIDE)
def left_out(logprobs, regions, n_regions):
    return [-logprobs[torch.tensor(regions) == r + 1].sum() for r in range(n_regions)]


@held_out("Tokens of one region need not be neighbours: keep adding to what stands there.")
def last_run_of_each(logprobs, regions, n_regions):
    found = by_region(logprobs, regions, n_regions)
    for i, region in enumerate(regions):
        new = i == 0 or regions[i - 1] != region
        found[region - 1] = (0.0 if new else found[region - 1]) - logprobs[i].item()
    return found


@held_out("You multiplied with a mask: inf times 0 is nan. Choose the tokens of a region.")
def times_mask(logprobs, regions, n_regions):
    tokens_of(logprobs, regions, n_regions)
    return -((torch.tensor(regions) == torch.arange(1, n_regions + 1)[:, None]) * logprobs).sum(1)


ANSWERS.witness("sum of the surprisals")(lambda *given: np.round(by_region(*given), 4))


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
WHOLE = "The regions sum to the surprisal of the sentence: each token belongs to one region."
LONG = [1, 1, 1, 2, 3, 3, 3, 3, 4, 4], [1, 1, 2, 3, 3, 5, 5, 5, 6, 7, 7]
TOTALS = [draw(places, places[-1], observe="total") for places in LONG]
ANSWERS.part("regions sum to the total", 2, TOTALS, WHOLE)
MIXED = [
    draw([2, 1, 2, 4, 1, 4], 4, "The tokens of a region are not neighbours."),
    draw([1, 1, 1, 2, 2, 5, 5, 5], 6, "The regions are in no order.", shuffled=True),
    draw([1, 2, 1, 3, 3], 3, "The first token is impossible.", never=1, dtype="float64"),
    draw([1], 1, "A single token.", size=1e5),
]
ANSWERS.part("regions out of order", 2, MIXED, RULE, held_out=True)
BAD = [draw([1, 2, bad, 3], 3, f"{bad} of 3? {OUTSIDE}", "", True) for bad in (0, 4, -1)]
ANSWERS.part("regions out of range", 1, BAD, RULE, held_out=True)
