"""The end of a model, which a lens puts behind any of its states: final norm and unembedding.

For a state x [d] of the residual stream and a word w, with u_w the word's row of the unembedding W:

    logits(x) = W norm(x) + b,      norm(x) = gain * (x - mean(x)) / scale(x) + bias

(an RMSNorm has neither the mean nor the bias). Reordered, the logit of w is a scalar product with
one fixed direction of the stream, divided by the length of the state:

    logit_w(x) = x . direction_w / scale(x) + constant_w
    direction_w = centred(gain * u_w)
    constant_w = bias . u_w + b_w

The scale depends on the whole state. Where it is held fixed ("frozen"), the logit is linear in x,
so it can be shared out among the parts that x is a sum of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.architectures import (
    UnsupportedArchitecture,
    bare_model,
    family_of,
    final_norm,
    n_layers,
    unembedding,
)
from course_lib.models.language_model import widened
from course_lib.models.sites import find_place
from course_lib.models.text_model import require_causal

READABLE = ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "embed")


@dataclass(frozen=True)
class Readout:
    """Final norm and unembedding of one model; made by `readout`.

    Called on states [..., d] it returns logits [..., V] as the model computes them. The other
    methods are the parts of the formula above, in float64.
    """

    norm: nn.Module
    unembed: nn.Module

    def __call__(self, states: Tensor) -> Tensor:
        return widened(self.unembed(self.norm(states)))  # [..., d] -> [..., V]

    @property
    def subtracts_mean(self) -> bool:
        """True for a LayerNorm, False for an RMSNorm."""
        return isinstance(self.norm, nn.LayerNorm)

    def centred(self, x: Tensor) -> Tensor:
        """x [..., d] without what the norm takes away: its mean, for a LayerNorm."""
        return x - x.mean(-1, keepdim=True) if self.subtracts_mean else x

    def scale(self, states: Tensor) -> Tensor:
        """What the norm divides states [..., d] by, [...]."""
        # a LayerNorm calls it eps, the RMSNorms of transformers variance_epsilon
        eps = getattr(self.norm, "eps", None) or getattr(self.norm, "variance_epsilon", 0.0)
        # the root of the mean square; for a LayerNorm that is the standard deviation
        return (self.centred(states.double()).square().mean(-1) + eps).sqrt()

    def directions(self, ids: Sequence[int] | slice = slice(None)) -> Tensor:
        """direction_w of some tokens (default all), [n, d]."""
        # [d] * [n, d]. Centring the direction does what centring the state does: (x - mean x) . v =
        # x . (v - mean v), and touches each word once instead of each state
        return self.centred(self.norm.weight.double() * self.unembed.weight[ids].double())

    def constants(self, ids: Sequence[int] | slice = slice(None)) -> Tensor:
        """constant_w of some tokens (default all), [n]."""
        rows = self.unembed.weight[ids].double()
        shift = getattr(self.norm, "bias", None)
        # [n, d] @ [d] -> [n]
        total = rows.new_zeros(len(rows)) if shift is None else rows @ shift.double()
        bias = getattr(self.unembed, "bias", None)
        return total if bias is None else total + bias[ids].double()


def readout(lm: Any) -> Readout:
    """Final norm and unembedding of a left-to-right model of a known family.

    Raises
    ------
    UnsupportedArchitecture
        For the BERT family (its blocks normalise their own sum, so that the stream is no sum of
        parts, and its output layer is no norm and matrix), for unknown families, and for a final
        norm that is not the formula above.

    Examples
    --------
    >>> from course_lib import load_model
    >>> from course_lib.activations import record
    >>> lm = load_model()
    >>> with record(lm, "resid_post.5") as seen:
    ...     logits = lm.logits("The dog sleeps.")
    >>> bool((readout(lm)(seen["resid_post.5"]) == logits).all())
    True
    """
    if family_of(lm).final_norm is None:
        raise UnsupportedArchitecture(
            "A lens needs a model whose blocks add to one stream that a final norm and the "
            "unembedding read. In this model (post-norm, as in the BERT family) every block "
            "normalises the sum, and logits = W f(h) + b with a layer f of its own. Load a "
            "left-to-right model, for example load_model('course-lm')."
        )
    unembed = bare_model(lm).get_submodule(family_of(lm).unembedding)
    found = Readout(final_norm(lm), unembed)
    _check_formula(found, unembedding(lm))
    return found


def _check_formula(found: Readout, weight: Tensor) -> None:
    """Compare formula and model on one state; some norms multiply by 1 + gain, for example."""
    width = weight.shape[1]
    if found.norm.weight.shape != (width,):
        raise UnsupportedArchitecture(
            f"The final norm of this model returns {list(found.norm.weight.shape)} numbers and the "
            f"unembedding reads {width}: there is a layer between them that we do not know of."
        )
    # neither constant nor of mean 0
    x = torch.linspace(-1, 2, width, dtype=weight.dtype, device=weight.device)
    with torch.no_grad():
        exact = found(x[None])[0].double()
        # [V, d] @ [d] / scalar + [V]
        formula = found.directions() @ x.double() / found.scale(x) + found.constants()
    if not torch.allclose(formula, exact, rtol=1e-2, atol=1e-2 * float(exact.abs().max())):
        raise UnsupportedArchitecture(
            f"The final norm of this model ({type(found.norm).__name__}) is neither a plain "
            "LayerNorm nor a plain RMSNorm, so its logits cannot be shared out exactly."
        )


def check_last(logits: Tensor, expected: Tensor) -> None:
    """Raise UnsupportedArchitecture unless the last state, read by the lens, gives the logits."""
    if not torch.allclose(logits, expected, rtol=1e-3, atol=1e-3):
        raise UnsupportedArchitecture(
            "This model changes the logits after the unembedding, or its states before it (the "
            f"last state, read by the lens, is off by {float((logits - expected).abs().max()):.2g}"
            "), so the lens would not show what the model computes."
        )


def lens_sites(lm: Any, sites: str | Iterable[str] = "stream") -> tuple[str, ...]:
    """Spell out which states to read.

    Parameters
    ----------
    sites : str or iterable of str
        "stream": the embeddings ("resid_pre.0") and the stream after every layer; "resid_pre",
        "resid_mid", "resid_post", "attn_out" or "mlp_out": this site of every layer; or names
        such as "mlp_out.3".

    Raises
    ------
    ValueError
        For a site that does not exist, or holds no vectors of the stream (z, neurons, pattern).

    Examples
    --------
    >>> from course_lib import load_model
    >>> lens_sites(load_model(), "stream")[:3]
    ('resid_pre.0', 'resid_post.0', 'resid_post.1')
    """
    layers = range(n_layers(lm))
    names = [sites] if isinstance(sites, str) else list(sites)
    if names == ["stream"]:
        names = ["resid_pre.0", *(f"resid_post.{layer}" for layer in layers)]
    # the last one is "embed", which has no layers
    elif len(names) == 1 and names[0] in READABLE[:-1]:
        names = [f"{names[0]}.{layer}" for layer in layers]
    if not names:
        raise ValueError("No sites were given: the list is empty. Try sites='stream'.")
    for name in names:
        if str(name).split(".")[0] not in READABLE:
            raise ValueError(
                f"{name!r} cannot be read by a lens, which needs vectors of the residual stream. "
                f"Use 'stream', or one of {', '.join(READABLE)}."
            )
        find_place(lm, name)
    return tuple(names)


def token_at(lm: Any, text: str, token: int) -> tuple[list[int], int]:
    """Ids of a text with its start token, and `token` as an index from 0; ValueError if none."""
    require_causal(lm, "A lens")
    ids = lm.encode(text)
    if not -len(ids) <= token < len(ids):
        raise ValueError(
            f"There is no token {token} in {text!r}: it has {len(ids)} with the start token, "
            f"0 to {len(ids) - 1}, or -1 for the last."
        )
    return ids, token % len(ids)


def word_ids(lm: Any, word: str, foil: str | None = None) -> list[int]:
    """The id of a word, and of a foil if there is one; ValueError unless both are one token each.

    A foil equal to the word is refused: the contrast would be 0 whatever the model does.
    """
    ids = [lm.token_id(w) for w in (word, foil) if w is not None]
    if len(set(ids)) < len(ids):
        raise ValueError(
            f"Word and foil are the same token ({word!r}), so their difference is always 0. "
            "Choose as foil a word the model could have preferred."
        )
    return ids


def shown(lm: Any, token_id: int) -> str:
    """A token as it is printed; embedding tables are often padded beyond the tokenizer."""
    return lm.token_string(token_id) if token_id < len(lm.tokenizer) else f"<id {token_id}>"
