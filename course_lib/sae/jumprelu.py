"""JumpReLU: a threshold for each feature, learnt, and a penalty on how many features are on.

    u     = (x - b) W_enc + b_enc
    f_c   = u_c  where u_c > threshold_c,  0 elsewhere
    x_hat = b + f(x) W_dec
    loss  = |x - x_hat|^2 + penalty * number of features that are on

Small strengths are cut off and large ones are not shrunk. The count has derivative 0 almost
everywhere, so the thresholds get a straight-through estimate: within `width` of the threshold, the
step is treated as a ramp. Source: Rajamanoharan et al. 2024 (JumpReLU).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from course_lib.sae.base import Loss, SparseAutoencoder, squared_error


class Step(torch.autograd.Function):
    """1 where u > threshold; backwards a ramp of this width, which the threshold alone feels."""

    @staticmethod
    def forward(ctx, u: Tensor, threshold: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(u, threshold)
        ctx.width = width
        return (u > threshold).to(u.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, Tensor, None]:
        u, threshold = ctx.saved_tensors
        near = ((u - threshold).abs() < ctx.width / 2).to(grad.dtype)  # [..., F]
        # a higher threshold turns features off, hence the minus; one number for each feature:
        # summed over all states -> [F]
        return None, (-near / ctx.width * grad).flatten(0, -2).sum(0), None


class JumpReLUSAE(SparseAutoencoder):
    """A learnt threshold for each feature, and a penalty on the number of features.

    Parameters
    ----------
    d, features, seed : as in `SparseAutoencoder`.
    penalty : float
        Weight of the number of active features; 0 makes a plain autoencoder.
    threshold, width : float
        Where all thresholds start, and the width of the ramp, in units of the training states.

    Examples
    --------
    >>> import torch
    >>> sae = JumpReLUSAE(d=4, features=8, threshold=0.5)
    >>> f = sae.encode(torch.randn(100, 4))
    >>> bool((f[f > 0] > 0.49).all())
    True
    """

    kind = "jumprelu"

    def __init__(self, d: int, features: int, penalty: float = 0.1, threshold: float = 0.5,
                 width: float = 0.5, seed: int = 0) -> None:  # fmt: skip
        super().__init__(d, features, seed)
        self.penalty, self.start, self.width = penalty, threshold, width
        # The logarithm is learnt, so that a threshold stays positive.
        self.log_threshold = nn.Parameter(torch.full((features,), threshold).log())

    @property
    def options(self) -> dict[str, float]:
        return {"penalty": self.penalty, "threshold": self.start, "width": self.width}

    def before(self, x: Tensor) -> Tensor:
        """Strengths before the threshold, [..., F]."""
        return ((x - self.b_dec) @ self.W_enc + self.b_enc).relu()  # [..., d] @ [d, F]

    def encode(self, x: Tensor) -> Tensor:
        u = self.before(x)
        return u * Step.apply(u, self.log_threshold.exp(), self.width)

    def decode(self, f: Tensor) -> Tensor:
        return f @ self.W_dec + self.b_dec

    def loss(self, x: Tensor) -> Loss:
        u = self.before(x)
        on = Step.apply(u, self.log_threshold.exp(), self.width)  # [N, F], 0 or 1
        reconstruction = squared_error(x, self.decode(u * on))
        sparsity = on.sum(-1).mean()  # the L0 norm
        return Loss(reconstruction + self.penalty * sparsity, reconstruction, sparsity)

    @torch.no_grad()
    def rescale(self, scale: float) -> None:
        super().rescale(scale)
        self.log_threshold += torch.tensor(scale).log()
        self.width, self.start = self.width * scale, self.start * scale
