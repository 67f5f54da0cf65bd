"""03.6, LEACE: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch
from torch.nn.functional import one_hot

from course_lib.checks.drawing import draws
from course_lib.grading.answers import Answers

ANSWERS = Answers("03.6", "LEACE")


def rank_of(matrix):
    return torch.linalg.matrix_rank(matrix, rtol=1e-8)


def roots(covariance, powers, rank):
    """Powers of a symmetric matrix; directions without variance stay zero."""
    variance, axes = torch.linalg.eigh(covariance)
    variance, axes = variance[-rank(covariance) :], axes[:, -rank(covariance) :]
    return [(axes * variance**power) @ axes.T for power in powers]


def basis(matrix):
    return torch.linalg.svd(matrix, full_matrices=False)[0][:, : rank_of(matrix)]


def subtracted(new, mean, change, *_):
    return new - (new - mean) @ change.T


@ANSWERS.right
def leace(
    x, labels, new, target=lambda labels: one_hot(labels.unique(return_inverse=True)[1]),
    mean=lambda x, *_: x.mean(0), keep=lambda u, white: u,
    spread=lambda x, far, new: far.T @ far, cross=lambda x, far, z: far.T @ z, apply=subtracted,
    double=torch.Tensor.double, powers=(-0.5, 0.5), rank=rank_of,
):  # fmt: skip
    """The map is the same without N, the mean of the labels, and with new states as they are."""
    if len(labels.unique()) < 2:
        raise ValueError("there is nothing to erase")
    x = double(x)
    far = x - x.mean(0)
    white, colour = roots(spread(x, far, new), powers, rank)
    common = cross(x, far, target(labels).to(x.dtype))
    u = keep(basis(white @ common), white)
    return apply(new, mean(x, new, labels), colour @ u @ u.T @ white, u, white, common)


@ANSWERS.other
def closed_form(x, labels, new):
    """P = A (A' S^-1 A)^-1 A' S^-1, with the class means as A."""
    if len(labels.unique()) < 2:
        raise ValueError
    x, new, y = x.detach().double().numpy(), new.detach().double().numpy(), labels.numpy()
    mean = x.mean(0)
    a = np.stack([x[y == c].mean(0) - mean for c in np.unique(y)], 1)
    inverse = np.linalg.pinv((x - mean).T @ (x - mean) / len(x), rcond=1e-8, hermitian=True)
    p = a @ np.linalg.pinv(a.T @ inverse @ a, rcond=1e-9, hermitian=True) @ a.T @ inverse
    return torch.tensor(new - (new - mean) @ p.T)


def one_more(u, white):
    """A direction that no class has: in an answer it follows from rounding."""
    extra = white[:, :1] - u @ u.T @ white[:, :1]
    return torch.cat([u, extra / extra.norm()], 1)


def diagonal(x, far, new):
    return torch.diag((far.T @ far).diag())


def of_new(x, new, labels):
    return new.mean(0)


# Whoever does this has another direction each time, and is told by the rank alone: so it is first.
ANSWERS.variants(leace, keep={
        "A singular value that is zero up to rounding belongs to no direction.": one_more,
        "You removed the first direction only; K classes have K - 1.": lambda u, white: u[:, :1],
})  # fmt: skip
ANSWERS.variants(leace, {
        "The states are not centred in the covariances.":
            {"spread": lambda x, *_: x.T @ x, "cross": lambda x, far, z: x.T @ z},
        "Mean and covariance come from the new states; take those that the eraser is fitted on.":
            {"mean": of_new, "spread": lambda x, far, new: new.T.cov()}},
    apply={
        "You projected the means away at right angles (mean projection). LEACE whitens first.":
            lambda n, m, p, u, w, c: subtracted(n, m, basis(c) @ basis(c).T),
        "You applied the projection of whitened space to the states as they are.":
            lambda n, m, p, u, *_: subtracted(n, m, u @ u.T),
        "The map is transposed: (x - mean) @ P.T.": lambda n, m, p, *_: subtracted(n, m, p.T),
        "The mean is missing: r(x) = x - P (x - mean).": lambda n, m, p, *_: subtracted(n, 0, p),
        "The mean is lost: r(x) = x - P (x - mean).": lambda n, m, p, *_: subtracted(n, m, p) - m,
        "You returned what is removed; subtract it.": lambda n, m, p, *_: (n - m) @ p.T,
        "The sign is turned round: subtract P (x - mean).": lambda n, m, p, *_: n + (n - m) @ p.T,
        "You stayed in whitened space; take the whitening back.":
            lambda n, m, p, u, white, _: subtracted((n - m) @ white, 0, u @ u.T),
        "You returned the states unchanged.": lambda n, *_: n,
        "You removed all that varies; only classes go.": lambda n, m, *_: m.expand(n.shape)},
    target={"The labels went in as one column of numbers.": lambda y: y[:, None]},
    powers={"You whitened with the inverse covariance, not its square root.": ((-1.0, 1.0),)},
    spread={"You whitened every unit for itself; use the whole covariance matrix.": diagonal},
    mean={
        "The mean comes from the new states; the eraser has another.": of_new,
        "The removed part is set to the mean of class 0.": lambda x, _, y: x[y == y.min()].mean(0)},
)  # fmt: skip
ANSWERS.variants(leace, held_out=True, rank={
        "Directions without variance have no inverse root: leave them out.": len,
        "The bound for directions without variance is relative to the largest eigenvalue.":
            lambda matrix: torch.linalg.matrix_rank(matrix, atol=1e-4, rtol=0.0)},
    target={
        "The numbers of the classes mean nothing, and none need be 0 ... K - 1.":
            lambda y: y[:, None] == torch.arange(len(y.unique()))},
    double={"float32 states with a large mean: convert to float64 first.": lambda x: x},
)  # fmt: skip


@ANSWERS.witness("without variance")
def ridge(x, labels, new):
    return leace(x, labels, new, spread=lambda x, far, _: far.T @ far + 0.1 * torch.eye(len(far.T)))


RULE = "r(x) = x - S^(1/2) U U' S^(-1/2) (x - mean), in float64; mean and S are those of x."
shapes = ((40, 5, 2), (60, 6, 4), (50, 4, 3))
GUARD = "All classes must have the mean of all states, and of K classes K - 1 directions go."
left = draws("classes", *shapes, note=GUARD, tolerance=1e-6, scale=1.0, observe="guarded")
ANSWERS.part("nothing left for a linear probe", 5, left, RULE)
some = [{"of": of, "new": new} for of in shapes for new in (0, 11)]
some = draws("classes", *some, {"of": (30, 5, 3), "kind": "learnt"}, tolerance=1e-8)
ANSWERS.part("the smallest such change", 6, some, RULE)
THREE = {"of": (40, 5, 3), "new": 9}
flat = [THREE | {"kind": kind, "far": 2.0} for kind in ("constant", "tilted")]
flat += [(8, 12, 2), (40, 4, 6), THREE | {"thin": 1e-3}]
flat += [THREE | {"scale": 1e-5}, THREE | {"scale": 1e5, "kind": "turned"}]
flat = draws("classes", *flat, note="Directions without variance get 0.", tolerance=1e-5)
ANSWERS.part("directions without variance", 3, flat, RULE, held_out=True)
some = [{"of": (50, 5, 3), "names": names} for names in ([9, 2, 5], [-3, 100, 0])]
some = draws("classes", *some, note="The numbers of the classes mean nothing.", tolerance=1e-6)
far = {"of": (50, 5, 3), "dtype": "float32", "far": 5000.0}
some += draws("classes", far, note="float32 with a large mean: use float64.", tolerance=2e-9)
ONE = "With a single class raise ValueError."
some += draws("classes", {"of": (50, 5, 2), "names": [1, 1]}, note=ONE, refused=True)
ANSWERS.part("names of classes, float32, one class", 3, some, RULE, held_out=True)
