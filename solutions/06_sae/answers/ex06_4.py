"""06.4, how sparse, how faithful, how many dead: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch

from course_lib.checks.drawing import Draw
from course_lib.grading.answers import Answers

ANSWERS = Answers("06.4", "how sparse, how faithful, how many dead")


def ss(table):
    return (table**2).sum()


def around(x):
    return x - x.mean(0)


def fraction(e, c, x):
    return ss(e) / ss(c)


def mean_count(on, f):
    return on.sum(1).double().mean()


def never(on, f):
    return 1 - on.any(0).double().mean()


@ANSWERS.right
def quality(x, x_hat, f, fvu=fraction, l0=mean_count, dead=never, to=torch.Tensor.double, least=0):
    if torch.equal(x, x[:1].expand_as(x)):
        raise ValueError("no variance to explain")
    x, on = to(x), f > least
    return {"l0": l0(on, f), "fvu": fvu(x - to(x_hat), around(x), x), "dead": dead(on, f)}


@ANSWERS.other
def by_counting(x, x_hat, f):
    x, x_hat, f = (t.double().numpy() for t in (x, x_hat, f))
    if np.ptp(x, axis=0).max() == 0:
        raise ValueError("no variance")
    dims = range(x.shape[1])
    errors = sum(float(np.mean((x[:, j] - x_hat[:, j]) ** 2)) for j in dims)
    unused = [j for j in range(f.shape[1]) if not (f[:, j] > 0).any()]
    fvu = errors / sum(float(np.var(x[:, j])) for j in dims)
    return {"dead": len(unused) / f.shape[1], "fvu": fvu, "l0": np.count_nonzero(f) / len(f)}


ADD = "Add up both sums, then divide."
ANSWERS.variants(quality, fvu={
    f"You took a ratio for each token and averaged: tokens near the mean decide. {ADD}":
        lambda e, c, x: (e.square().sum(1) / c.square().sum(1)).mean(),
    f"You took a ratio for each dimension and averaged. {ADD}":
        lambda e, c, x: (e.square().sum(0) / c.square().sum(0)).mean(),
    "The variance of the error forgives a constant error.": lambda e, c, x: ss(around(e)) / ss(c),
    "You did not subtract the mean from x in the denominator.": lambda e, c, x: ss(e) / ss(x),
    "You subtracted one mean for all dimensions.": lambda e, c, x: ss(e) / ss(x - x.mean()),
    "You centred over dimensions, not tokens.": lambda e, c, x: ss(e) / ss(x - x.mean(1, True)),
    "You divided by the variance of the reconstruction.": lambda e, c, x: ss(e) / ss(around(x - e)),
    "This is the explained fraction. Unexplained: 1 minus it.": lambda e, c, x: 1 - ss(e) / ss(c),
    "This is explained, and forgives constant errors.": lambda e, c, x: 1 - ss(around(e)) / ss(c),
    "You took the root of the ratio; variances are squares.": lambda e, c, x: e.norm() / c.norm(),
    "You did not divide by the variance of x.":
        (lambda e, c, x: ss(e) / len(x), lambda e, c, x: e.square().mean()),
    "One sum is divided by N and the other by N - 1. Both run over the same tokens.":
        lambda e, c, x: ss(e) / ss(c) * (1 - 1 / len(x)),
    "You divided a mean over dimensions by a sum.": lambda e, c, x: ss(e) / ss(c) / x.shape[1],
    "You divided a sum over dimensions by a mean.": lambda e, c, x: ss(e) / ss(c) * x.shape[1],
    "You added lengths and not squares.": lambda e, c, x: e.norm(dim=1).sum() / c.norm(dim=1).sum(),
    "This is 1 minus the ratio of variances.": lambda e, c, x: 1 - ss(around(x - e)) / ss(c),
    "You turned the ratio round: the error is the numerator.": lambda e, c, x: ss(c) / ss(e),
})  # fmt: skip
ANSWERS.variants(quality, l0={
    "You took the share of active features; L0 is their number.": lambda on, f: on.double().mean(),
    "You counted over all tokens; take the mean over tokens.": lambda on, f: on.sum(),
    "You counted the features that are active anywhere.": lambda on, f: on.any(0).sum(),
    "You counted tokens for each feature.": lambda on, f: on.sum(0).double().mean(),
    "You added the activations up (L1). L0 counts those above 0.": lambda on, f: f.sum(1).mean(),
    "You left the tokens without any active feature out. They count, with 0.":
        lambda on, f: mean_count(on[on.any(1)], f),
    "You counted activations of 0 as active.": lambda on, f: float(on.shape[1]),
    "You counted the features that are 0.": lambda on, f: mean_count(~on, f),
    "You took the most that any token has; take the mean.": lambda on, f: on.sum(1).max(),
    "You took the median over tokens; take the mean.": lambda on, f: np.median(on.sum(1)),
})  # fmt: skip
ANSWERS.variants(quality, {"Small activations were left out. Active is everything above 0.": (
    {"least": 0.5}, {"least": 1}, {"least": 0.1})})  # fmt: skip
ANSWERS.variants(quality, dead={
    "You returned the share of features that are alive.": lambda on, f: 1 - never(on, f),
    "You took the number of dead features; return their share.": lambda on, f: (~on.any(0)).sum(),
    "You counted the zeros of all tokens. A feature is dead if it is 0 on every token.":
        lambda on, f: 1 - on.double().mean(),
    "You counted tokens. Dead is a feature without an active token.": lambda on, f: never(on.T, f),
    "You counted features that are 0 on some token.": lambda on, f: 1 - on.all(0).double().mean(),
    "You counted features of small mean activation. One token is enough to be alive.":
        lambda on, f: (f.mean(0) < 0.1).sum() / f.shape[1],
    "You divided by the number of tokens, not features.": lambda on, f: (~on.any(0)).sum() / len(f),
    "One active token is enough to be alive.": lambda on, f: (on.sum(0) <= 1).double().mean(),
})  # fmt: skip
ANSWERS.variants(quality, {
    "fvu is off: compute in float64.": ({"to": torch.clone}, {"to": torch.Tensor.float}),
    "fvu may exceed 1: do not clip it.": {"fvu": lambda *t: fraction(*t).clamp(max=1)},
    "An activation of 1e-12 is above 0: the feature is active.": {"least": 1e-10},
}, held_out=True)  # fmt: skip


def draw(*sizes, note="", tolerance=1e-6, observe="", refused=False, **options):
    return Draw("measured", {"sizes": sizes} | options, note, tolerance, 0.0, observe, refused)


FVU = "The rule: squared errors of all tokens over squared distances of all from the mean state."
COUNT = "The rule: l0, features above 0 for a token, on average; dead, the share that never are."
SIZES = (6, 3, 8, 2), (9, 5, 6, 1), (20, 2, 5, 3)
UNEXPLAINED = [draw(*sizes, observe="unexplained") for sizes in SIZES]
ANSWERS.part("fraction of variance unexplained", 5, UNEXPLAINED, FVU)
SIZES = (5, 3, 9, 2), (8, 2, 6, 1), (4, 4, 11, 5)
COUNTS = [draw(*sizes, observe="active_and_dead") for sizes in SIZES]
ANSWERS.part("active and dead features", 3, COUNTS, COUNT)
UNITS = [draw(12, 4, 6, 2, made=made) for made in ("constant", "same", "worse", "mean")]
FORMS = {"scale": 7.0, "shift": 30.0}, {"scale": 1e-7}, {"scale": 1e5}, {"turned": True}
UNITS += [draw(12, 4, 6, 2, tolerance=1e-8, note="Other units.", **form) for form in FORMS]
UNITS.append(draw(3, 4, 5, 4, faint=1e-12, note="An activation of 1e-12 is above 0."))
for kind, far in (("float32", 900.0), ("bfloat16", 20.0), ("float16", 20.0)):
    UNITS.append(
        draw(400, 3, 5, 1, dtype=kind, shift=far, tolerance=1e-8, note=f"{kind}: use float64.")
    )
ANSWERS.part("constant errors, other units", 2, UNITS, f"{FVU} {COUNT}", held_out=True)
SAME = "All states are equal (compare them: their mean is rounded), so raise ValueError."
NONE = [draw(tokens, 5, 3, 0, equal=True, refused=True, note=SAME) for tokens in (2, 3, 7, 10)]
NONE += [draw(2, 1, 2, 1), draw(2, 5, 1, 0), draw(3, 2, 1, 1)]
ANSWERS.part("no variance", 2, NONE, f"{FVU} {COUNT}", held_out=True)
