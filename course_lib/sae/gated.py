"""Gated: one part of the encoder decides which features are on, another how strongly.

    v     = (x - b) W_enc
    gate  = v + b_gate                     on where positive
    size  = ReLU(exp(r) * v + b_enc)
    f(x)  = [gate > 0] * size
    x_hat = b + f(x) W_dec
    loss  = |x - x_hat|^2 + penalty * sum_c ReLU(gate_c) + |x - decode(ReLU(gate))|^2

The penalty acts on the gate and not on the strengths, so nothing is shrunk. The last term trains
the gate, which reaches x_hat only through a step; the decoder is held fixed in it. Both parts share
W_enc up to a factor exp(r) for each feature. Source: Rajamanoharan et al. 2024 (gated).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.sae.base import Loss, SparseAutoencoder, squared_error


class GatedSAE(SparseAutoencoder):
    """Gate and strength computed apart, the L1 penalty on the gate.

    Parameters
    ----------
    d, features, seed : as in `SparseAutoencoder`.
    penalty : float
        Weight of the gate's L1 norm; see `L1SAE`.

    Examples
    --------
    >>> import torch
    >>> sae = GatedSAE(d=4, features=8)
    >>> sae.encode(torch.ones(2, 4)).shape
    torch.Size([2, 8])
    """

    kind = "gated"

    def __init__(self, d: int, features: int, penalty: float = 1.0, seed: int = 0) -> None:
        super().__init__(d, features, seed)
        self.penalty = penalty
        self.b_gate = nn.Parameter(torch.zeros(features))
        self.r = nn.Parameter(torch.zeros(features))

    @property
    def options(self) -> dict[str, float]:
        return {"penalty": self.penalty}

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gate and size, each [..., F]."""
        v = (x - self.b_dec) @ self.W_enc  # [..., d] @ [d, F]
        # exp(r) > 0: the gate and the size of a feature always point the same way
        return v + self.b_gate, (self.r.exp() * v + self.b_enc).relu()

    def encode(self, x: Tensor) -> Tensor:
        gate, size = self.parts(x)
        # a step has derivative 0: through this product the gate learns nothing
        return (gate > 0) * size

    def decode(self, f: Tensor) -> Tensor:
        return f @ self.W_dec + self.b_dec

    def loss(self, x: Tensor) -> Loss:
        gate, size = self.parts(x)
        reconstruction = squared_error(x, self.decode((gate > 0) * size))
        sparsity = gate.relu().sum(-1).mean()
        # [N, d]; detached, or the decoder would be bent to a reconstruction that is never used
        through_gate = gate.relu() @ self.W_dec.detach() + self.b_dec.detach()
        total = reconstruction + self.penalty * sparsity + squared_error(x, through_gate)
        return Loss(total, reconstruction, sparsity)

    @torch.no_grad()
    def rescale(self, scale: float) -> None:
        super().rescale(scale)
        self.b_gate *= scale

    @torch.no_grad()
    def restart(self, which: Tensor, directions: Tensor) -> None:
        super().restart(which, directions)
        self.b_gate[which] = 0.0
        self.r[which] = 0.0
