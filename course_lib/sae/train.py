"""One training loop for every architecture of sparse autoencoder.

scale   states are divided by the root mean square of a dimension, so that one learning rate and one
        penalty serve every layer; undone at the end (`SparseAutoencoder.rescale`)
start   b_dec at the mean of the first batch
step    Adam on the loss of the architecture; the decoder's gradient is projected on the sphere
        and its rows are brought back to length 1
dead    a feature that was off for `patience` steps is pointed at a state that is reconstructed
        badly (Bricken et al. 2023), and Adam's memory of it is wiped; TopK has a loss for them
rate    rises for 50 steps, stays, and falls linearly to 0 over the last 30 %
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from course_lib.sae.base import Loss, SparseAutoencoder

WARMUP, DECAY, LOGGED, WATCHED = 50, 0.3, 20, 10


@dataclass(frozen=True)
class Training:
    """What happened during training.

    Attributes
    ----------
    steps : tuple of int
        Every 20th step and the last one.
    loss, reconstruction, l0 : tuple of float
        At these steps, on the batch of the step: the loss, the squared error as a share of the
        states' variance, and the mean number of active features.
    restarted : tuple of int
        Features restarted since the row before; TopK restarts none.
    states : int
        States seen in all.
    scale : float
        What the states were divided by.
    """

    steps: tuple[int, ...]
    loss: tuple[float, ...]
    reconstruction: tuple[float, ...]
    l0: tuple[float, ...]
    restarted: tuple[int, ...]
    states: int
    scale: float

    def __repr__(self) -> str:
        return (
            f"{self.states} states in {self.steps[-1]} steps: unexplained variance "
            f"{self.reconstruction[0]:.3f} -> {self.reconstruction[-1]:.3f}, L0 {self.l0[-1]:.1f}, "
            f"{sum(self.restarted)} restarts"
        )


def batches_of(states: Tensor, batch: int, steps: int, seed: int) -> Iterator[Tensor]:
    """Batches of stored states [N, d], in a new order every time round."""
    generator = torch.Generator().manual_seed(seed)
    done = 0
    while done < steps:
        order = torch.randperm(len(states), generator=generator)
        for rows in order[: len(order) // batch * batch].split(batch):
            yield states[rows]
            done += 1
            if done == steps:
                return


def train_sae(
    sae: SparseAutoencoder,
    states: Tensor | Iterable[Tensor],
    steps: int = 400,
    *,
    batch: int = 512,
    rate: float = 3e-3,
    patience: int = 100,
    seed: int = 0,
    bar: bool = True,
) -> Training:
    """Train a sparse autoencoder in place.

    Parameters
    ----------
    sae : SparseAutoencoder
    states : Tensor [N, d], or iterable of Tensors [batch, d]
        Stored states, or a stream of batches, in the order in which they come.
    steps, batch : int
    rate : float
        Of Adam, at its highest.
    patience : int
        Steps after which a feature that was off counts as dead; 0 looks after none. None is
        restarted in the last third: it could no longer learn.
    seed : int
        Of the order of stored states.
    bar : bool
        Whether to show progress.

    Returns
    -------
    Training

    Raises
    ------
    ValueError
        For states of another width, none at all, or with numbers that are not finite.

    Notes
    -----
    Cost: about 12 d F operations a state.

    Examples
    --------
    >>> from course_lib.sae.topk import TopKSAE
    >>> x = torch.randn(512, 8, generator=torch.Generator().manual_seed(0))
    >>> done = train_sae(TopKSAE(8, 16, k=4), x, steps=100, batch=128, bar=False)
    >>> done.reconstruction[-1] < done.reconstruction[0]
    True
    """
    if isinstance(states, Tensor):
        _check(sae, states)
        states = batches_of(states, min(batch, len(states)), steps, seed)
    trainer: Trainer | None = None
    for x in tqdm(states, total=steps, disable=not bar, unit="step", leave=False):
        if trainer is None:
            _check(sae, x)
            trainer = Trainer(sae, x, steps, rate, patience)
        trainer.step(x)
        if trainer.done == steps:
            break
    if trainer is None:
        raise ValueError("There were no states to train on: the stream was empty.")
    return trainer.finish()


def _check(sae: SparseAutoencoder, x: Tensor) -> None:
    if x.dim() != 2 or x.shape[1] != sae.d or not len(x):
        raise ValueError(
            f"The states have shape {list(x.shape)}; this autoencoder reads [N, {sae.d}]. Take "
            "states from the site it is meant for, with batch and tokens flattened."
        )
    if not torch.isfinite(x).all():
        raise ValueError("Some states are not finite, and would spoil every weight. Look for them.")


class Trainer:
    """The state of a training run; `train_sae` drives it, and a run can be stored between steps."""

    def __init__(self, sae: SparseAutoencoder, first: Tensor, steps: int, rate: float,
                 patience: int) -> None:  # fmt: skip
        self.sae, self.steps, self.rate, self.patience = sae, steps, rate, patience
        self.done = self.seen = self.restarted = 0
        self.rows: list[tuple[int, float, float, float, int]] = []
        mean = first.mean(0)
        # root mean square of a dimension about its mean; 1 where all states are the same
        self.scale = float((first - mean).square().mean().sqrt()) or 1.0
        with torch.no_grad():
            sae.b_dec.copy_(mean / self.scale)
        self.idle = torch.zeros(sae.features, dtype=torch.long)  # steps since a feature was on
        self.adam = torch.optim.Adam(sae.parameters(), betas=(0.9, 0.99), fused=True)

    def step(self, x: Tensor) -> None:
        """One step on a batch [N, d]."""
        x = x / self.scale
        for group in self.adam.param_groups:
            # 1 at the start of the decay, 0 at the end
            left = (self.steps - self.done) / (DECAY * self.steps)
            group["lr"] = self.rate * min(1.0, (self.done + 1) / WARMUP, left)
        loss = self.sae.loss(x)
        loss.total.backward()
        # before Adam, whose memory should not hold changes of length
        self.sae.along_sphere()
        self.adam.step()
        self.adam.zero_grad(set_to_none=False)  # keeps the memory, page faults are slow
        self.sae.unit_decoder()
        self.done += 1
        self.seen += len(x)
        watched = bool(self.patience) and self.done % WATCHED == 0
        logged = self.done % LOGGED == 0 or self.done in (1, self.steps)
        if watched or logged:
            with torch.no_grad():
                f = self.sae.encode(x)
        if watched:
            self.look_after(x, f)
        if logged:
            self.log(x, f, loss)

    @torch.no_grad()
    def look_after(self, x: Tensor, f: Tensor) -> None:
        """Count for how long features have been off, on every 10th batch; restart dead ones."""
        self.idle += WATCHED
        # [N, F] -> [F]
        self.idle[(f > 0).any(0)] = 0
        self.sae.dead = self.idle >= self.patience
        dead = self.sae.dead.nonzero()[:, 0]
        if not self.sae.restarts or not len(dead) or self.done > (1 - DECAY) * self.steps:
            return
        missed = x - self.sae.decode(f)  # [N, d]
        # [N] -> at most as many states as there are dead features
        worst = missed.square().sum(1).topk(min(len(dead), len(x))).indices
        dead = dead[: len(worst)]
        self.sae.restart(dead, missed[worst])
        self.forget(dead)
        self.idle[dead] = 0
        self.restarted += len(dead)

    def forget(self, features: Tensor) -> None:
        """Wipe what Adam remembers of some features: in each parameter the dimension of size F."""
        for parameter, memory in self.adam.state.items():
            for name in ("exp_avg", "exp_avg_sq"):
                if parameter is self.sae.W_enc:
                    memory[name][:, features] = 0  # [d, F]
                elif parameter is not self.sae.b_dec:
                    memory[name][features] = 0  # [F, d] or [F]

    @torch.no_grad()
    def log(self, x: Tensor, f: Tensor, loss: Loss) -> None:
        # summed over dimensions, as the reconstruction error is
        variance = float((x - x.mean(0)).square().sum(1).mean()) or 1.0
        l0 = float((f > 0).sum(-1).float().mean())
        total, reconstruction = loss.total.item(), loss.reconstruction.item()
        self.rows.append((self.done, total, reconstruction / variance, l0, self.restarted))
        self.restarted = 0

    def finish(self) -> Training:
        """Undo the scale and hand back the history."""
        if self.done < self.steps:
            raise ValueError(
                f"The stream of states ended after {self.done} of {self.steps} steps, before the "
                "learning rate had fallen. Ask for fewer steps, or give more texts."
            )
        self.sae.rescale(self.scale)
        return Training(*zip(*self.rows, strict=True), states=self.seen, scale=self.scale)

    def state(self) -> dict[str, Any]:
        """All that a stopped run needs to go on."""
        numbers = {name: getattr(self, name) for name in
                   ("done", "seen", "restarted", "rows", "scale", "idle")}  # fmt: skip
        return numbers | {"sae": self.sae.state_dict(), "adam": self.adam.state_dict()}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.sae.load_state_dict(state["sae"])
        self.adam.load_state_dict(state["adam"])
        for name in ("done", "seen", "restarted", "rows", "scale", "idle"):
            setattr(self, name, state[name])
        self.sae.dead = self.idle >= max(self.patience, 1)
