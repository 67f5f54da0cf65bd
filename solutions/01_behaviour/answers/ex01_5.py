"""01.5, a bootstrap interval: answers, mistakes and draws (instructors only).

Right answers use other random numbers, so two kinds of draw are there. Where the means can only
take few values both ends are the same for all of them. Elsewhere ends may differ by
an absolute tolerance of about six standard deviations of what two generators differ by.
"""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("01.5", "a bootstrap interval")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def generator(seed):
    return torch.Generator().manual_seed(seed)


def drawn(values, size, n_resamples, chance):
    """The means of ``size`` pairs each, with replacement, [n_resamples]."""
    places = torch.randint(len(values), (n_resamples, size), generator=chance)
    return values.double()[places].mean(1)


def over_paradigms(groups, n_resamples, chance, size=len):
    """One mean over paradigms a resample."""
    return sum(drawn(g, size(g), n_resamples, chance) for g in groups) / len(groups)


def cut(means, level, low=lambda level: (1 - level) / 2):
    """The two quantiles; ``low`` is the share that is cut off on each side."""
    shares = torch.tensor([low(level), 1 - low(level)], dtype=torch.float64)
    return tuple(torch.quantile(means, shares).tolist())


@right
def bootstrap_interval(
    correct,
    n_resamples=1000,
    level=0.95,
    seed=0,
    means=over_paradigms,
    ends=cut,
    chance=generator,
):
    return ends(means(correct, n_resamples, chance(seed)), level)


interval = bootstrap_interval


@other
def with_numpy(correct, n_resamples=1000, level=0.95, seed=0):
    rng = np.random.default_rng(seed)
    groups = [group.double().numpy() for group in correct]
    draws = [rng.choice(group, (n_resamples, len(group))).mean(1) for group in groups]
    return np.percentile(np.mean(draws, 0), [50 - 50 * level, 50 + 50 * level], method="lower")


@other
def counts_of_pairs(correct, n_resamples=1000, level=0.95, seed=0):
    rng, means = np.random.default_rng(seed), np.zeros(n_resamples)
    for group in correct:
        n = len(group)
        means += rng.multinomial(n, [1 / n] * n, n_resamples) @ group.double().numpy() / n
    means.sort()
    skipped = int(n_resamples * (1 - level) / 2)
    return means[skipped] / len(correct), means[-1 - skipped] / len(correct)


def pooled(groups, n_resamples, chance):
    return over_paradigms([torch.cat(groups)], n_resamples, chance)


def micro(groups, n_resamples, chance):
    sums = [drawn(g, len(g), n_resamples, chance) * len(g) for g in groups]
    return sum(sums) / sum(map(len, groups))


def of_paradigms(groups, n_resamples, chance):
    means = torch.stack([g.double().mean() for g in groups])
    return over_paradigms([means], n_resamples, chance)


def same_positions(groups, n_resamples, chance):
    state = chance.get_state()
    means = [drawn(g, len(g), n_resamples, chance.set_state(state)) for g in groups]
    return sum(means) / len(groups)


def shuffled(groups, n_resamples, chance):
    return over_paradigms([g.double().mean()[None] for g in groups], n_resamples, chance)


ANSWERS.variants(
    interval,
    {
        "Two different seeds gave the same interval: use the seed you were given.": {
            "chance": lambda seed: generator(7)
        },
        "Every resample gave the same mean: draw with replacement.": {"means": shuffled},
        "The interval is that of one pool of all pairs. Resample inside each paradigm.": {
            "means": pooled
        },
        "The interval lies around the mean over pairs (micro), not around the mean over paradigms: "
        "resample inside each paradigm, average each, then average those.": {"means": micro},
        "You resampled the paradigms; keep them fixed and resample the pairs inside each.": {
            "means": of_paradigms
        },
        "All paradigms drew the same positions: make the generator once, before the loop.": {
            "means": same_positions
        },
        "You summed the paradigms; take their mean.": {
            "means": lambda groups, *given: over_paradigms(groups, *given) * len(groups)
        },
        "You cut 1 - level off each side. Half of it belongs to each: (1 - level) / 2.": {
            "ends": lambda means, level: cut(means, level, lambda level: 1 - level)
        },
        "The interval is turned round: return (low, high).": {
            "ends": lambda means, level: cut(means, level)[::-1]
        },
        "Your interval does not follow `level`.": {"ends": lambda means, _: cut(means, 0.95)},
    },
)
SIZE = "Draw as many pairs as the paradigm has: this is the spread of another number of pairs."
for size in (lambda g: 300, lambda g: 1, lambda g: 2 * len(g), lambda g: len(g) - 1):
    few = lambda *given, size=size: over_paradigms(*given, size=size)  # noqa: E731
    mistake(SIZE, lambda *given, few=few, **named: interval(*given, **named, means=few))


@mistake(
    "The interval is too wide: average over the paradigms inside each resample, not the ends of "
    "their own intervals."
)
def average_of_ends(correct, n_resamples=1000, level=0.95, seed=0):
    own = [interval([group], n_resamples, level, seed + i) for i, group in enumerate(correct)]
    return tuple(sum(ends) / len(own) for ends in zip(*own, strict=True))


def symmetric(means, level):
    half = torch.distributions.Normal(0, 1).icdf(torch.tensor((1 + level) / 2)) * means.std(
        correction=0
    )
    return (means.mean() - half).item(), (means.mean() + half).item()


def basic(correct, *given, **named):
    twice = 2 * sum(g.double().mean().item() for g in correct) / len(correct)
    low, high = interval(correct, *given, **named)
    return twice - high, twice - low


mistake(
    "The interval is symmetric around the mean; take the percentiles of the resampled means, which "
    "are skewed here.",
    lambda *given, **named: interval(*given, **named, ends=symmetric),
)
mistake(
    "You mirrored the percentiles at the mean (the basic bootstrap); the percentile interval takes "
    "them as they are.",
    basic,
    held_out=True,
)
mistake(
    "Your function does not follow n_resamples: a single resample gives one mean, low = high.",
    lambda correct, n_resamples=1000, *given: interval(correct, 1000, *given),
    held_out=True,
)
DEFAULTS = "The defaults are n_resamples=1000, level=0.95 and seed=0."


@mistake(DEFAULTS, held_out=True)
def fewer_by_default(correct, n_resamples=500, level=0.95, seed=0):
    return interval(correct, n_resamples, level, seed)


@mistake(DEFAULTS, held_out=True)
def narrower_by_default(correct, n_resamples=1000, level=0.9, seed=0):
    return interval(correct, n_resamples, level, seed)


@mistake(DEFAULTS, held_out=True)
def seed_one_by_default(correct, n_resamples=1000, level=0.95, seed=1):
    return interval(correct, n_resamples, level, seed)


@mistake("The same seed gave two different intervals: make the generator from seed.")
def no_seed(*given, **named):
    return interval(
        *given, **named, chance=lambda seed: generator(int(np.random.default_rng().integers(2**31)))
    )


@witness("quantiles")
def spread_of_the_points(correct, n_resamples=1000, level=0.95, seed=0):
    rng = np.random.default_rng(seed)
    centre, spread = (np.mean([f(g.double().numpy()) for g in correct]) for f in (np.mean, np.std))
    return np.quantile(rng.normal(centre, spread, n_resamples), [(1 - level) / 2, (1 + level) / 2])


def draw(numbers, n_resamples, level, note="", tolerance=1e-6, observe="ends", **options):
    options = {"numbers": numbers, "n_resamples": n_resamples, "level": level} | options
    return Draw("paradigms", options, note, tolerance, 1.0, observe)


RULE = (
    "The two ends are quantiles of the resampled means, with (1 - level) / 2 cut off on each side. "
    "A resample draws as many pairs as each paradigm has, with replacement."
)
UNEQUAL, SPREAD = [[5, 18, 0], [8, 1, 2], [4, 2, 1]], 0.02
PAIR = {"n": 9, "n_resamples": 5000, "level": 0.6}
WIDTHS = [
    *(draw(UNEQUAL, 5000, level, f"level={level}", SPREAD) for level in (0.9, 0.6)),
    Draw("mirrored", PAIR, "Two paradigms of nine.", 1e-6, 1.0, "ends"),
]
ANSWERS.part("width and centre", 7, WIDTHS, RULE)
SEEDS = [draw(UNEQUAL, 200, 0.9, observe="repeats") for _ in range(2)]
ANSWERS.part(
    "seeded", 3, SEEDS, "The same seed gives the same interval, and another seed another one."
)
SKEWED = [
    draw([[2, 6, 0]], 4000, 0.97, "Two of eight pairs are right: the means are skewed."),
    draw([[6, 2, 0]], 4000, 0.97, "Six of eight pairs are right: the means are skewed."),
    draw([[1, 3, 0]], 4000, 0.8, "One of four pairs is right.", dtype="float64"),
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
