"""How good is a sparse autoencoder? Five numbers; none says that its features mean something.

    L0                mean number of active features of a state
    FVU               fraction of variance unexplained: sum |x - x_hat|^2 / sum |x - mean|^2
    explained         1 - variance of (x - x_hat) / variance of x: a constant error is forgiven
    CE recovered      (CE_zero - CE_sae) / (CE_zero - CE_clean), with the model's cross-entropy when
                      the states are as they are, replaced by x_hat, or replaced by zeros
    dead              share of features that were on for no state at all

CE recovered forgives much: zeros do so much damage that a poor x_hat looks good beside them. The
column with the mean state in place of zeros is the stricter one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.activations import record, replace
from course_lib.intervals import Interval, bootstrap_counts, ends
from course_lib.models.text_model import as_list, require_causal
from course_lib.sae.base import SparseAutoencoder, check_width
from course_lib.sae.stream import BATCH_TOKENS


@dataclass(frozen=True)
class SAEScores:
    """Scores of one autoencoder on N texts.

    Attributes
    ----------
    l0, fvu, explained, dead : float
    ce_clean, ce_sae, ce_zero, ce_mean : float64 [N]
        Summed cross-entropy of each text in nats: unchanged, states replaced by x_hat, by zeros,
        by their mean.
    tokens : int64 [N]
        Predicted tokens of each text.
    states : int
        States that L0, FVU and dead were computed from.
    """

    l0: float
    fvu: float
    explained: float
    dead: float
    ce_clean: np.ndarray
    ce_sae: np.ndarray
    ce_zero: np.ndarray
    ce_mean: np.ndarray
    tokens: np.ndarray
    states: int

    def recovered(self, baseline: str = "zero", n_boot: int = 1000, seed: int = 0) -> Interval:
        """CE recovered with a 95 % bootstrap interval over texts; baseline "zero" or "mean"."""
        if baseline not in ("zero", "mean"):
            raise ValueError(f"The baseline is 'zero' or 'mean', not {baseline!r}.")
        worst = getattr(self, f"ce_{baseline}")
        weights = bootstrap_counts(len(self.tokens), n_boot, seed)  # texts
        share = _share(weights @ self.ce_clean, weights @ self.ce_sae, weights @ worst)
        estimate = _share(self.ce_clean.sum(), self.ce_sae.sum(), worst.sum())
        return float(estimate), *ends(share)

    def loss(self, which: str = "clean") -> float:
        """Mean cross-entropy in nats per token: "clean", "sae", "zero" or "mean"."""
        return float(getattr(self, f"ce_{which}").sum() / self.tokens.sum())

    def __repr__(self) -> str:
        zero, mean = self.recovered("zero"), self.recovered("mean")
        return (
            f"L0 {self.l0:.1f}, FVU {self.fvu:.3f}, explained variance {self.explained:.3f}, dead "
            f"{self.dead:.1%}; cross-entropy {self.loss('clean'):.3f} -> {self.loss('sae'):.3f} "
            f"nats; CE recovered {zero[0]:.4f} [{zero[1]:.4f}, {zero[2]:.4f}] against zeros, "
            f"{mean[0]:.4f} [{mean[1]:.4f}, {mean[2]:.4f}] against the mean "
            f"({len(self.tokens)} texts)"
        )


def _share(clean, sae, worst):
    return (worst - sae) / (worst - clean)


@torch.no_grad()
def score_sae(
    lm: Any, sae: SparseAutoencoder, texts: Sequence[str], site: str | None = None
) -> SAEScores:
    """Score an autoencoder on texts it was not trained on.

    Parameters
    ----------
    lm : causal LanguageModel
    sae : SparseAutoencoder
    texts : sequence of str
    site : str, optional
        Default: the site stored with the autoencoder.

    Returns
    -------
    SAEScores
        Start tokens are neither reconstructed nor replaced.

    Raises
    ------
    ValueError
        For no texts, or no site.

    Notes
    -----
    Cost: 5 forward passes over the texts.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.sae import load_sae
    >>> scores = score_sae(load_model(), load_sae(), ["The dog sleeps.", "The keys are old."])
    >>> scores.recovered()[0] > 0.5
    True
    """
    require_causal(lm, "score_sae")
    site = site or sae.site
    if not site:
        raise ValueError("This autoencoder has no site of its own: pass site='resid_post.2' or so.")
    encoded = [lm.encode(text) for text in as_list(texts)]
    if not encoded:
        raise ValueError("No texts were given: the list is empty.")
    batches = [(ids, mask) for _, ids, mask in lm.batches(encoded, BATCH_TOKENS)]
    sums = _Sums(sae)
    for ids, mask in batches:
        with record(lm, site) as seen:
            lm(ids, mask, logits_to_keep=1)
        check_width(sae, seen[site])
        # no start tokens: [B, T - 1, d] -> [n, d]
        sums.add(seen[site][:, 1:][mask[:, 1:].bool()])
    mean = sums.mean.float()
    edits = {
        "clean": lambda x: x,
        "sae": sae,
        "zero": torch.zeros_like,
        # [d] -> [B, T, d]
        "mean": lambda x: mean.expand_as(x),
    }
    losses = {name: np.array([], float) for name in edits}
    for ids, mask in batches:
        for name, edit in edits.items():
            with replace(lm, {site: lambda x, edit=edit: keep_start(x, edit(x))}):
                losses[name] = np.append(losses[name], _losses(lm, ids, mask))
    tokens = np.concatenate([mask.sum(1).cpu().numpy() - 1 for _, mask in batches])
    return SAEScores(*sums.scores(), *losses.values(), tokens, int(sums.n))


def keep_start(old: Tensor, new: Tensor) -> Tensor:
    """The new states [B, T, d], but for the start token."""
    return torch.cat([old[:, :1], new[:, 1:].to(old)], dim=1)


def _losses(lm: Any, ids: Tensor, mask: Tensor) -> np.ndarray:
    """Summed cross-entropy of each row in nats."""
    logits = lm(ids, mask).logits[:, :-1]  # [B, T - 1, V]
    # log softmax at the next token alone: its logit minus the log of the sum over words
    logp = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
    return -(logp.double() * mask[:, 1:]).sum(1).cpu().numpy()


class _Sums:
    """Sums over states, added up in float64."""

    def __init__(self, sae: SparseAutoencoder) -> None:
        self.sae, self.n = sae, 0
        # sums [d] of x, x^2, error and error^2
        self.x, self.xx, self.e, self.ee = (torch.zeros(sae.d).double() for _ in range(4))
        self.on = torch.zeros(sae.features)

    def add(self, x: Tensor) -> None:
        f = self.sae.encode(x)
        error = (x - self.sae.decode(f)).double()
        self.n += len(x)
        self.on += (f > 0).sum(0)  # [n, F] -> [F]
        self.x, self.xx = self.x + x.double().sum(0), self.xx + x.double().square().sum(0)
        self.e, self.ee = self.e + error.sum(0), self.ee + error.square().sum(0)

    @property
    def mean(self) -> Tensor:
        return self.x / self.n

    def scores(self) -> tuple[float, float, float, float]:
        """L0, FVU, explained variance, dead."""
        # sum (x - mean)^2 = sum x^2 - (sum x)^2 / n, a small difference of large numbers
        variance = (self.xx - self.x.square() / self.n).sum()
        left = (self.ee - self.e.square() / self.n).sum()
        return (float(self.on.sum() / self.n), float(self.ee.sum() / variance),
                float(1 - left / variance), float((self.on == 0).float().mean()))  # fmt: skip
