"""Checks of 03.6: LEACE from means and covariances (see unit03.py)."""

from __future__ import annotations

import numpy as np
import torch

from course_lib.checks.calling import compare
from course_lib.checks.results import Wrong

# --- 03.6 leace(x [N, d], labels [N], new [M, d]) -> [M, d] --------------------------------------

SMALL = 1e-8  # below this share of the largest, an eigenvalue or a singular value counts as zero


def columns(labels):
    """One column of zeros and ones for each class that occurs."""
    return (np.asarray(labels)[:, None] == np.unique(labels)).astype(float)


def power(covariance, exponent):
    """A power of a symmetric matrix; directions without variance stay zero."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > SMALL * values.max()
    scaled = np.where(kept, np.where(kept, values, 1.0) ** exponent, 0.0)
    return (vectors * scaled) @ vectors.T


def span(matrix, most=None):
    """An orthonormal basis of the columns; ``most`` takes so many directions instead."""
    u, s, _ = np.linalg.svd(matrix, full_matrices=False)
    return u[:, s > SMALL * s.max()] if most is None else u[:, :most]


def moments(x, z):
    """Mean [d], covariance [d, d] and cross-covariance [d, K] of states and labels."""
    xc, zc = x - x.mean(0), z - z.mean(0)
    return x.mean(0), xc.T @ xc / len(x), xc.T @ zc / len(x)


def map_of(covariance, cross, most=None):
    """The matrix P of LEACE: r(x) = x - P (x - mean)."""
    white = power(covariance, -0.5)
    u = span(white @ cross, most)
    return power(covariance, 0.5) @ u @ u.T @ white


def erased(x, labels, new):
    mean, covariance, cross = moments(x, columns(labels))
    return new - (new - mean) @ map_of(covariance, cross).T


def erase_mistakes(x, labels, new):
    mean, covariance, cross = moments(x, columns(labels))
    p = map_of(covariance, cross)
    half, white = power(covariance, 0.5), power(covariance, -0.5)
    u, q = span(white @ cross), span(cross)
    far, classes = new - mean, len(np.unique(labels))
    number = np.asarray(labels, dtype=float)[:, None]
    raw = x.T @ x / len(x)
    inverse = power(covariance, -1.0)
    v = span(inverse @ cross)
    scale = np.sqrt(np.diag(covariance))
    scale = np.where(scale > 0, scale, 1.0)
    d = span(cross / scale[:, None])
    new_mean, new_covariance, _ = moments(new, np.ones((len(new), 1)))
    back = np.eye(x.shape[1]) - p
    mistakes = {
        "You projected the means away at right angles (mean projection). LEACE whitens first, "
        "projects there and takes the whitening back.": new - far @ q @ q.T,
        "The labels went in as one column of numbers. Class 2 does not lie between 1 and 3: give "
        "every class a column of zeros and ones.": new
        - far @ map_of(covariance, moments(x, number)[2]).T,
        "You projected in whitened space, but applied the projection to the states as they are. "
        "Whiten, project, take the whitening back.": new - far @ u @ u.T,
        "The map is transposed: you whiten after the projection, not before. With states in rows, "
        "the change is (x - mean) @ P.T.": new - far @ p,
        "The mean is missing: the change is P (x - mean).": new - new @ p.T,
        "The mean is lost: r(x) = x - P (x - mean), so the mean of the states stays.": far @ back.T,
        "You returned what is removed, P (x - mean); subtract it from x.": far @ p.T,
        "The sign is turned round: subtract P (x - mean).": new + far @ p.T,
        "You stayed in whitened space; take the whitening back.": far
        @ white
        @ (np.eye(len(mean)) - u @ u.T),
        "You stayed in whitened space; take the whitening back. ": far
        @ white
        @ (np.eye(len(mean)) - u @ u.T)
        + mean,
        "You whitened with the inverse covariance; whiten with its inverse square root.": new
        - far @ (covariance @ v @ v.T @ inverse).T,
        "You whitened with the inverse covariance; whiten with its inverse square root. ": new
        - far @ (half @ v @ v.T @ white).T,
        "You whitened every unit for itself (its standard deviation). Units go together: use the "
        "whole covariance matrix.": new - far @ ((scale[:, None] * d) @ (d.T / scale)).T,
        "The states are not centred in the covariances: subtract the mean first.": new
        - far @ map_of(raw, x.T @ columns(labels) / len(x)).T,
        "The states are not centred in the covariances: subtract the mean first. ": new
        - far @ map_of(raw, cross).T,
        "Mean and covariance come from the new states; they belong to the states that the eraser "
        "is fitted on.": new - (new - new_mean) @ map_of(new_covariance, cross).T,
        "The mean comes from the new states; it is that of the states the eraser is fitted on.": new
        - (new - new_mean) @ p.T,
        "You set the removed part to the mean of class 0.": new
        - (new - x[labels == labels.min()].mean(0)) @ p.T,
        "You returned the states unchanged.": new,
        "You removed all that varies; only the classes may go.": np.broadcast_to(mean, new.shape),
        "You removed the common direction of all classes too: singular values that are zero up to "
        "rounding belong to no direction.": new - far @ map_of(covariance, cross, classes).T,
    }
    if classes > 2:
        mistakes["You removed the first direction only; with K classes there are up to K - 1."] = (
            new - far @ map_of(covariance, cross, 1).T
        )
    return new - far @ p.T, mistakes


def states_of(rng, size, width, classes, shift=3.0):
    """States [N, d] of classes with different means, and a covariance that is far from round."""
    labels = rng.permutation(np.concatenate([np.arange(classes)] * 3 + [
        rng.integers(classes, size=size - 3 * classes)
    ]))  # fmt: skip
    labels = np.where(rng.random(size) < 0.3, 0, labels)  # classes of different size
    labels[:classes] = rng.permutation(classes)
    stretch = rng.normal(size=(width, width)) * np.linspace(0.4, 2.5, width)
    means = rng.normal(size=(classes, width)) * 1.5
    x = means[labels] + rng.normal(size=(size, width)) @ stretch + shift * rng.normal(size=width)
    return x, labels


def erase_answer(student, x, labels, new):
    answer = student(torch.tensor(x), torch.tensor(labels), torch.tensor(new))
    if not isinstance(answer, (torch.Tensor, np.ndarray)):
        raise Wrong(f"Return the states as a tensor; yours is of type {type(answer).__name__}.")
    got = answer.detach().cpu().numpy() if isinstance(answer, torch.Tensor) else answer
    if np.iscomplexobj(got):
        raise Wrong("Your states are complex: a covariance is symmetric, so use eigh, not eig.")
    try:
        got = np.array(got, dtype=np.float64)
    except (TypeError, ValueError):
        raise Wrong("Your states are not numbers: return a tensor of floats.") from None
    if got.shape != new.shape:
        raise Wrong(f"Return new states of shape {list(new.shape)}; yours are {list(got.shape)}.")
    if not np.isfinite(got).all():
        raise Wrong(
            "Your states are nan or infinite. An eigenvalue that is zero, or below zero by "
            "rounding, has no inverse root: leave such directions out."
        )
    return got


CASES = ((40, 5, 2), (60, 6, 4), (50, 4, 3))


def leace_guards(student, rng):
    for size, width, classes in CASES:
        x, labels = states_of(rng, size, width, classes)
        got = erase_answer(student, x, labels, x)
        right, mistakes = erase_mistakes(x, labels, x)
        means = np.stack([got[labels == c].mean(0) for c in range(classes)])
        left = np.abs(means - x.mean(0)).max()
        if left > 1e-4:
            otherwise = (
                f"With {classes} classes, the mean of one class still is {left:.3g} away from that "
                "of all states, so a linear probe has something to find."
            )
            compare(got, right, mistakes, otherwise, tolerance=1e-4)
        rank = np.linalg.matrix_rank(x - got, tol=1e-3)
        if rank != classes - 1:
            if np.allclose(got, mistakes["You removed all that varies; only the classes may go."]):
                raise Wrong("You removed all that varies; only the classes may go.")
            otherwise = (
                f"Your change has rank {rank}; {classes} classes differ in {classes - 1} "
                "directions, and only these may go. "
            )
            if rank == classes:
                otherwise += "A singular value that is zero up to rounding belongs to no direction."
            compare(got, right, mistakes, otherwise, tolerance=1e-4)


def leace_exact(student, rng):
    for size, width, classes in CASES:
        x, labels = states_of(rng, size, width, classes)
        new = states_of(rng, 3 * classes + 4, width, classes, shift=5.0)[0]
        for states in (x, new):
            got = erase_answer(student, x, labels, states)
            right, mistakes = erase_mistakes(x, labels, states)
            least = np.square(right - x).sum(1).mean() if states is x else None
            moved = np.square(got - states).sum(1).mean()
            otherwise = "Wrong states. " + (
                f"Yours move by {moved:.3f} (mean square); LEACE moves them by {least:.3f}."
                if least is not None
                else "These states were not among those the eraser was fitted on; the map is the "
                "same for them."
            )
            compare(got, right, mistakes, otherwise, tolerance=1e-4)
