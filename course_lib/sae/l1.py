"""The first sparse autoencoder: a ReLU encoder and a penalty on the sum of the strengths.

    f(x)  = ReLU((x - b) W_enc + b_enc)
    x_hat = b + f(x) W_dec
    loss  = |x - x_hat|^2 + penalty * sum_c f_c(x)

The penalty pushes every strength towards 0, the large ones as hard as the small ones: features
that are on come out too weak (shrinkage). Source: Bricken et al. 2023; Cunningham et al. 2023.
"""

from __future__ import annotations

from torch import Tensor

from course_lib.sae.base import Loss, SparseAutoencoder, squared_error


class L1SAE(SparseAutoencoder):
    """ReLU encoder with an L1 penalty on the strengths.

    Parameters
    ----------
    d, features, seed : as in `SparseAutoencoder`.
    penalty : float
        Weight of the sparsity in the loss; 0 makes a plain autoencoder. It weighs a length
        against a squared length, so its effect depends on the scale of x: `train_sae` brings
        states to a mean square of 1 per dimension first.

    Examples
    --------
    >>> import torch
    >>> sae = L1SAE(d=4, features=8)
    >>> x = torch.ones(2, 4)
    >>> sae.encode(x).shape, bool((sae.encode(x) >= 0).all())
    (torch.Size([2, 8]), True)
    """

    kind = "l1"

    def __init__(self, d: int, features: int, penalty: float = 1.0, seed: int = 0) -> None:
        super().__init__(d, features, seed)
        self.penalty = penalty

    @property
    def options(self) -> dict[str, float]:
        return {"penalty": self.penalty}

    def encode(self, x: Tensor) -> Tensor:
        return ((x - self.b_dec) @ self.W_enc + self.b_enc).relu()  # [..., d] @ [d, F]

    def decode(self, f: Tensor) -> Tensor:
        return f @ self.W_dec + self.b_dec

    def loss(self, x: Tensor) -> Loss:
        f = self.encode(x)  # [N, F]
        reconstruction = squared_error(x, self.decode(f))
        sparsity = f.sum(-1).mean()  # the L1 norm: no strength is negative
        return Loss(reconstruction + self.penalty * sparsity, reconstruction, sparsity)
