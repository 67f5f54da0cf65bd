"""04.2, the values of an ablation: answers, mistakes and draws (instructors only)."""

import random
from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.2", "three values for an ablation")


def average(values):
    return values.mean(dim=0, keepdim=True).expand_as(values)


def next_in_a_circle(n, seed):
    circle = np.random.default_rng(seed).permutation(n)
    lender = np.empty_like(circle)
    lender[circle] = np.roll(circle, 1)
    return lender


@ANSWERS.right
def ablation_values(
    values, kind, seed=0, zero=torch.zeros_like, mean=average, drawn=next_in_a_circle, lend=None
):
    """``drawn(n, seed)`` says who lends to whom; ``lend(values, seed)`` takes its place."""
    if kind == "zero":
        return zero(values)
    if kind == "mean":
        return mean(values)
    if kind != "resample" or len(values) < 2:
        raise ValueError("resample needs another prompt, and there is no fourth kind")
    return lend(values, seed) if lend else values[drawn(len(values), seed)]


def redrawn(n, seed):
    rng, order = random.Random(seed), list(range(n))
    while any(i == j for i, j in enumerate(order)):
        rng.shuffle(order)
    return order


@ANSWERS.other
def redraw_until_deranged(values, kind, seed=0):
    if kind not in ("zero", "mean", "resample") or (kind == "resample" and len(values) == 1):
        raise ValueError(kind)
    x = values.tolist()
    mean = [[sum(v) / len(x) for v in zip(*rows, strict=True)] for rows in zip(*x, strict=True)]
    if kind == "resample":
        return [x[i] for i in redrawn(len(x), seed)]
    return [mean for _ in x] if kind == "mean" else 0 * values


@ANSWERS.other
def shifted_along_an_order(values, kind, seed=0):
    def drawn(n, seed):
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(n, generator=generator)
        shift = torch.randint(1, n, (1,), generator=generator).item()
        return torch.zeros_like(order).index_copy(0, order, order.roll(shift))

    mean = values * 0 + values.sum(0) / len(values)
    return ablation_values(values, kind, seed, lambda x: x - x, lambda x: mean, drawn)


def like(table):
    """A mean of any shape in place of the right one."""
    return lambda values: table(values).expand_as(values)


def mended(n, seed):
    """A random order in which whoever stayed in place changes places with the next one."""
    order = np.random.default_rng(seed).permutation(n)
    for i in np.flatnonzero(order == np.arange(n)):
        order[[i, (i + 1) % n]] = order[[(i + 1) % n, i]]
    return redrawn(n, seed) if (order == np.arange(n)).any() else order


UNCHANGED = "You returned the values unchanged."
OFTEN = "Over many seeds some prompts lend to another far more often than the rest."
# fmt: off
for step, message, *ways in [
    ("zero", "For kind='zero' you returned the mean.", average),
    ("mean", "For kind='mean' you returned zeros.", torch.zeros_like),
    ("zero", UNCHANGED, lambda x: x),
    ("mean", UNCHANGED, lambda x: x),
    ("lend", UNCHANGED, lambda x, seed: x),
    ("mean", "You averaged over the positions of each prompt. The mean runs over the prompts.",
     like(lambda x: x.mean(1, True))),
    ("mean", "You averaged over prompts and positions together. Each position keeps its own mean.",
     like(lambda x: x.mean((0, 1)))),
    ("mean", "You averaged over everything, also over the dimensions.", like(torch.mean)),
    ("mean", "You averaged over the dimensions.", like(lambda x: x.mean(2, True))),
    ("mean", "You added the prompts up; divide by their number.", like(lambda x: x.sum(0))),
    ("mean", "You divided by N - 1, not by N.", like(lambda x: x.sum(0) / (len(x) - 1))),
    ("mean", "You left out the prompt itself. The mean runs over all prompts.",
     lambda x: (x.sum(0) - x) / (len(x) - 1)),
    ("mean", "You took the median; take the mean.", like(lambda x: x.quantile(0.5, 0))),
    ("mean", "You subtracted the mean. The new value is the mean itself.", lambda x: x - x.mean(0)),
    ("mean", "Return one [T, d] for each of the N prompts, not one for all.", lambda x: x.mean(0)),
    ("lend", "You shuffled within each prompt. Resampling exchanges the prompts and leaves every "
     "position where it is.", lambda x, seed: x.flip(1), lambda x, seed: x.roll(1, 2)),
    ("lend", "You drew anew for each position. The values of one prompt stay together, or you "
     "build a prompt that does not exist.", lambda x, seed: torch.stack(
         [part[redrawn(len(x), 7 * seed + t)] for t, part in enumerate(x.unbind(1))], 1)),
    ("drawn", "A prompt kept its own values: nothing was ablated there. Draw so that every prompt "
     "gets those of another one.", lambda n, seed: np.random.default_rng(seed).permutation(n)),
    ("drawn", "Two prompts got the values of the same prompt; each prompt's are handed on once.",
     lambda n, s: (np.arange(n) + np.random.default_rng(s).integers(1, n, size=n)) % n),
    ("drawn", "Every seed gives the same draw.", lambda n, seed: np.roll(np.arange(n), 1)),
    ("drawn", "Two calls with the same seed gave different values. Make the generator inside, from "
     "the seed, so that your result can be repeated.", lambda n, seed: redrawn(n, random.random())),
    ("drawn", OFTEN, mended, lambda n, seed: np.roll(np.arange(n), 1 + (seed % 3) * (n > 3))),
]:
    wrong = (partial(ablation_values, **{step: way}) for way in ways)
    ANSWERS.mistake(message, *wrong, held_out=message == OFTEN)
ANSWERS.mistake("Without `seed` the draw is that of seed 0.", held_out=True)(
    lambda values, kind, seed=1: ablation_values(values, kind, seed))
# fmt: on


@ANSWERS.witness("values that no prompt has")
def noise_instead(values, kind, seed=0):
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))
    return ablation_values(values, kind, lend=lambda x, seed: x.mean(0) + noise * x.std(0))


def draw(shape, note="", tolerance=1e-5, observe="", refused=False, **options):
    return Draw("node_outputs", {"shape": shape} | options, note, tolerance, 0, observe, refused)


RULE = "The rule: zero puts 0 everywhere, mean puts at each position the mean over the prompts."
HINT = "The new values stand in the same places: one [T, d] for each of the N prompts."
SIZES = [5, 3, 4], [3, 4, 2], [4, 1, 3]
FIXED = [draw(size, kind=kind) for size in SIZES for kind in ("zero", "mean")]
ANSWERS.part("zero and mean", 3, FIXED, RULE, HINT)
LENT = "The rule: each prompt gets the values of another one, unchanged; all are handed on once."
SIZES = [7, 3, 2], [6, 2, 4], [2, 2, 3], [4, 1, 1]
LENDING = [draw(size, observe="what_was_lent", seeds=8) for size in SIZES]
ANSWERS.part("resample", 4, LENDING, LENT)
MANY = [
    draw([3, 1, 2], observe="how_often_each_lends", seeds=300),
    draw([5, 1, 2], observe="how_often_each_lends", seeds=120),
    draw([6, 2, 2], observe="differs_from_seed_0"),
]
ANSWERS.part("every other prompt alike", 2, MANY, LENT, held_out=True)
KINDS = "An ablation of an unknown kind must raise ValueError."
ALONE = "One prompt has no other whose values it could get: raise ValueError."
EDGES = [
    draw([1, 3, 2], "The mean of one prompt is the prompt itself.", kind="mean"),
    draw([1, 3, 2], "Zero for one prompt too.", kind="zero"),
    draw([4, 2, 3], "Small values.", kind="mean", size=1e-5),
    draw([4, 2, 3], "Large values.", kind="mean", size=1e5),
    draw([4, 2, 3], "Values in float64.", 1e-6, kind="mean", dtype="float64"),
    draw([1, 3, 2], ALONE, refused=True, kind="resample"),
    *(draw([n, 3, 2], KINDS, refused=True, kind=kind) for n, kind in ((2, "median"), (1, "Zero"))),
]
ANSWERS.part("one prompt, unknown kinds", 2, EDGES, RULE, HINT, held_out=True)
