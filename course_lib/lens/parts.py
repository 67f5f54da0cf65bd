"""Direct logit attribution: which part of the model wrote the answer into the stream?

The last state is a sum: embedding, and what every head, its bias and every MLP added. With the
scale of the final norm held at its value, the logit is linear in that sum (see `readout`), so that
each part has a share of its own:

    logit_w(x) = sum over parts p of (p . direction_w) / scale(x)  +  constant_w

Only what a part writes straight to the output is counted, not what later layers make of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.activations import record
from course_lib.architectures import UnsupportedArchitecture, blocks, family_of, n_heads, n_layers
from course_lib.lens.readout import Readout, readout, token_at, word_ids
from course_lib.tables import html_table


@dataclass(frozen=True)
class Contributions:
    """Shares of the parts of a model in one logit (or a difference of two); they sum to it.

    Attributes
    ----------
    text, word : str
    foil : str or None
    token : str
        After which the word is predicted.
    embedding : float
        Of the input of the first layer (token and position).
    heads : Tensor [L, H]
    attention_bias : Tensor [L]
        Of the bias that attention adds whatever its heads do; 0 where there is none.
    mlp : Tensor [L]
    constant : float
        Of the final norm's and the unembedding's biases.
    logit : float
        The model's own logit of the word, minus that of the foil if there is one.
    gap : float
        Sum of all parts minus `logit`: rounding only.

    All shares are float64 and in units of the logit; positive = raises the word (over the foil).
    """

    text: str
    word: str
    foil: str | None
    token: str
    embedding: float
    heads: Tensor
    attention_bias: Tensor
    mlp: Tensor
    constant: float
    logit: float
    gap: float

    @property
    def attention(self) -> Tensor:
        """Of each layer's attention as a whole [L]: its heads and its bias."""
        return self.heads.sum(-1) + self.attention_bias

    def parts(self) -> list[tuple[str, float]]:
        """(name, share) of every part, the strongest first, whatever its sign."""
        named = [("embedding", self.embedding), ("constant", self.constant)]
        for layer, row in enumerate(self.heads.tolist()):
            named += [(f"head {layer}.{head}", share) for head, share in enumerate(row)]
            named.append((f"attention bias {layer}", float(self.attention_bias[layer])))
            named.append((f"MLP {layer}", float(self.mlp[layer])))
        return sorted(named, key=lambda part: -abs(part[1]))

    @property
    def caption(self) -> str:
        """All that must stand beside the numbers."""
        what = f"{asked_logit(self.word, self.foil)} = {self.logit:+.3f}"
        exact = f"sum of the parts minus logit {self.gap:.1e}"
        return frozen_caption(f"direct contributions to {what}", self.token, self.text, exact)

    def __repr__(self) -> str:
        lines = [f"  {name:<18}{share:+8.3f}" for name, share in self.parts()[:10]]
        return "\n".join([f"{self.caption}; strongest ten:", *lines])

    def _repr_html_(self) -> str:
        rows = [(name, f"{share:+.3f}") for name, share in self.parts()[:10]]
        return html_table(("part", "logits"), rows, f"{self.caption}; strongest ten")


def asked_logit(word: str, foil: str | None) -> str:
    """The logit, or difference of two, that is shared out, as captions print it."""
    return f"logit({word!r})" + (f" - logit({foil!r})" if foil else "")


def frozen_caption(what: str, token: str, text: str, *more: str) -> str:
    """Caption of direct effects: what was measured where, and by which protocol."""
    protocol = ("scale of the final norm frozen", *more, "1 forward pass")
    return "; ".join([f"{what} after {token!r} of {text!r}", *protocol])


def output_rows(module: nn.Module) -> Tensor:
    """What each input of a projection writes: its matrix as [in, out].

    GPT-2's Conv1D stores it in this way, a Linear the other way round.
    """
    return module.weight.T if isinstance(module, nn.Linear) else module.weight


def output_bias(module: nn.Module) -> Tensor:
    """The bias [out] of a projection, zeros where it has none."""
    rows = output_rows(module)
    return rows.new_zeros(rows.shape[1]) if module.bias is None else module.bias


@torch.no_grad()
def direct_attribution(
    lm: Any, text: str, word: str, foil: str | None = None, token: int = -1
) -> Contributions:
    """Share out one logit, or the difference of two, among embedding, heads and MLPs.

    Parameters
    ----------
    lm : causal LanguageModel
    word, foil : str
        One token each. A logit alone has no meaning, since adding the same to all logits changes
        nothing: prefer a foil.
    token : int
        After which token of `lm.tokens(text)` (-1: the last) the word is predicted.

    Returns
    -------
    Contributions
        Their sum is the logit (difference) of the model, to rounding.

    Raises
    ------
    ValueError
        For words of several tokens, the same token twice, or a token that is not there.
    UnsupportedArchitecture
        Where the last state is not the sum of its parts (BERT family), or the sum of the shares
        is not the model's logit.

    Notes
    -----
    Cost: 1 forward pass.
    Source: Elhage et al. 2021, "A mathematical framework for transformer circuits".

    Examples
    --------
    >>> from course_lib import load_model
    >>> text = "Q: What is the capital of France? A: Paris Q: What is the capital of Poland? A:"
    >>> shares = direct_attribution(load_model(), text, "Warsaw", "Paris")
    >>> shares.heads.shape, abs(shares.gap) < 1e-4
    (torch.Size([6, 8]), True)
    """
    read, ids = readout(lm), word_ids(lm, word, foil)
    row, place = token_at(lm, text, token)
    layers = range(n_layers(lm))
    last = f"resid_post.{layers[-1]}"
    sites = ["embed", last, *(f"{s}.{k}" for s in ("z", "mlp_out") for k in layers)]
    with record(lm, sites) as seen:
        logits = lm(torch.tensor([row], device=lm.device)).logits[0, place].double()
    at = {site: seen[site][0, place].double() for site in sites}  # [d], for z [H, dh]
    project = shares_of(read, at[last], ids)
    written = [_heads_and_bias(lm, layer, at[f"z.{layer}"]) for layer in layers]
    heads = project(torch.stack([heads for heads, _ in written]))  # [L, H, d] -> [L, H]
    bias = project(torch.stack([bias for _, bias in written]))  # [L, d] -> [L]
    mlp = project(torch.stack([at[f"mlp_out.{layer}"] for layer in layers]))  # [L, d] -> [L]
    embedding, constant = float(project(at["embed"])), _difference(read.constants(ids))
    logit = _difference(logits[ids])
    gap = embedding + float(heads.sum() + bias.sum() + mlp.sum()) + constant - logit
    size = abs(embedding) + float(heads.abs().sum() + mlp.abs().sum())
    # rounding grows with the parts, which may be large and cancel; half precision rounds coarsely
    if abs(gap) > max(1e-4, torch.finfo(seen[last].dtype).eps) * (1 + size):
        raise UnsupportedArchitecture(
            f"The parts of this model sum to its logit only to {gap:.2g}: it does something "
            "between blocks, final norm and logits that we do not know of, so no share is exact."
        )
    return Contributions(
        text, word, foil, lm.token_string(row[place]), embedding, heads.cpu(), bias.cpu(),
        mlp.cpu(), constant, logit, gap,
    )  # fmt: skip


def _difference(values: Tensor) -> float:
    return float(values[0] - values[1]) if len(values) > 1 else float(values[0])


def shares_of(read: Readout, last: Tensor, ids: list[int]) -> Any:
    """The function from parts [..., d] of the last state [d] to their shares [...]."""
    rows = read.directions(ids)
    direction = rows[0] - rows[1] if len(ids) > 1 else rows[0]
    scale = read.scale(last)
    # the scale is that of the whole state: the same for all parts, so that shares add up
    return lambda parts: parts.double() @ direction / scale


def _heads_and_bias(lm: Any, layer: int, z: Tensor) -> tuple[Tensor, Tensor]:
    """What each head writes [H, d], z being [H, dh], and what attention adds in any case [d]."""
    module = blocks(lm)[layer].get_submodule(family_of(lm).attn_out)
    rows = output_rows(module).double().unflatten(0, (n_heads(lm), -1))  # [H, dh, d]
    # z_h [dh] times the dh rows of W_O that belong to head h
    return torch.einsum("hi,hid->hd", z, rows), output_bias(module).double()
