"""04.2, the values of an ablation: answers, mistakes and draws (instructors only)."""

import random
from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("04.2", "three values for an ablation")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def average(values):
    return values.mean(dim=0, keepdim=True).expand_as(values)


def next_in_a_circle(n, seed):
    circle = np.random.default_rng(seed).permutation(n)
    lender = np.empty_like(circle)
    lender[circle] = np.roll(circle, 1)
    return lender


@right
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


@other
def redraw_until_deranged(values, kind, seed=0):
    if kind not in ("zero", "mean", "resample") or (kind == "resample" and len(values) == 1):
        raise ValueError(kind)
    x = values.tolist()
    mean = [[sum(v) / len(x) for v in zip(*rows, strict=True)] for rows in zip(*x, strict=True)]
    if kind == "resample":
        return [x[i] for i in redrawn(len(x), seed)]
    return [mean for _ in x] if kind == "mean" else 0 * values


@other
def shifted_along_an_order(values, kind, seed=0):
    def lend(values, seed):
        generator, n = torch.Generator().manual_seed(seed), len(values)
        order = torch.randperm(n, generator=generator)
        lender = order.roll(int(torch.randint(1, n, (1,), generator=generator)))
        return torch.zeros_like(values).index_copy(0, order, values[lender]).detach().numpy()

    mean = values * 0 + values.sum(0) / len(values)
    return ablation_values(values, kind, seed, lambda x: x - x, lambda x: mean, lend=lend)


def like(table):
    """A mean of any shape in place of the right one."""
    return lambda values: table(values).expand_as(values)


UNCHANGED = "You returned the values unchanged."
# fmt: off
for step, message, *ways in [
    ("zero", "For kind='zero' you returned the mean.", average),
    ("mean", "For kind='mean' you returned zeros.", torch.zeros_like),
    ("zero", UNCHANGED, lambda x: x),
    ("mean", UNCHANGED, lambda x: x),
    ("lend", UNCHANGED, lambda x, seed: x),
    ("mean", "You averaged over the positions of each prompt. The mean runs over the prompts: at "
     "each position, what this node says on average.", like(lambda x: x.mean(1, keepdim=True))),
    ("mean", "You averaged over prompts and positions together. Each position keeps its own mean.",
     like(lambda x: x.mean((0, 1)))),
    ("mean", "You averaged over everything, also over the dimensions.", like(torch.mean)),
    ("mean", "You averaged over the dimensions.", like(lambda x: x.mean(2, keepdim=True))),
    ("mean", "You added the prompts up; divide by their number.", like(lambda x: x.sum(0))),
    ("mean", "You divided by N - 1. A mean divides by N.",
     like(lambda x: x.sum(0) / (len(x) - 1))),
    ("mean", "You left out the prompt itself. The mean runs over all prompts.",
     lambda x: (x.sum(0) - x) / (len(x) - 1)),
    ("mean", "You took the median; take the mean.", like(lambda x: x.quantile(0.5, 0))),
    ("mean", "You subtracted the mean. The new value is the mean itself.", lambda x: x - x.mean(0)),
    ("mean", "Return one [T, d] for each of the N prompts; yours is one for all.",
     lambda x: x.mean(0)),
    ("lend", "You shuffled within each prompt. Resampling exchanges the prompts and leaves every "
     "position where it is.", lambda x, seed: x.flip(1), lambda x, seed: x.roll(1, 2)),
    ("lend", "You drew anew for each position. The values of one prompt stay together, or you "
     "build a prompt that does not exist.", lambda x, seed: torch.stack(
         [part[redrawn(len(x), 7 * seed + t)] for t, part in enumerate(x.unbind(1))], 1)),
    ("drawn", "A prompt kept its own values: nothing was ablated there. Draw so that every prompt "
     "gets those of another one.", lambda n, seed: np.random.default_rng(seed).permutation(n)),
    ("drawn", "Two prompts got the values of the same prompt. Each prompt's values are handed on "
     "exactly once, so that their distribution stays what it was.", lambda n, seed:
     (np.arange(n) + np.random.default_rng(seed).integers(1, n, size=n)) % n),
    ("drawn", "Every seed gives the same draw. Draw at random, from the seed.",
     lambda n, seed: np.roll(np.arange(n), 1)),
    ("drawn", "Two calls with the same seed gave different values. Make the generator inside, from "
     "the seed, so that your result can be repeated.", lambda n, seed: redrawn(n, random.random())),
]:
    mistake(message, *(partial(ablation_values, **{step: way}) for way in ways))
# fmt: on


def mended(n, seed):
    """A random order in which whoever stayed in place changes places with the next one."""
    order = np.random.default_rng(seed).permutation(n)
    for i in np.flatnonzero(order == np.arange(n)):
        order[[i, (i + 1) % n]] = order[[(i + 1) % n, i]]
    return redrawn(n, seed) if (order == np.arange(n)).any() else order


mistake(
    "Over many seeds some prompts lend their values to another far more often than the rest: all "
    "other prompts must be equally likely.",
    partial(ablation_values, drawn=mended),
    partial(ablation_values, drawn=lambda n, seed: np.roll(np.arange(n), 1 + (seed % 3) * (n > 3))),
    held_out=True,
)
mistake(
    "Without `seed` the draw is that of seed 0.",
    lambda values, kind, seed=1: ablation_values(values, kind, seed),
    held_out=True,
)


@witness("values that no prompt has")
def noise_instead(values, kind, seed=0):
    noise = torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))
    return ablation_values(values, kind, lend=lambda x, seed: x.mean(0) + noise * x.std(0))


def fixed(shape, kind, note="", tolerance=1e-5, **options):
    return Draw("node_outputs", {"shape": shape, "kind": kind, **options}, note, tolerance)


def lent(shape, seeds, observe="what_was_lent"):
    return Draw("node_outputs", {"shape": shape, "seeds": seeds}, observe=observe)


RULE = "The rule: zero puts 0 everywhere, mean puts at each position the mean over the prompts."
HINT = "The new values stand in the same places: one [T, d] for each of the N prompts."
SIZES = ([5, 3, 4], [3, 4, 2], [4, 1, 3])
FIXED = [fixed(size, kind) for size in SIZES for kind in ("zero", "mean")]
ANSWERS.part("zero and mean", 3, FIXED, RULE, HINT)
LENT = (
    "The rule: each prompt gets the values of one other prompt, unchanged; each is handed on once."
)
SEVERAL = [lent(size, 8) for size in ([7, 3, 2], [6, 2, 4], [2, 2, 3], [4, 1, 1])]
ANSWERS.part("resample", 4, SEVERAL, LENT)
MANY = [lent([5, 1, 2], 360, "how_often_each_lends"), lent([6, 2, 2], 1, "differs_from_seed_0")]
ANSWERS.part("every other prompt alike", 2, MANY, LENT, held_out=True)
BAD = {
    (1, "resample"): "One prompt has no other whose values it could get: raise ValueError.",
    (2, "median"): "An ablation of an unknown kind must raise ValueError.",
    (1, "Zero"): "An ablation of an unknown kind must raise ValueError.",
}
EDGES = [
    fixed([1, 3, 2], "mean", "The mean of one prompt is the prompt itself."),
    fixed([1, 3, 2], "zero", "Zero for one prompt too."),
    fixed([4, 2, 3], "mean", "Small values.", size=1e-5),
    fixed([4, 2, 3], "mean", "Large values.", size=1e5),
    fixed([4, 2, 3], "mean", "Values in float64.", 1e-10, dtype="float64"),
    *(
        Draw("node_outputs", {"shape": [n, 3, 2], "kind": kind}, note, refused=True)
        for (n, kind), note in BAD.items()
    ),
]
ANSWERS.part("one prompt, unknown kinds", 2, EDGES, RULE, HINT, held_out=True)
