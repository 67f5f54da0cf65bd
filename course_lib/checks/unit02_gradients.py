"""Checks of 02.4: integrated gradients (see unit02.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import as_number, as_vector, compare
from course_lib.checks.results import Wrong

# --- 02.4 integrated_gradients(gradient, value, x, baseline, steps) -> (scores [T], gap) --------

INPUT_ONLY = (
    "You multiplied by x. The path has the length x - baseline, so the mean gradient is multiplied "
    "by that."
)
NOT_MIDPOINT = (
    "The path points are {} ones. The midpoint rule takes the middle of each of the equal steps: "
    "(k + 1/2) / steps."
)
GAP_TURNED = "The gap is turned round: it is the sum of the scores minus (m(x) - m(baseline))."
GAP_UNSIGNED = "The gap has lost its sign: the scores can also sum to less than the difference."
RULES = {"left": 0.0, "right": 1.0}


class Polynomial:
    """m(x) = sum of weight * x^power, or with ``together`` the power of the weighted sum.

    A point is [T, d]; ``value`` and ``gradient`` take points [N, T, d].
    """

    def __init__(self, rng, tokens, width, power, together=False):
        self.weights = torch.tensor(rng.uniform(0.3, 1, size=(tokens, width)))
        self.weights *= torch.tensor(rng.choice([-1.0, 1.0], size=(tokens, width)))
        self.power, self.together = power, together
        self.constant = float(rng.uniform(1, 2))

    def _points(self, points):
        if not isinstance(points, torch.Tensor) or points.dim() != 3:
            raise ValueError("Points are a tensor [N, T, d]; for a single point use x[None].")
        if points.shape[1:] != self.weights.shape:
            raise ValueError(
                f"Points must be [N, {self.weights.shape[0]}, {self.weights.shape[1]}]."
            )
        return points.detach().double()

    def value(self, points):
        x = self._points(points)
        if self.together:
            return (self.weights * x).sum((1, 2)) ** self.power + self.constant
        return (self.weights * x**self.power).sum((1, 2)) + self.constant

    def gradient(self, points):
        x = self._points(points)
        if self.together:
            inner = (self.weights * x).sum((1, 2), keepdim=True)
            return self.power * inner ** (self.power - 1) * self.weights
        return self.power * self.weights * x ** (self.power - 1)


def path(rng, tokens, width):
    """A text and a baseline, float64 [T, d] each, that nowhere nearly agree."""
    x = torch.tensor(rng.uniform(0.8, 2, size=(tokens, width)))
    step = rng.uniform(0.3, 1.2, size=(tokens, width)) * rng.choice([-1, 1], size=(tokens, width))
    return x, x - torch.tensor(step)


def ig_answer(student, model, x, baseline, steps):
    answer = student(model.gradient, model.value, x, baseline, steps)
    if not isinstance(answer, (tuple, list)) or len(answer) != 2:
        raise Wrong("Return two things, the scores and the gap: return scores, gap")
    hint = "One score per token: sum over the embedding dimensions, the last axis."
    return as_vector(answer[0], len(x), "the scores", hint), as_number(answer[1], "the gap")


def path_mean(model, x, baseline, nodes):
    """Mean gradient [T, d] at these nodes of the path from the baseline to x."""
    at = torch.tensor(nodes)[:, None, None]
    return model.gradient(baseline + at * (x - baseline)).mean(0)


def ig_mistakes(model, x, baseline, steps, right):
    step = x - baseline
    middle = (np.arange(steps) + 0.5) / steps
    mean = path_mean(model, x, baseline, middle)

    def scores(table):
        return table.sum(-1).numpy()

    at_x = model.gradient(x[None])[0]
    alone = torch.stack(
        [
            path_mean(model, torch.where(torch.arange(len(x))[:, None] == i, x, baseline), baseline,
                      middle)[i]
            for i in range(len(x))
        ]
    )  # fmt: skip
    mistakes = {
        INPUT_ONLY: scores(x * mean),
        "These are gradients times the input at x itself. Average the gradient along the path "
        "from the baseline.": scores(x * at_x),
        "You used the gradient at x alone. Average the gradient along the path from the "
        "baseline.": scores(step * at_x),
        "You left out the factor x - baseline.": scores(mean),
        "The sign is turned round: the path leads from the baseline to x, so the factor is x - "
        "baseline.": -right,
        "You added the gradients of all steps up; take their mean (each step has the length "
        "1 / steps).": steps * right,
        "You took the mean over the embedding dimensions; sum them, or the scores do not add up to "
        "the difference of the metric.": right / x.shape[-1],
        "You took the norm over the embedding dimensions, which loses the sign; sum them.": (
            step * mean
        )
        .norm(dim=-1)
        .numpy(),
        "You took absolute values; scores are signed.": abs(right),
        "You took the size of x - baseline; it is signed.": scores(step.abs() * mean),
        "You scaled the scores so that they add up, which hides the gap instead of measuring "
        "it.": right * float(model.value(x[None]) - model.value(baseline[None])) / right.sum(),
        "The path starts at 0 and not at the baseline.": scores(
            step * path_mean(model, x, torch.zeros_like(x), middle)
        ),
        "The path leads past x: points are baseline + t * (x - baseline).": scores(
            step * path_mean(model, baseline + x, baseline, middle)
        ),
        "You moved one token at a time. On the path all tokens move together.": scores(
            step * alone
        ),
    }
    for rule, shift in RULES.items():
        nodes = (np.arange(steps) + shift) / steps
        mistakes[NOT_MIDPOINT.format(rule)] = scores(step * path_mean(model, x, baseline, nodes))
    if steps > 1:
        ends = path_mean(model, x, baseline, np.arange(steps) / (steps - 1))
        mistakes[NOT_MIDPOINT.format("evenly spaced end-to-end")] = scores(step * ends)
        inner = path_mean(model, x, baseline, np.arange(1, steps + 1) / (steps + 1))
        mistakes[NOT_MIDPOINT.format("evenly spaced inner")] = scores(step * inner)
    return mistakes


def gradients_linear(student, rng):
    for tokens, width, steps in ((3, 4, 1), (5, 2, 7)):
        model = Polynomial(rng, tokens, width, 1)
        x, baseline = path(rng, tokens, width)
        scores, gap = ig_answer(student, model, x, baseline, steps)
        right = (model.weights * (x - baseline)).sum(-1).numpy()
        mistakes = ig_mistakes(model, x, baseline, steps, right)
        otherwise = "For a linear model the score of a token is its weights times x - baseline."
        compare(scores, right, mistakes, otherwise)
        compare(gap, 0.0, {}, "A linear model has no gap: its gradient is the same everywhere.")


def gradients_square(student, rng):
    # m = (w.x)^2: the gradient is linear on the path, so its mean is the one in the middle and
    # the midpoint rule is exact with any number of steps.
    for tokens, width, steps in ((4, 3, 1), (3, 5, 4)):
        model = Polynomial(rng, tokens, width, 2, together=True)
        x, baseline = path(rng, tokens, width)
        scores, _ = ig_answer(student, model, x, baseline, steps)
        both = float((model.weights * (x + baseline)).sum())
        right = both * (model.weights * (x - baseline)).sum(-1).numpy()
        mistakes = ig_mistakes(model, x, baseline, steps, right)
        otherwise = "The scores are not (x - baseline) times the mean gradient on the path."
        compare(scores, right, mistakes, otherwise)


def gradients_gap(student, rng):
    # m = sum w x^3: the midpoint rule misses w (x - b)^3 / (4 steps^2) of each term.
    for tokens, width, steps in ((3, 2, 2), (2, 4, 3), (4, 3, 1)):
        model = Polynomial(rng, tokens, width, 3)
        x, baseline = path(rng, tokens, width)
        above = float((model.weights * (x - baseline) ** 3).sum()) < 0
        if above != (steps == 2):  # the first gap is positive, the others are negative
            model.weights *= -1
        scores, gap = ig_answer(student, model, x, baseline, steps)
        missed = model.weights * (x - baseline) ** 3 / (4 * steps**2)
        exact = (model.weights * (x**3 - baseline**3) - missed).sum(-1).numpy()
        mistakes = ig_mistakes(model, x, baseline, steps, exact)
        otherwise = "Wrong scores: take the midpoint rule with `steps` points."
        compare(scores, exact, mistakes, otherwise)
        at_x, at_baseline = (float(model.value(point[None])) for point in (x, baseline))
        right, total, difference = -float(missed.sum()), float(exact.sum()), at_x - at_baseline
        mistakes = {
            GAP_TURNED if right > 0 else GAP_UNSIGNED: -right,
            "The gap leaves out m(baseline): the scores share out m(x) - m(baseline).": total
            - at_x,
            "You returned the sum of the scores; the gap is what it differs by from m(x) - "
            "m(baseline).": total,
            "You returned m(x) - m(baseline); subtract it from the sum of the scores.": difference,
            "You returned a relative gap; return the difference.": right / difference,
            "The gap is averaged over the tokens; it is one number for the text.": right / tokens,
            "Your gap is 0 whatever the steps are. Compare the sum of the scores with the metric "
            "at both ends.": 0.0,
        }
        otherwise = "The gap is the sum of the scores minus (m(x) - m(baseline))."
        compare(gap, right, mistakes, otherwise, tolerance=1e-5)
