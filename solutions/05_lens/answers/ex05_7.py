"""05.7, a tuned lens in closed form: answers, mistakes and draws (instructors only)."""

from functools import partial

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("05.7", "a tuned lens in closed form")
right, other, mistake, witness = ANSWERS.right, ANSWERS.other, ANSWERS.mistake, ANSWERS.witness


def mean_variance(x, y):
    """Mean over the dimensions of the variance of the states."""
    return x.var(0, correction=0).mean()


def shift_of(weight, x, y):
    return (y - x).mean(0) - weight @ x.mean(0)


def fitted(
    states, last, ridge=1e-3, size=mean_variance, target=torch.sub, shift=shift_of
):  # fmt: skip
    """A and b; ``target(y, x)`` is what A is fitted to."""
    if ridge < 0:
        raise ValueError(f"ridge must not be negative, got {ridge}")
    x, y = states.double(), last.double()
    missing = target(y, x)
    centred = x - x.mean(0)
    matrix = centred.T @ centred / len(x)
    matrix.diagonal().add_(ridge * size(x, y))
    cross = centred.T @ (missing - missing.mean(0)) / len(x)
    weight = torch.linalg.solve(matrix, cross).T
    return weight, shift(weight, x, y)


@right
def fit_translation(states, last, ridge=1e-3):
    return fitted(states, last, ridge)


@other
def translation_by_least_squares(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError("negative")
    x, y = (t.detach().double().numpy() for t in (states, last))
    mean_x, mean_r = x.mean(0), (y - x).mean(0)
    extra = np.sqrt(ridge * x.var(0).mean() * len(x)) * np.eye(x.shape[1])
    table = np.vstack([x - mean_x, extra])
    target = np.vstack([y - x - mean_r, np.zeros_like(extra)])
    weight = np.linalg.lstsq(table, target, rcond=None)[0].T
    return weight, mean_r - weight @ mean_x


@other
def translation_by_spectrum(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError
    x = states.double()
    r = last.double() - x
    u, s, vt = torch.linalg.svd(x - x.mean(0), full_matrices=False)
    penalty = ridge * s.square().sum() / x.shape[1]
    shrunk = torch.where(s > 1e-12, s / (s.square() + penalty), 0.0)
    weight = (vt.T @ (shrunk[:, None] * (u.T @ (r - r.mean(0))))).T
    return weight, r.mean(0) - x.mean(0) @ weight.T


ONE = torch.eye(32).double()
WHOLE = (
    "You returned the whole map I + A. The state itself is added already: fit what is missing, "
    "last - x."
)


def plus_one(weight, by=1.0):
    return weight + by * ONE[: len(weight), : len(weight)]


def last_of(y, x):
    return y


def whole_shift(weight, x, y):
    return y.mean(0) - weight @ x.mean(0)


def after(compute, **options):
    """``compute(A, b)`` in place of what was fitted."""
    return lambda *given: compute(*fitted(*given, **options))


mistake(
    "A is transposed. It stands in x + A x + b for one state x [d]: for rows of states that is "
    "states + states @ A.T + b.",
    after(lambda weight, shift: (weight.T, shift)),
)
mistake(
    WHOLE,
    after(lambda weight, shift: (plus_one(weight), shift)),
    partial(fitted, target=last_of, shift=whole_shift),
)
mistake(
    "The penalty draws I + A to 0, and with it every translated state. Fit last - x on x, so that "
    "it draws A to 0: then a strong penalty leaves the plain lens.",
    after(lambda weight, shift: (plus_one(weight, -1), shift), target=last_of, shift=whole_shift),
)
ANSWERS.variants(
    fitted,
    {
        "The penalty is ridge alone; multiply it by the mean variance of the dimensions.": {
            "size": lambda x, y: 1.0
        },
        "The penalty takes the sum of the variances; take their mean over the dimensions.": {
            "size": lambda x, y: x.var(0, correction=0).sum()
        },
        "The error is a mean over the tokens, and yours is a sum: with more tokens your penalty "
        "counts for less.": {"size": lambda x, y: mean_variance(x, y) / len(x)},
        "The penalty counts once for each token: the error is a mean, or multiply both by N.": {
            "size": lambda x, y: mean_variance(x, y) * len(x)
        },
        "There is no penalty in your fit.": {"size": lambda x, y: 0.0},
        "You penalised the squared mean of the states too: the variance is measured from the "
        "mean.": {"size": lambda x, y: x.square().mean()},
        "Your variance divides by N - 1; divide by N.": {"size": lambda x, y: x.var(0).mean()},
        "The standard deviation was taken for the variance.": {
            "size": lambda x, y: x.std(0, correction=0).mean()
        },
        "The variance is that of the last states; it is that of the states that are translated.": {
            "size": lambda x, y: mean_variance(y, x)
        },
        "The variance is that of all numbers together; take the variance of each dimension over "
        "the tokens, and the mean of these.": {"size": lambda x, y: x.var(correction=0)},
        "The variance was taken within each state; take it of each dimension, over the tokens.": {
            "size": lambda x, y: mean_variance(x.T, y)
        },
        "Each dimension has a penalty of its own variance; use their mean for all.": {
            "size": lambda x, y: x.var(0, correction=0)
        },
        "The shift b is missing: the map is affine.": {"shift": lambda weight, x, y: 0 * x[0]},
        "b is the mean of last - x minus A times the mean state; you left out the second term.": {
            "shift": lambda weight, x, y: (y - x).mean(0)
        },
        "b is the mean of last - x minus A times the mean state; yours has the other sign.": {
            "shift": lambda weight, x, y: (y - x).mean(0) + weight @ x.mean(0)
        },
        "In b the matrix stands before the mean state, A @ mean; yours is mean @ A.": {
            "shift": lambda weight, x, y: shift_of(weight.T, x, y)
        },
        "b holds the mean of the last state; take the mean of last - x.": {"shift": whole_shift},
    },
)


def solved(x, y, penalty, ones):
    """The fit to y on states with a column of ``ones``, all of it penalised."""
    table = torch.cat([x, ones * torch.ones(len(x), 1)], 1)
    extra = penalty * len(x) * torch.eye(table.shape[1]).double()
    both = torch.linalg.lstsq(table.T @ table + extra, table.T @ y, driver="gelsd").solution.T
    return both[:, :-1], both[:, -1]


def with_column(ones):
    def answer(states, last, ridge=1e-3):
        x, y = states.double(), last.double()
        return solved(x, y - x, ridge * mean_variance(x, y), ones)

    return answer


mistake("The penalty falls on b as well; only A is penalised.", with_column(1.0))
mistake("The shift b is missing: the map is affine.", with_column(0.0))
mistake(
    "You exchanged the two states: the map leads from the state to the last one.",
    lambda states, last, *ridge: fitted(last, states, *ridge),
)
mistake(
    "A is the map of the errors: you fitted x - last.",
    after(lambda weight, shift: (-weight, -shift)),
)


@mistake("Without `ridge` it is 0.001.", held_out=True)
def other_default(states, last, ridge=1e-2):
    return fitted(states, last, ridge)


@witness("fewer states than dimensions")
def pseudo_inverse(states, last, ridge=1e-3):
    if len(states) > states.shape[1]:
        return fitted(states, last, ridge)
    x, r = states.double(), last.double() - states.double()
    weight = (torch.linalg.pinv(x - x.mean(0)) @ (r - r.mean(0))).T
    return weight, r.mean(0) - weight @ x.mean(0)


@witness("float64")
def covariance_in_single_precision(states, last, ridge=1e-3):
    if ridge < 0:
        raise ValueError
    x, r = states.float(), (last - states).float()
    matrix = x.T @ x / len(x) - torch.outer(x.mean(0), x.mean(0))
    cross = x.T @ r / len(x) - torch.outer(x.mean(0), r.mean(0))
    penalty = ridge * x.var(0, correction=0).mean()
    weight = torch.linalg.solve(matrix + penalty * torch.eye(x.shape[1]), cross).T
    return weight, r.mean(0) - weight @ x.mean(0)


def draw(tokens, width, *more, note="", tolerance=1e-8, scale=0.0, **options):
    options |= {"tokens": tokens, "width": width, "more": list(more)}
    return Draw("translation", options, note, tolerance, scale)


RULE = (
    "The rule: the least mean |x + A x + b - last|^2 + ridge * (mean variance of the dimensions of "
    "x) * |A|^2, in float64."
)
HINT = "A leads from d dimensions to d, b has d numbers."
EXACT = [draw(*size, 0.0, noise=0.0) for size in ((20, 3), (15, 6), (9, 1))]
ANSWERS.part("an affine truth", 4, EXACT, RULE, HINT)
RIDGE = [draw(25, 4, 0.3), draw(12, 7, 1.5), draw(40, 2, 0.05)]
ANSWERS.part("the penalty", 4, RIDGE, RULE, HINT)
NARROW = "With fewer states than dimensions the penalty decides."
LARGE = "States with large means, or of another type: convert to float64 before you subtract."
SIZE = "States of another size: the penalty is relative to their variance."
FEW = [
    draw(4, 6, 0.1, note=NARROW),
    draw(3, 8, 1e-3, note=NARROW),
    draw(2, 5, 0.5, note=NARROW),
    draw(30, 3, noise=1.0, note="Without `ridge` it is 0.001."),
    draw(30, 3, 0.4, size=1e3, note=SIZE),
    draw(30, 3, 0.4, size=1e-5, turned=True, note=SIZE),
    draw(30, 3, 0.1, offset=500, dtype="float32", note=LARGE, tolerance=1e-7),
    draw(20, 3, 0.1, dtype="bfloat16", note=LARGE),
    draw(20, 3, 0.1, offset=30, dtype="float16", grad=True, note=LARGE),
]
ANSWERS.part("few states, defaults, precision", 3, FEW, RULE, HINT, held_out=True)
STILL = "Where the states already are the last ones, A and b are 0, whatever the penalty."
STRONG = "Under a very strong penalty A is 0, and b is the mean of last - x."
NOTHING = [
    *(draw(12, 4, ridge, still=True, note=STILL) for ridge in (0.0, 0.2)),
    draw(12, 4, 1e9, note=STRONG, scale=1.0),
    draw(12, 4, 10.0, note="A strong penalty."),
    *(
        Draw(
            "translation",
            {"tokens": 12, "width": 4, "more": [ridge]},
            "A negative ridge would reward large maps: raise ValueError.",
            refused=True,
        )
        for ridge in (-0.1, -1e-9)
    ),
]
ANSWERS.part("nothing to translate", 2, NOTHING, RULE, HINT, held_out=True)
