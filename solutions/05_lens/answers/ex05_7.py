"""05.7, a tuned lens in closed form: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.7", "a tuned lens in closed form")
right, other, mistake = ANSWERS.right, ANSWERS.other, ANSWERS.mistake


def variances(x):
    return x.var(0, correction=0)


def mean_variance(x, y):
    return variances(x).mean()


def shift_of(weight, x, y):
    return (y - x).mean(0) - weight @ x.mean(0)


@right
def fit_translation(states, last, ridge=1e-3, size=mean_variance, shift=shift_of):
    """Mistakes change the last two."""
    if ridge < 0:
        raise ValueError(f"ridge must not be negative, got {ridge}")
    x, y = states.double(), last
    centred = x - x.mean(0)
    matrix = centred.T @ centred / len(x)
    matrix.diagonal().add_(ridge * size(x, y))
    weight = torch.linalg.solve(matrix, centred.T @ (y - x) / len(x)).T
    return weight, shift(weight, x, y)


@other
def translation_by_least_squares(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError("negative")
    x, y = (t.detach().double().numpy() for t in (states, last))
    extra = np.sqrt(ridge * x.var(0).mean() * len(x)) * np.eye(x.shape[1])
    table, r = np.vstack([x - x.mean(0), extra]), y - x
    weight = np.linalg.lstsq(table, np.vstack([r - r.mean(0), 0 * extra]), rcond=None)[0].T
    return weight, r.mean(0) - weight @ x.mean(0)


def whole(states, last, *ridge):
    """M and c, fitted to the last states themselves: they are x + (last - x), for last + x."""
    return fit_translation(states, states.double() + last.double(), *ridge)


def add_one(weight, sign):
    return weight + sign * torch.eye(len(weight))


# fmt: off
def with_column(number):
    """The fit to states with a column of this number, whose weight is penalised like all others."""
    def answer(states, last, ridge=1e-3):
        x, y = states.double(), last.double()
        table = torch.cat([x, number * torch.ones(len(x), 1)], 1)
        extra = ridge * mean_variance(x, y) * len(x) * torch.eye(x.shape[1] + 1)
        both = torch.linalg.pinv(table.T @ table + extra) @ table.T @ (y - x)
        return both[:-1].T, both[-1]

    return answer


for message, *wrong in (
    ("A is transposed: for rows of states it stands in states + states @ A.T + b.",
     lambda *given: (fit_translation(*given)[0].T, fit_translation(*given)[1])),
    ("You returned the whole map I + A. The state is added already: fit what is missing, last - x.",
     whole, lambda *given: (add_one(fit_translation(*given)[0], 1), fit_translation(*given)[1])),
    ("The penalty draws I + A to 0, and every translated state. Fit last - x on x: then a strong "
     "penalty leaves the plain lens.",
     lambda *given: (add_one(whole(*given)[0], -1), whole(*given)[1])),
    ("The penalty falls on b as well; only A is penalised.", with_column(1.0)),
    ("You exchanged the two states: the map leads from the state to the last one.",
     lambda x, y, *ridge: fit_translation(y, x, *ridge)),
    ("A is the map of the errors: you fitted x - last.",
     lambda x, y, *ridge: fit_translation(x, 2 * x.double() - y.double(), *ridge)),
    ("The shift b is missing: the map is affine.", with_column(0.0),
     lambda *given: (fit_translation(*given)[0], 0 * given[0][0])),
):
    mistake(message, *wrong)
SIZE = "The penalty is ridge times the mean of the variances of the d dimensions, for a mean error."
for message, size in {
    "The penalty is ridge alone.": lambda x, y: 1.0,
    "There is no penalty in your fit.": lambda x, y: 0.0,
    "The penalty takes the sum of the variances.": lambda x, y: variances(x).sum(),
    "The error is a mean over the tokens, yours a sum.": lambda x, y: mean_variance(x, y) / len(x),
    "The penalty counts once for each token.": lambda x, y: mean_variance(x, y) * len(x),
    "The variance is measured from the mean, not from 0.": lambda x, y: x.square().mean(),
    "Your variance divides by N - 1; divide by N.": lambda x, y: x.var(0).mean(),
    "You took the standard deviation for the variance.": lambda x, y: variances(x).sqrt().mean(),
    "The variance is that of the last states.": lambda x, y: mean_variance(y, x),
    "The variance is that of all numbers together.": lambda x, y: x.var(correction=0),
    "The variance was taken within each state.": lambda x, y: mean_variance(x.T, y),
    "Each dimension has a penalty of its own variance.": lambda x, y: variances(x),
}.items():
    mistake(f"{message} {SIZE}", partial(fit_translation, size=size))
B = "b is the mean of last - x minus A times the mean state"
for message, shift in {
    f"{B}; you left out the second term.": lambda weight, x, y: (y - x).mean(0),
    f"{B}; yours has the other sign.": lambda weight, x, y: (y - x).mean(0) + weight @ x.mean(0),
    "In b the matrix stands before the mean state, A @ mean; yours is mean @ A.":
        lambda weight, x, y: shift_of(weight.T, x, y),
    "b holds the mean of the last state; take the mean of last - x.":
        lambda weight, x, y: y.mean(0) - weight @ x.mean(0),
}.items():
    mistake(message, partial(fit_translation, shift=shift))
# fmt: on


def draw(tokens, width, *more, note="", scale=0.0, refused=False, **options):
    options |= {"tokens": tokens, "width": width, "more": list(more)}
    return Draw("translation", options, note, 1e-8, scale, refused=refused)


RULE = "The rule: the least mean |x + A x + b - last|^2 + ridge * (mean variance of x) * |A|^2."
EXACT = [draw(20, 3, 0.0, noise=0), draw(15, 6, 0.0, noise=0, grad=True), draw(9, 1, 0.0, noise=0)]
ANSWERS.part("an affine truth", 4, EXACT, RULE)
RIDGE = [draw(25, 4, 0.3), draw(12, 7, 1.5), draw(40, 2, 0.05)]
ANSWERS.part("the penalty", 4, RIDGE, RULE)
NARROW = "With fewer states than dimensions the penalty decides."
LARGE = "States with large means, or of another type: convert to float64 before you subtract."
OTHER = "States of another size: the penalty is relative to their variance."
FEW = [
    *(draw(*size, note=NARROW) for size in ((4, 6, 0.1), (3, 8, 1e-3), (2, 5, 0.5))),
    draw(30, 3, noise=1, note="Without `ridge` it is 0.001."),
    *(draw(30, 3, 0.4, size=size, turned=True, note=OTHER) for size in (1e3, 1e-5)),
    *(draw(30, 3, 1, offset=m, dtype=d, note=LARGE) for m, d in ((500, "float32"), (9, "float16"))),
    draw(20, 3, 0.1, dtype="bfloat16", note=LARGE),
]
ANSWERS.part("few states, defaults, precision", 3, FEW, RULE, held_out=True)
STILL = "Where the states already are the last ones, A and b are 0, whatever the penalty."
STRONG = "Under a very strong penalty A is 0, and b is the mean of last - x."
NEGATIVE = "A negative ridge would reward large maps: raise ValueError."
NOTHING = [
    *(draw(12, 4, ridge, still=True, note=STILL) for ridge in (0.0, 0.2)),
    *(draw(12, 4, ridge, note=STRONG, scale=1.0) for ridge in (10.0, 1e9)),
    *(draw(12, 4, ridge, note=NEGATIVE, refused=True) for ridge in (-0.1, -1e-9)),
]
ANSWERS.part("nothing to translate", 2, NOTHING, RULE, held_out=True)
