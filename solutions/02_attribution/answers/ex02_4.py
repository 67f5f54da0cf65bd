"""02.4, integrated gradients: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

N_STEPS = 32
ANSWERS = Answers("02.4", "integrated gradients")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def middles(steps):
    return (np.arange(steps) + 0.5) / steps


def missing(scores, at_x, at_baseline):
    return float(scores.sum() - (at_x - at_baseline))


def integrate(gradient, value, x, baseline, steps=N_STEPS, **change):
    t = torch.tensor(change.get("nodes", middles)(steps), dtype=x.dtype).view(-1, 1, 1)
    points = change.get("points", lambda x, b, t: b + t * (x - b))(x, baseline, t)
    mean = change.get("mean", lambda slopes: slopes.mean(0))(gradient(points))
    factor = change.get("factor", lambda x, b: x - b)(x, baseline)
    scores = change.get("reduce", lambda table: table.sum(1))(factor * mean)
    return scores, change.get("gap", missing)(scores, *value(torch.stack([x, baseline])).tolist())


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


MIDDLE = "The midpoint rule takes the middle of each of the equal steps: (k + 1/2) / steps."
CHANGES = {
    "factor": {
        "You multiplied by x. The path has the length x - baseline.": lambda x, b: x,
        "You left out the factor x - baseline.": lambda x, b: 1.0,
        "The sign is turned round: the factor is x - baseline.": lambda x, b: b - x,
        "You took the size of x - baseline; it is signed.": lambda x, b: abs(x - b),
    },
    "nodes": {
        "You used the gradient at x alone. Average it along the path.": lambda steps: [1.0],
        f"The path points are left ones. {MIDDLE}": lambda n: np.arange(n) / n,
        f"The path points are right ones. {MIDDLE}": lambda n: np.arange(1, n + 1) / n,
        f"The path points are end-to-end ones. {MIDDLE}": lambda n: np.linspace(0, 1, n),
        f"The path points are inner ones. {MIDDLE}": lambda n: np.arange(1, n + 1) / (n + 1),
        f"You used the trapezoid rule. {MIDDLE}": lambda n: np.r_[:n, 1 : n + 1] / n,
    },
    "mean": {"You added the gradients of all steps up; take their mean.": lambda s: s.sum(0)},
    "points": {
        "The path starts at 0 and not at the baseline.": lambda x, b, t: t * x,
        "The path leads past x: points are b + t * (x - b).": lambda x, b, t: b + t * x,
    },
    "reduce": {
        "You took the mean over the embedding dimensions; sum them.": lambda table: table.mean(1),
        "You took the norm over the embedding dimensions, which loses the sign; sum them.": (
            lambda table: table.norm(dim=1)
        ),
        "You took absolute values; scores are signed.": lambda table: abs(table.sum(1)),
    },
    "gap": {
        "The gap is turned round: it is the sum minus the difference.": lambda *x: -missing(*x),
        "The gap has lost its sign: the sum can also be too small.": lambda *x: abs(missing(*x)),
        "The gap leaves out m(baseline).": lambda scores, at_x, _: scores.sum() - at_x,
        "You returned the sum of the scores for the gap.": lambda scores, *_: scores.sum(),
        "You returned m(x) - m(baseline) for the gap.": lambda _, at_x, at_b: at_x - at_b,
        "You returned a relative gap; return the difference.": (
            lambda scores, at_x, at_b: missing(scores, at_x, at_b) / (at_x - at_b)
        ),
        "The gap is averaged over the tokens.": lambda s, *ends: missing(s, *ends) / len(s),
        "Your gap is 0 whatever the steps are. Compare the sum with the metric.": lambda *x: 0.0,
    },
}
for option, table in CHANGES.items():
    ANSWERS.variants(integrate, {text: {option: change} for text, change in table.items()})
AT_X = "These are gradients times the input at x itself. Average along the path from the baseline."
ANSWERS.variants(integrate, {AT_X: {"factor": lambda x, b: x, "nodes": lambda steps: [1.0]}})


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


mistake("Without `steps` there are 32 of them.",
        *(lambda *x, n=n: integrate(*x[:4], *(x[4:] or [n])) for n in (20, 50, 64, 100)),
        held_out=True)  # fmt: skip


@witness("One token, or one dimension")
def means_of_single_numbers(gradient, value, x, *given):
    scores, gap = integrate(gradient, value, x, *given)
    return (scores if x.shape[1] > 1 else scores / len(x)), gap


def draws(*sizes, note="", observe="", scale=1.0, **options):
    """Each size is (tokens, dimensions, steps); ``scale`` because the gap may cancel to 0."""
    names = ("tokens", "width", "steps")
    sized = [dict(zip(names, size, strict=False)) | options for size in sizes]
    return [Draw("paths", one, note, 1e-5, scale, observe) for one in sized]


RULE = (
    "The rule: x - baseline times the mean gradient at the middles of the steps, summed over d; "
    "the gap is the sum of the scores minus (m(x) - m(baseline))."
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
for size in (1e-5, 1e5):
    MORE += draws((3, 4, 2), power=3, size=size, scale=size)
ANSWERS.part("more steps, smaller gap", 3, MORE, RULE, SHAPE, held_out=True)
NOTE = "One token, or one dimension, or a token that equals its baseline and must get 0."
FLOAT32 = {"note": NOTE, "dtype": "float32", "scale": 10.0}
SMALL = draws((1, 1, 3), (1, 3, 3), (4, 1, 3), power=2, together=True, **FLOAT32)
SMALL += draws((4, 1, 2), (3, 3, 2), power=3, still=-1, **FLOAT32)
ANSWERS.part("small and equal inputs", 2, SMALL, RULE, SHAPE, held_out=True)
