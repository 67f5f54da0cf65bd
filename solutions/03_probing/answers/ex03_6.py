"""03.6, LEACE: answers, mistakes and draws (instructors only)."""

import numpy as np
import torch
from torch.nn.functional import one_hot

from course_lib.grading.answers import Answers, Draw

ANSWERS = Answers("03.6", "LEACE")


def columns(labels):
    return one_hot(labels.unique(return_inverse=True)[1]).double()


def roots(covariance, powers=(-0.5, 0.5), **bound):
    """Powers of a symmetric matrix; directions without variance stay zero."""
    variance, axes = torch.linalg.eigh(covariance)
    rank = torch.linalg.matrix_rank(covariance, hermitian=True, **bound or {"rtol": 1e-8})
    variance, axes = variance[-rank:], axes[:, -rank:]
    return [(axes * variance**power) @ axes.T for power in powers]


def basis(matrix):
    rank = torch.linalg.matrix_rank(matrix, rtol=1e-8)
    return torch.linalg.svd(matrix, full_matrices=False)[0][:, :rank]


def subtracted(new, mean, change, *_):
    return new - (new - mean) @ change.T


def erase(
    x, labels, new, target=columns, mean=lambda x, *_: x.mean(0), keep=lambda u, white: u,
    spread=lambda x, far, new: far.T @ far, cross=lambda x, far, z: far.T @ z, apply=subtracted,
    **how,
):  # fmt: skip
    """The map is the same without N, the mean of the labels, and with new states as they are."""
    if len(labels.unique()) < 2:
        raise ValueError("there is nothing to erase")
    x = x.double()
    far = x - x.mean(0)
    white, colour = roots(spread(x, far, new), **how)
    common = cross(x, far, target(labels))
    u = keep(basis(white @ common), white)
    return apply(new, mean(x, new, labels), colour @ u @ u.T @ white, u, white, common)


@ANSWERS.right
def leace(x, labels, new):
    return erase(x, labels, new)


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


APPLY = {
    "You projected the means away at right angles (mean projection). LEACE whitens first.":
        lambda n, m, p, u, w, c: subtracted(n, m, basis(c) @ basis(c).T),
    "You projected in whitened space, but applied it to the states as they are.":
        lambda n, m, p, u, w, c: subtracted(n, m, u @ u.T),
    "The map is transposed: the change is (x - mean) @ P.T.": lambda n, m, p, *_: n - (n - m) @ p,
    "The mean is missing: r(x) = x - P (x - mean).": lambda n, m, p, *_: n - n @ p.T,
    "The mean is lost: r(x) = x - P (x - mean).": lambda n, m, p, *_: subtracted(n, m, p) - m,
    "You returned what is removed; subtract it.": lambda n, m, p, *_: (n - m) @ p.T,
    "The sign is turned round: subtract P (x - mean).": lambda n, m, p, *_: n + (n - m) @ p.T,
    "You stayed in whitened space; take the whitening back.":
        lambda n, m, p, u, w, c: subtracted((n - m) @ w, 0, u @ u.T),
    "You returned the states unchanged.": lambda n, *_: n,
    "You removed all that varies; only the classes may go.": lambda n, m, *_: m.expand(n.shape),
}  # fmt: skip


def one_more(u, white):
    """A direction that no class has: in an answer it follows from rounding."""
    extra = white[:, :1] - u @ u.T @ white[:, :1]
    return torch.cat([u, extra / extra.norm()], 1)


ANSWERS.variants(erase, {message: {"apply": change} for message, change in APPLY.items()})
OPTIONS = {
    "The labels went in as one column of numbers: give every class a column.":
        {"target": lambda labels: labels[:, None].double()},
    "You whitened with the inverse covariance; take its square root.": {"powers": (-1.0, 1.0)},
    "You whitened every unit for itself. Units go together: use the whole covariance.":
        {"spread": lambda x, far, new: torch.diag((far.T @ far).diag())},
    "The states are not centred in the covariances: subtract the mean first.":
        {"spread": lambda x, far, new: x.T @ x, "cross": lambda x, far, z: x.T @ z},
    "Mean and covariance come from the new states; take those that the eraser is fitted on.":
        {"mean": lambda x, new, y: new.mean(0), "spread": lambda x, far, new: new.T.cov()},
    "The mean comes from the new states; take those that the eraser is fitted on.":
        {"mean": lambda x, new, labels: new.mean(0)},
    "You set the removed part to the mean of class 0.":
        {"mean": lambda x, new, labels: x[labels == labels.min()].mean(0)},
    "You removed a direction too many: a singular value that is zero up to rounding has none.":
        {"keep": one_more},
    "You removed the first direction only; with K classes there are up to K - 1.":
        {"keep": lambda u, white: u[:, :1]},
}  # fmt: skip
HELD_OUT = {
    "Directions without variance have no inverse root (or you get nan): leave them out.":
        {"rtol": 0.0},
    "The bound for directions without variance is 1e-8 of the largest eigenvalue.":
        {"rtol": 0.0, "atol": 1e-4},
    "The numbers of the classes mean nothing, and none need be 0 ... K - 1.":
        {"target": lambda y: (y[:, None] == torch.arange(len(y.unique()))).double()},
}  # fmt: skip
ANSWERS.variants(erase, OPTIONS)
ANSWERS.variants(erase, HELD_OUT, held_out=True)


@ANSWERS.mistake("float32 states with a large mean: convert to float64 first.", held_out=True)
def in_their_own_type(x, labels, new):
    if x.dtype != torch.float32:
        return erase(x, labels, new)
    far, z = x - x.mean(0), columns(labels).float()
    white, colour = roots(far.T @ far)
    u = basis(white @ far.T @ z)
    return subtracted(new, x.mean(0), colour @ u @ u.T @ white)


@ANSWERS.witness("without variance")
def ridge(x, labels, new):
    return erase(x, labels, new, spread=lambda x, far, _: far.T @ far + 0.1 * torch.eye(len(far.T)))


RULE = "r(x) = x - S^(1/2) U U' S^(-1/2) (x - mean), in float64; mean and S are those of x."
SHAPES = [{"shape": shape} for shape in ((40, 5, 2), (60, 6, 4), (50, 4, 3))]
GUARD = "All classes must have the mean of all states, and of K classes K - 1 directions go."
left = [Draw("classes", some, GUARD, 1e-6, scale=1.0, observe="guarded") for some in SHAPES]
ANSWERS.part("nothing left for a linear probe", 5, left, RULE)
others = [some | {"new": 11} for some in SHAPES]
learnt = {"shape": (30, 5, 3), "kind": "learnt"}
least = [Draw("classes", some, tolerance=1e-8) for some in [*SHAPES, *others, learnt]]
ANSWERS.part("the smallest such change", 6, least, RULE)
FLAT = "There are directions without variance: they get 0 in both roots."
flat = [
    {"shape": (40, 4, 3), "new": 9, "kind": kind, "far": 2.0} for kind in ("constant", "tilted")
]
flat += [{"shape": (8, 12, 2)}, {"shape": (40, 4, 6)}, {"shape": (40, 5, 3), "thin": 1e-3}]
flat += [
    {"shape": (40, 5, 3), "scale": 1e-5},
    {"shape": (40, 5, 3), "scale": 1e5, "kind": "turned"},
]
flat = [Draw("classes", some, FLAT) for some in flat]
ANSWERS.part("directions without variance", 3, flat, RULE, held_out=True)
NAMES = "The numbers of the classes mean nothing."
named = [{"shape": (50, 5, 3), "names": names} for names in ([9, 2, 5], [-3, 100, 0])]
named = [Draw("classes", some, NAMES, 1e-6) for some in named]
far = {"shape": (50, 5, 3), "dtype": "float32", "far": 5000.0}
single = Draw("classes", far, "float32 states with a large mean: convert to float64.", 2e-9)
one = Draw("classes", {"shape": (50, 5, 2), "names": [1, 1]}, "One class: raise ValueError.",
           refused=True)  # fmt: skip
ANSWERS.part("names of classes, float32, one class", 3, [*named, single, one], RULE, held_out=True)
