"""TopK: keep the k strongest features of every state, and need no penalty at all.

    u     = (x - b) W_enc + b_enc
    f(x)  = ReLU(u) where u is one of the k largest, 0 elsewhere
    x_hat = b + f(x) W_dec
    loss  = |x - x_hat|^2 + |(x - x_hat) - x_dead|^2 / 32

The number of active features is chosen, not tuned by a penalty, and strengths are not shrunk.
The price: a simple state gets as many features as a complicated one.

A feature that is never among the k largest gets no gradient and stays dead. So the 2k strongest of
the dead features try to reconstruct, in x_dead, what the others miss.

Source: Makhzani and Frey 2013; Gao et al. 2024.
"""

from __future__ import annotations

import torch
from torch import Tensor

from course_lib.sae.base import Loss, SparseAutoencoder, squared_error


class TopKSAE(SparseAutoencoder):
    """The k largest strengths of every state, all others 0.

    Parameters
    ----------
    d, features, seed : as in `SparseAutoencoder`.
    k : int
        Features a state may use; those of them that come out negative are 0 too.

    Raises
    ------
    ValueError
        If k is not between 1 and the number of features.

    Examples
    --------
    >>> import torch
    >>> sae = TopKSAE(d=4, features=8, k=3)
    >>> int((sae.encode(torch.randn(100, 4)) > 0).sum(-1).max()) <= 3
    True
    """

    kind = "topk"
    restarts = False

    def __init__(self, d: int, features: int, k: int = 16, seed: int = 0) -> None:
        super().__init__(d, features, seed)
        if not 1 <= k <= features:
            raise ValueError(f"k must lie between 1 and the {features} features, got {k}.")
        self.k = k

    @property
    def options(self) -> dict[str, float]:
        return {"k": self.k}

    def encode(self, x: Tensor) -> Tensor:
        u = (x - self.b_dec) @ self.W_enc + self.b_enc
        return self.strongest(u, self.k)

    def decode(self, f: Tensor) -> Tensor:
        return f @ self.W_dec + self.b_dec

    def loss(self, x: Tensor) -> Loss:
        u = (x - self.b_dec) @ self.W_enc + self.b_enc  # [N, F]
        f = self.strongest(u, self.k)
        x_hat = self.decode(f)
        reconstruction = squared_error(x, x_hat)
        total = reconstruction
        dead = self.dead.nonzero()[:, 0]  # [D], their numbers
        if len(dead):
            # [N, D]: among the dead alone, where the living cannot crowd them out
            revived = self.strongest(u.index_select(1, dead), min(2 * self.k, len(dead)))
            x_dead = revived @ self.W_dec.index_select(0, dead)  # [N, D] @ [D, d]
            # detached: the dead shall fit what is missed, and not change what is missed
            total = reconstruction + squared_error((x - x_hat).detach(), x_dead) / 32
        return Loss(total, reconstruction, torch.count_nonzero(f) / len(f))  # none is negative

    @staticmethod
    def strongest(u: Tensor, k: int) -> Tensor:
        """The k largest of u [..., F], where they are positive; 0 elsewhere."""
        best = u.topk(k, sorted=False)  # [..., k]
        # each value back to its place in [..., F]
        return torch.zeros_like(u).scatter(-1, best.indices, best.values.relu())
