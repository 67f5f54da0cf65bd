"""02.4, integrated gradients: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("02.4", "integrated gradients")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def middles(steps):
    return (np.arange(steps) + 0.5) / steps


def difference(x, baseline):
    return x - baseline


def straight(x, baseline, t):
    return baseline + t * (x - baseline)


def total(table):
    return table.sum(-1)


def average(slopes):
    return slopes.mean(0)


def missing(scores, at_x, at_baseline):
    return scores.sum().item() - (at_x - at_baseline)


def integrate(gradient, value, x, baseline, steps=32, **change):
    t = torch.tensor(change.get("nodes", middles)(steps), dtype=x.dtype)
    points = change.get("points", straight)(x, baseline, t.view(-1, 1, 1))
    mean = change.get("mean", average)(gradient(points))
    scores = change.get("reduce", total)(change.get("factor", difference)(x, baseline) * mean)
    ends = value(torch.stack([x, baseline])).tolist()
    return scores, change.get("gap", missing)(scores, *ends)


@right
def integrated_gradients(gradient, value, x, baseline, steps=32):
    return integrate(gradient, value, x, baseline, steps)


@other
def in_a_loop(gradient, value, x, baseline, steps=32):
    slopes = np.zeros(tuple(x.shape))
    for k in range(steps):
        t = (2 * k + 1) / (2 * steps)
        slopes += gradient((t * x + (1 - t) * baseline)[None])[0].numpy() / steps
    scores = ((x - baseline).numpy() * slopes).sum(1)
    at_baseline, at_x = (float(value(point[None])[0]) for point in (baseline, x))
    return scores.tolist(), scores.sum() - at_x + at_baseline


ALONG = "Average the gradient along the path from the baseline."
MIDDLE = "The midpoint rule takes the middle of each of the equal steps: (k + 1/2) / steps."
ANSWERS.variants(
    integrate,
    {
        "You multiplied by x. The path has the length x - baseline, so the mean gradient is "
        "multiplied by that.": {"factor": lambda x, b: x},
        f"These are gradients times the input at x itself. {ALONG}": {
            "factor": lambda x, b: x,
            "nodes": lambda steps: [1.0],
        },
        f"You used the gradient at x alone. {ALONG}": {"nodes": lambda steps: [1.0]},
        "You left out the factor x - baseline.": {"factor": lambda x, b: 1.0},
        "The sign is turned round: the path leads from the baseline to x, so the factor is x - "
        "baseline.": {"factor": lambda x, b: b - x},
        "You took the size of x - baseline; it is signed.": {"factor": lambda x, b: abs(x - b)},
        "You added the gradients of all steps up; take their mean (each step has the length 1 / "
        "steps).": {"mean": lambda slopes: slopes.sum(0)},
        "You took the mean over the embedding dimensions; sum them, or the scores do not add up "
        "to the difference of the metric.": {"reduce": lambda table: table.mean(-1)},
        "You took the norm over the embedding dimensions, which loses the sign; sum them.": {
            "reduce": lambda table: table.norm(dim=-1)
        },
        "You took absolute values; scores are signed.": {"reduce": lambda t: abs(t.sum(-1))},
        "The path starts at 0 and not at the baseline.": {"points": lambda x, b, t: t * x},
        "The path leads past x: points are baseline + t * (x - baseline).": {
            "points": lambda x, b, t: b + t * x
        },
        f"The path points are left ones. {MIDDLE}": {"nodes": lambda n: np.arange(n) / n},
        f"The path points are right ones. {MIDDLE}": {"nodes": lambda n: np.arange(1, n + 1) / n},
        f"The path points are evenly spaced end-to-end ones. {MIDDLE}": {
            "nodes": lambda steps: np.linspace(0, 1, steps)
        },
        f"The path points are evenly spaced inner ones. {MIDDLE}": {
            "nodes": lambda steps: np.arange(1, steps + 1) / (steps + 1)
        },
        "The gap is turned round: it is the sum of the scores minus (m(x) - m(baseline)).": {
            "gap": lambda *given: -missing(*given)
        },
        "The gap has lost its sign: the scores can also sum to less than the difference.": {
            "gap": lambda *given: abs(missing(*given))
        },
        "The gap leaves out m(baseline): the scores share out m(x) - m(baseline).": {
            "gap": lambda scores, at_x, at_baseline: scores.sum() - at_x
        },
        "You returned the sum of the scores; the gap is what it differs by from m(x) - "
        "m(baseline).": {"gap": lambda scores, *ends: scores.sum()},
        "You returned m(x) - m(baseline); subtract it from the sum of the scores.": {
            "gap": lambda scores, at_x, at_baseline: at_x - at_baseline
        },
        "You returned a relative gap; return the difference.": {
            "gap": lambda scores, *ends: missing(scores, *ends) / (ends[0] - ends[1])
        },
        "The gap is averaged over the tokens; it is one number for the text.": {
            "gap": lambda scores, *ends: missing(scores, *ends) / len(scores)
        },
        "Your gap is 0 whatever the steps are. Compare the sum of the scores with the metric at "
        "both ends.": {"gap": lambda *given: 0.0},
    },
)


@mistake("You scaled the scores so that they add up, which hides the gap instead of measuring it.")
def scaled_to_fit(*given):
    scores, gap = integrate(*given)
    return scores * (1 - gap / scores.sum()), 0.0


@mistake("You moved one token at a time. On the path all tokens move together.")
def token_by_token(gradient, value, x, baseline, *steps):
    def alone(place):
        moved = torch.where(torch.arange(len(x))[:, None] == place, x, baseline)
        return integrate(gradient, value, moved, baseline, *steps)[0][place]

    scores = torch.stack([alone(place) for place in range(len(x))])
    return scores, missing(scores, *value(torch.stack([x, baseline])).tolist())


mistake(
    "Without `steps` there are 32 of them.",
    *(lambda *given, n=n: integrate(*given[:4], *(given[4:] or [n])) for n in (20, 50, 64, 100)),
    held_out=True,
)


@witness("midpoint rule")
def trapezoids(gradient, value, x, baseline, steps=32):
    ends = [np.arange(steps) / steps, np.arange(1, steps + 1) / steps]
    both = [integrate(gradient, value, x, baseline, steps, nodes=lambda _, e=e: e) for e in ends]
    return (both[0][0] + both[1][0]) / 2, (both[0][1] + both[1][1]) / 2


@witness("One token, or one dimension")
def means_of_single_numbers(gradient, value, x, *given):
    scores, gap = integrate(gradient, value, x, *given)
    return (scores if x.shape[1] > 1 else scores / len(x)), gap


def draws(*sizes, power, note="", observe="", **options):
    """Each size is (tokens, dimensions, steps)."""
    names = ("tokens", "width", "steps")
    options |= {"power": power}
    return [
        Draw(
            "paths",
            dict(zip(names, size, strict=False)) | options,
            *(note, 1e-5, options.get("size", 1.0), observe),
        )
        for size in sizes
    ]


RULE = (
    "The rule: the scores are x - baseline times the mean gradient on the path (midpoint rule with "
    "`steps` points), summed over d; the gap is their sum minus (m(x) - m(baseline))."
)
SHAPE = "One score per token: sum over the embedding dimensions, the last axis."
LINEAR = draws((3, 4, 1), (5, 2, 7), power=1, note="A linear model: no gap.")
ANSWERS.part("linear model", 3, LINEAR, RULE, SHAPE)
# The square of a sum has a gradient that is linear on the path: any number of steps is exact.
SQUARE = draws((4, 3, 1), (3, 5, 4), power=2, together=True, observe="first_value")
ANSWERS.part("tokens that interact", 4, SQUARE, RULE, SHAPE)
GAP = draws((3, 2, 2), power=3, above=False) + draws((2, 4, 3), (4, 3, 1), power=3, above=True)
ANSWERS.part("the completeness gap", 3, GAP, RULE, SHAPE)
MORE = draws((3, 4, 4), (3, 4, 40), (2, 3), power=3, above=True) + draws((4, 2), power=3)
MORE += draws((3, 4, 2), power=3, size=1e-5) + draws((3, 4, 2), power=3, size=1e5)
ANSWERS.part("more steps, smaller gap", 3, MORE, RULE, SHAPE, held_out=True)
NOTE = "One token, or one dimension, or a token that equals its baseline and must get 0."
SMALL = draws((1, 1, 3), (1, 3, 3), (4, 1, 3), power=2, note=NOTE, together=True, dtype="float32")
SMALL += draws((4, 1, 2), (3, 3, 2), power=3, note=NOTE, still=-1, dtype="float32")
ANSWERS.part("small and equal inputs", 2, SMALL, RULE, SHAPE, held_out=True)
