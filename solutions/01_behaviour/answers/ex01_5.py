"""01.5, a bootstrap interval: answers, mistakes and draws (instructors only).

Right answers use other random numbers, so there are two kinds of draw. Where the means can take few
values only, both ends are the same for all right answers. Elsewhere they may differ by ``SPREAD``,
more than six standard deviations of what two generators differ by.
"""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.5", "a bootstrap interval")


def generator(seed):
    return torch.Generator().manual_seed(seed)


def unseeded(_):
    return generator(int(np.random.default_rng().integers(9**9)))


def drawn(values, size, n_resamples, chance):
    """The means of ``size`` pairs each, with replacement, [n_resamples]."""
    places = torch.randint(len(values), (n_resamples, size), generator=chance)
    return values.double()[places].mean(1)


def over_paradigms(groups, n_resamples, chance, size=len):
    """One mean over paradigms a resample."""
    return sum(drawn(g, size(g), n_resamples, chance) for g in groups) / len(groups)


def cut(means, level, tail=lambda level: (1 - level) / 2):
    """The two quantiles; ``tail`` is the share that is cut off on each side."""
    shares = torch.tensor([tail(level), 1 - tail(level)], dtype=torch.float64)
    return tuple(torch.quantile(means, shares).tolist())


@ANSWERS.right
def bootstrap_interval(
    correct, n_resamples=1000, level=0.95, seed=0, means=over_paradigms, ends=cut, chance=generator
):
    return ends(means(correct, n_resamples, chance(seed)), level)


@ANSWERS.other
def with_numpy(correct, n_resamples=1000, level=0.95, seed=0):
    rng = np.random.default_rng(seed)
    groups = [group.double().numpy() for group in correct]
    draws = [rng.choice(group, (n_resamples, len(group))).mean(1) for group in groups]
    return np.percentile(np.mean(draws, 0), [50 - 50 * level, 50 + 50 * level], method="lower")


@ANSWERS.other
def counts_of_pairs(correct, n_resamples=1000, level=0.95, seed=0):
    rng, means = np.random.default_rng(seed), np.zeros(n_resamples)
    for group in correct:
        n = len(group)
        means += rng.multinomial(n, [1 / n] * n, n_resamples) @ group.double().numpy() / n
    skipped = int(n_resamples * (1 - level) / 2)
    return tuple(np.sort(means)[[skipped, -1 - skipped]] / len(correct))


def pooled(groups, *given):
    return over_paradigms([torch.cat(groups)], *given)


def micro(groups, *given):
    return sum(drawn(g, len(g), *given) * len(g) for g in groups) / sum(map(len, groups))


def of_paradigms(groups, *given):
    return over_paradigms([torch.stack([g.double().mean() for g in groups])], *given)


def without_replacement(groups, *given):
    return over_paradigms([g.double().mean()[None] for g in groups], *given)


def same_positions(groups, n_resamples, chance):
    start = chance.get_state()
    return sum(drawn(g, len(g), n_resamples, chance.set_state(start)) for g in groups) / len(groups)


def symmetric(means, level):
    half = torch.distributions.Normal(0, 1).icdf(torch.tensor((1 + level) / 2))
    return tuple((means.mean() + side * half * means.std(correction=0)).item() for side in (-1, 1))


SEED = "Two different seeds gave the same interval: use the seed you were given."
REPLACE = "Every resample gave the same mean: draw with replacement."
POOL = "The interval is that of one pool of all pairs. Resample inside each paradigm."
MICRO = "The interval lies around the mean over pairs (micro): resample inside each paradigm."
PARADIGMS = "You resampled the paradigms; keep them fixed and resample the pairs inside each."
SAME = "All paradigms drew the same positions: make the generator once, before the loop."
TAILS = "You cut 1 - level off each side. Half of it belongs to each: (1 - level) / 2."
SYMMETRIC = (
    "The interval is symmetric around the mean; take the percentiles of the resampled means."
)
ANSWERS.variants(
    bootstrap_interval,
    {
        SEED: {"chance": lambda seed: generator(7)},
        REPLACE: {"means": without_replacement},
        POOL: {"means": pooled},
        MICRO: {"means": micro},
        PARADIGMS: {"means": of_paradigms},
        SAME: {"means": same_positions},
        "You summed the paradigms; take their mean.": {
            "means": lambda groups, *given: over_paradigms(groups, *given) * len(groups)
        },
        TAILS: {"ends": partial(cut, tail=lambda level: 1 - level)},
        SYMMETRIC: {"ends": symmetric},
        "The interval is turned round: return (low, high).": {"ends": lambda *x: cut(*x)[::-1]},
        "Your interval does not follow `level`.": {"ends": lambda means, _: cut(means, 0.95)},
    },
)
SIZE = "This is the spread of another number of pairs: draw as many as the paradigm has."
for size in (lambda g: 300, lambda g: 1, lambda g: 2 * len(g), lambda g: len(g) - 1):
    means = partial(over_paradigms, size=size)
    ANSWERS.mistake(SIZE, partial(bootstrap_interval, means=means))
WIDE = "Too wide: average over the paradigms inside each resample, not the ends of their intervals."


@ANSWERS.mistake(WIDE)
def average_of_ends(correct, n_resamples=1000, level=0.95, seed=0):
    own = [bootstrap_interval([g], n_resamples, level, seed + i) for i, g in enumerate(correct)]
    return tuple(np.mean(own, 0))


held_out = partial(ANSWERS.mistake, held_out=True)


@held_out("You mirrored the percentiles at the mean (the basic bootstrap); take them as they are.")
def basic(correct, *given, **named):
    twice = 2 * np.mean([group.double().mean() for group in correct])
    return tuple(twice - end for end in bootstrap_interval(correct, *given, **named)[::-1])


ANY = "Your function does not follow n_resamples: a single resample gives one mean, low = high."
DEFAULTS = "The defaults are n_resamples=1000, level=0.95 and seed=0."
held_out(ANY, lambda groups, n=1000, *given: bootstrap_interval(groups, 1000, *given))
held_out(DEFAULTS, lambda groups, n=500, *given: bootstrap_interval(groups, n, *given))
held_out(DEFAULTS, lambda groups, n=1000, p=0.9, *given: bootstrap_interval(groups, n, p, *given))
held_out(DEFAULTS, lambda g, n=1000, p=0.95, seed=1: bootstrap_interval(g, n, p, seed))
NO_SEED = "The same seed gave two different intervals: make the generator from seed."
ANSWERS.mistake(NO_SEED, lambda *given: bootstrap_interval(*given, chance=unseeded))


def draw(numbers, n_resamples, level, note="", tolerance=1e-6, observe="ends"):
    options = {"numbers": numbers, "n_resamples": n_resamples, "level": level}
    return Draw("paradigms", options, note, tolerance, 1.0, observe)


RULE = (
    "The ends are quantiles of the resampled means, (1 - level) / 2 cut off on each side. A "
    "resample draws as many pairs as each paradigm has, with replacement."
)
UNEQUAL, SPREAD = [[5, 18, 0], [8, 1, 2], [4, 2, 1]], 0.02
PAIR = {"n": 9, "n_resamples": 5000, "level": 0.6}
WIDTHS = [draw(UNEQUAL, 5000, level, f"level={level}.", SPREAD) for level in (0.9, 0.6)]
WIDTHS += [Draw("mirrored", PAIR, "Two paradigms of nine.", SPREAD / 2, 1.0, "ends")]
ANSWERS.part("width and centre", 7, WIDTHS, RULE)
SEEDS = [draw(UNEQUAL, 200, 0.9, observe="repeats")] * 2
ANSWERS.part("seeded", 3, SEEDS, "The same seed gives the same interval, another seed another one.")
SKEWED = [
    draw([[2, 6, 0]], 4000, 0.97, "Two of eight pairs are right: a skew.", SPREAD / 2),
    draw([[6, 2, 0]], 4000, 0.97, "Six of eight pairs are right: a skew.", SPREAD / 2),
    draw([[1, 3, 0]], 4000, 0.8, "One of four pairs is right."),
]
ANSWERS.part("skewed percentiles", 3, SKEWED, RULE, held_out=True)
CERTAIN = [
    draw([[5, 0, 0], [0, 7, 0]], 100, 0.95, "Nothing varies inside the paradigms."),
    draw([[0, 0, 1]], 100, 0.95, "A single pair."),
    draw(UNEQUAL, 1000, 0.9, "A higher level contains the lower one.", observe="nested"),
    draw(UNEQUAL, 1000, 0.9, "One resample has low = high.", observe="one_mean"),
    draw(UNEQUAL, 1000, 0.9, "Arguments are left out.", observe="defaults"),
]
ANSWERS.part("certain and nested", 2, CERTAIN, RULE, held_out=True)
