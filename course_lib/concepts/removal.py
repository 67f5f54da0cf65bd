"""Remove a concept from hidden states: mean projection, INLP and LEACE, and what to compare with.

All are affine maps that change the state in a few directions only:

    r(x) = x - W R (x - m)        W [d, k], R [k, d], m the mean of the states

With R = W^T orthonormal it is an orthogonal projection. LEACE reads in one direction and writes
in another, so that it moves the states as little as possible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Eraser:
    """A fitted removal; call it with states [..., d].

    Attributes
    ----------
    method, concept : str
    mean : float64 [d], stays where it is.
    write : float64 [d, k]; read : float64 [k, d]
    """

    method: str
    concept: str
    mean: Tensor
    write: Tensor
    read: Tensor

    @property
    def rank(self) -> int:
        """k, the number of directions that are removed."""
        return self.read.shape[0]

    def __call__(self, x: Tensor) -> Tensor:
        """The states without the concept, same shape and dtype; differentiable."""
        if x.shape[-1] != len(self.mean):
            raise ValueError(
                f"This eraser was fitted on states of {len(self.mean)} units, these have "
                f"{x.shape[-1]}. Fit one on the same layer of the same model."
            )
        read, write = self.read.to(x), self.write.to(x)
        # [..., d] -> [..., k] -> [..., d]: two thin products, never the matrix W R [d, d]
        return x - ((x - self.mean.to(x)) @ read.T) @ write.T

    def __repr__(self) -> str:
        return f"Eraser({self.method}, {self.concept!r}, rank {self.rank} of {len(self.mean)})"


def one_hot(labels: np.ndarray | Tensor) -> Tensor:
    """Labels as columns, float64 [N, K].

    Whole numbers are classes and get a column each. Classes 0, 1, 2, 3 taken for one real number
    would say that class 2 lies between 1 and 3, and only that one direction would be removed.
    Real numbers are taken as they are: [N, K], or [N] for a single column.

    Examples
    --------
    >>> one_hot(np.array([2, 0, 2])).tolist()
    [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    """
    z = torch.as_tensor(labels)
    if z.is_floating_point():
        return z.double().reshape(len(z), -1)
    if z.dim() != 1:
        raise ValueError(f"Class labels must be a vector of whole numbers, got shape {z.shape}.")
    classes = z.unique()
    return (z[:, None] == classes).double()  # [N, 1] == [K] -> [N, K]


def prepared(x: np.ndarray | Tensor, labels: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
    """States float64 [N, d] and labels [N, K], checked."""
    x, z = torch.as_tensor(x).detach().double(), one_hot(labels)
    if x.dim() != 2 or len(x) != len(z):
        raise ValueError(
            f"States must be [N, d] with a label each; got states {list(x.shape)} and "
            f"{len(z)} labels. Take one layer at a time."
        )
    if len(x) < 2 or bool((z == z[0]).all()):
        raise ValueError("All labels are the same: there is no concept to remove.")
    return x, z


def projection(method: str, concept: str, x: Tensor, basis: Tensor) -> Eraser:
    """The orthogonal projection that removes the span of `basis` [d, k] (orthonormal columns)."""
    return Eraser(method, concept, x.mean(0), basis, basis.T.contiguous())


def mean_projection(x: np.ndarray | Tensor, labels: np.ndarray | Tensor, concept="") -> Eraser:
    """Remove the directions between the class means: rank K - 1 for K classes.

    Afterwards all classes have the same mean, and an orthogonal projection cannot do less. It
    takes away whatever else lies in these directions. No forward pass.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 1.0], [4.0, -1.0]])
    >>> mean_projection(x, np.array([0, 0, 1, 1]))(x).tolist()
    [[2.0, 1.0], [2.0, -1.0], [2.0, 1.0], [2.0, -1.0]]
    """
    x, z = prepared(x, labels)
    # [d, N] @ [N, K]: column k is the mean of class k minus the mean of all, times its size
    return projection("mean projection", concept, x, span((x - x.mean(0)).T @ (z - z.mean(0))))


def span(directions: Tensor, tolerance: float = 1e-8) -> Tensor:
    """An orthonormal basis [d, k] of the span of columns [d, K]."""
    u, s, _ = torch.linalg.svd(directions, full_matrices=False)  # u [d, min(d, K)]
    return u[:, s > tolerance * s.max()]


def inlp(
    x: np.ndarray | Tensor,
    labels: np.ndarray | Tensor,
    concept: str = "",
    *,
    rounds: int = 20,
    c: float = 0.1,
) -> Eraser:
    """Iterative null-space projection: fit a classifier, remove what it reads, fit the next one.

    Parameters
    ----------
    x : [N, d]; labels : int [N]
    rounds : at most so many classifiers. It stops before, when the next one is no better than the
        majority class on the states it was fitted on.
    c : inverse strength of their L2 penalty.

    Returns
    -------
    Eraser
        An orthogonal projection; every classifier is fitted on what the ones before have left,
        so their directions add up. Up to K - 1 directions a round.

    Notes
    -----
    Source: Ravfogel et al. 2020. Logistic regression takes the place of their support vector
    machines. No forward pass.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 1.0], [0.0, -1.0], [4.0, 1.0], [4.0, -1.0]])
    >>> inlp(x, np.array([0, 0, 1, 1])).rank
    1
    """
    from sklearn.linear_model import LogisticRegression

    if torch.as_tensor(labels).is_floating_point():
        raise ValueError("INLP needs classes: labels must be whole numbers.")
    x, _ = prepared(x, labels)
    y = np.asarray(labels)
    majority = np.unique(y, return_counts=True)[1].max() / len(y)
    basis = x.new_zeros(x.shape[1], 0)
    centred = x - x.mean(0)
    scale = centred.square().mean().sqrt()  # so that `c` means the same at every layer
    for _ in range(rounds):
        # what is left after the directions found so far, [N, d]
        left = (centred - (centred @ basis) @ basis.T) / scale
        probe = LogisticRegression(C=c, max_iter=500).fit(left.numpy(), y)
        if probe.score(left.numpy(), y) <= majority + 1e-9:
            break
        rows = torch.as_tensor(probe.coef_).double()  # [K, d], for two classes [1, d]
        rows = rows - rows.mean(0) if len(rows) > 1 else rows  # softmax ignores a common shift
        # the penalty keeps rows out of the removed span, but not to the last digit
        new = rows.T - basis @ (basis.T @ rows.T)
        basis = span(torch.cat([basis, span(new, 1e-6)], dim=1))
    return projection("INLP", concept, x, basis)


def leace(
    x: np.ndarray | Tensor,
    labels: np.ndarray | Tensor,
    concept: str = "",
    *,
    shrinkage: float = 0.0,
    tolerance: float = 1e-8,
) -> Eraser:
    """Least-squares concept erasure: no linear probe can do better than a constant.

    r(x) = x - S^1/2 U U^T S^-1/2 (x - m), with S the covariance of the states and U the left
    singular vectors of S^-1/2 C, C the cross-covariance of states and labels.

    Parameters
    ----------
    x : [N, d]
    labels : int [N] (classes, made one-hot here) or float [N, K]
    shrinkage : from 0 to 1, the share of the mean variance in place of S; above 0 it helps where
        there are few more states than units, and the guarantee holds only about.
    tolerance : singular values below this share of the largest one count as zero.

    Returns
    -------
    Eraser
        Rank at most K - 1 for K classes. Among all affine maps after which states and labels are
        uncorrelated it changes the states least.

    Raises
    ------
    ValueError
        For shapes that do not fit, or labels that are all the same.

    Notes
    -----
    The guarantee is about linear probes and about the states it was fitted on; a probe with a
    hidden layer may still find the concept. Source: Belrose et al. 2023. No forward pass.

    Examples
    --------
    >>> x, y = torch.randn(100, 5, generator=torch.Generator().manual_seed(0)), np.arange(100) % 4
    >>> clean = leace(x, y)(x.double())
    >>> means = torch.stack([clean[y == k].mean(0) for k in range(4)])
    >>> bool((means - means[0]).abs().max() < 1e-9)
    True
    """
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be between 0 and 1, got {shrinkage}.")
    x, z = prepared(x, labels)
    centred, z = x - x.mean(0), z - z.mean(0)
    # in the whitened space S^-1/2 x all directions vary alike: there the orthogonal projection is
    # the smallest change, and S^1/2 brings it back
    root, inverse = roots(centred.T @ centred / len(x), shrinkage)
    u, s, _ = torch.linalg.svd(inverse @ (centred.T @ z / len(x)), full_matrices=False)
    u = u[:, s > tolerance * s.max()]  # [d, k]
    # write [d, k], read [k, d]
    return Eraser("LEACE", concept, x.mean(0), root @ u, u.T @ inverse)


def roots(covariance: Tensor, shrinkage: float = 0.0) -> tuple[Tensor, Tensor]:
    """S^1/2 and S^-1/2; directions without variance have zero in both."""
    size = len(covariance)
    flat = covariance.trace() / size * torch.eye(size, dtype=covariance.dtype)
    values, vectors = torch.linalg.eigh((1 - shrinkage) * covariance + shrinkage * flat)
    # below rounding a variance is 0, as in the numerical rank of a matrix
    kept = values > values.max() * size * torch.finfo(values.dtype).eps
    # 1 in their place, so that 1 / values is finite; the next line takes them out
    values = torch.where(kept, values, torch.ones_like(values)).sqrt()
    root, inverse = (torch.where(kept, v, torch.zeros_like(v)) for v in (values, 1 / values))
    # columns scaled: V diag V^T, [d, d]
    return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T


def random_subspace(x: np.ndarray | Tensor, rank: int, seed: int = 0) -> Eraser:
    """Remove a random subspace: what losing so many directions costs, whatever they mean.

    Directions in which the states vary a lot would be no control: in a late layer the difference of
    two states is mostly what the model is about to say, the concept in question among it.

    Raises
    ------
    ValueError
        If the rank is not between 1 and d.

    Examples
    --------
    >>> random_subspace(torch.randn(20, 8), rank=2).rank
    2
    """
    x = torch.as_tensor(x).detach().double()
    if not 1 <= rank <= x.shape[1]:
        raise ValueError(f"The rank must be between 1 and {x.shape[1]}, got {rank}.")
    dice = torch.Generator().manual_seed(seed)
    noise = torch.randn(x.shape[1], rank, generator=dice, dtype=torch.float64)
    return projection("random subspace", f"seed {seed}", x, torch.linalg.qr(noise)[0])


def shuffled(
    x: np.ndarray | Tensor, labels: np.ndarray | Tensor, seed: int = 0, method=leace
) -> Eraser:
    """The same method on shuffled labels: a removal of the same kind and rank, of nothing.

    Whatever a probe finds after it, or a model misses, is not about the concept.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    return method(x, np.asarray(labels)[order], f"shuffled {seed}")


METHODS = {"mean projection": mean_projection, "INLP": inlp, "LEACE": leace}
