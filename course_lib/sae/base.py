"""What all sparse autoencoders of the course share: parameters, scale, unit-norm decoder.

A sparse autoencoder writes a state x [d] of the model as a sum of few directions out of many:

    x  ~  x_hat = b + sum_c f_c(x) d_c

The encoder computes the strengths f(x) [F], which are never negative and mostly 0; the rows d_c of
the decoder are the directions, all of length 1. So f_c(x) is the length of what feature c adds, in
the units of x, and no penalty on f can be dodged by a small f with a long d.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Loss(NamedTuple):
    """What a training step minimises, and the two parts it is made of; scalars, means over states.

    `reconstruction` is the squared error summed over the d dimensions, `sparsity` the penalty
    before it is weighted. What else an architecture adds is in `total` alone.
    """

    total: Tensor
    reconstruction: Tensor
    sparsity: Tensor


class SparseAutoencoder(nn.Module):
    """Encoder and decoder of F features for states of d dimensions; see the architectures.

    Parameters
    ----------
    d : int
        Width of the states.
    features : int
        Number of features F, usually more than d.
    seed : int
        Of the random directions it starts from.

    Attributes
    ----------
    W_enc [d, F], b_enc [F], W_dec [F, d], b_dec [d]
        The encoder starts as the transpose of the decoder.
    site : str
        Where in the model the states were taken, such as "resid_post.2"; "" before training.

    Raises
    ------
    ValueError
        For sizes below 1.
    """

    kind = ""
    restarts = True  # whether dead features are pointed elsewhere; if not, the loss sees to them

    def __init__(self, d: int, features: int, seed: int = 0) -> None:
        super().__init__()
        if d < 1 or features < 1:
            raise ValueError(f"Sizes must be at least 1, got d={d} and features={features}.")
        generator = torch.Generator().manual_seed(seed)
        directions = torch.randn(features, d, generator=generator)
        directions /= directions.norm(dim=1, keepdim=True)
        self.W_dec = nn.Parameter(directions)
        # [d, F]: at the start a feature is read where it is written
        self.W_enc = nn.Parameter(directions.T.clone())
        self.b_enc = nn.Parameter(torch.zeros(features))
        # the state that no feature has to explain
        self.b_dec = nn.Parameter(torch.zeros(d))
        self.site = ""
        self.dead = torch.zeros(features, dtype=torch.bool)  # the training loop keeps it

    @property
    def d(self) -> int:
        return self.W_dec.shape[1]

    @property
    def features(self) -> int:
        return self.W_dec.shape[0]

    @property
    def options(self) -> dict[str, float]:
        """The settings of the architecture, as its constructor takes them."""
        return {}

    def encode(self, x: Tensor) -> Tensor:
        """States [..., d] to strengths [..., F], none negative."""
        raise NotImplementedError(f"{type(self).__name__} is no architecture; use TopKSAE or so.")

    def decode(self, f: Tensor) -> Tensor:
        """Strengths [..., F] to states [..., d]."""
        # [..., F] @ [F, d]
        return f @ self.W_dec + self.b_dec

    def loss(self, x: Tensor) -> Loss:
        """The loss over states [N, d]."""
        raise NotImplementedError(f"{type(self).__name__} is no architecture; use TopKSAE or so.")

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of states [..., d]."""
        return self.decode(self.encode(x))

    def __repr__(self) -> str:
        where = f" on {self.site}" if self.site else ""
        settings = "".join(f", {name} {value:g}" for name, value in self.options.items())
        return f"{type(self).__name__}: {self.features} features of {self.d} dimensions{where}" + (
            settings
        )

    # ---- kept true during training -----------------------------------------------------------
    @torch.no_grad()
    def unit_decoder(self) -> None:
        """Bring every direction back to length 1; called after each step."""
        self.W_dec /= self.W_dec.norm(dim=1, keepdim=True)

    @torch.no_grad()
    def along_sphere(self) -> None:
        """Take from the decoder's gradient what would only change lengths; before each step."""
        if self.W_dec.grad is not None:
            along = torch.linalg.vecdot(self.W_dec.grad, self.W_dec)[:, None]  # [F, 1]
            # grad - (grad . d) d: without it Adam would count steps that `unit_decoder` undoes
            self.W_dec.grad.addcmul_(along, self.W_dec, value=-1.0)

    @torch.no_grad()
    def rescale(self, scale: float) -> None:
        """From states divided by `scale` to states as they are: f becomes scale * f.

        Every encoder here is made of sums and maxima, so scaling x and the biases scales f, and

            x / scale ~ b + sum f d    becomes    x ~ scale b + sum (scale f) d.

        The formula stays free of a scale, and the strengths are in units of the model's states.
        """
        self.b_enc *= scale
        self.b_dec *= scale

    @torch.no_grad()
    def restart(self, which: Tensor, directions: Tensor) -> None:
        """Point some features [n] at new directions [n, d]; a fifth as strong as the others."""
        directions = directions / directions.norm(dim=1, keepdim=True)
        self.W_dec[which] = directions
        alive = self.W_enc.norm(dim=0).mean()  # length of a column, [d, F] -> [F] -> scalar
        self.W_enc[:, which] = 0.2 * alive * directions.T  # [d, n]
        self.b_enc[which] = 0.0


def check_width(sae: SparseAutoencoder, x: Tensor) -> None:
    """Raise ValueError unless states [..., d] are as wide as those the autoencoder reads."""
    if x.shape[-1] != sae.d:
        raise ValueError(
            f"{sae!r} reads states of {sae.d} numbers, and those of this model have {x.shape[-1]}: "
            "it was trained on the states of another model. Load that model (for course-sae it is "
            "course-lm), or train an autoencoder on the states of yours with train_sae."
        )


def squared_error(x: Tensor, x_hat: Tensor) -> Tensor:
    """Squared error summed over dimensions, mean over states: a scalar."""
    return (x - x_hat).square().sum(-1).mean()  # [N, d] -> [N] -> scalar
