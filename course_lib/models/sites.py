"""Sites: names for the places in a model that can be recorded or replaced.

A *site* names a place in the model: a name, a layer from 0, and for z optionally a head.

=================  ==============  ==========================================================
site               shape           what it is
=================  ==============  ==========================================================
embed              [B, T, d]       input of block 0 (token plus position, where they are added)
resid_pre.3        [B, T, d]       residual stream before block 3
resid_mid.3        [B, T, d]       between attention and MLP (not in parallel blocks)
resid_post.3       [B, T, d]       after block 3, before any final norm
attn_out.3         [B, T, d]       what attention adds to the stream
mlp_out.3          [B, T, d]       what the MLP adds to the stream
z.3, z.3.5         [B, T, H, dh]   outputs of the heads before W_O; of head 5: [B, T, dh]
neurons.3          [B, T, m]       MLP neurons after the activation function
pattern.3          [B, H, T, T]    attention weights; record only, eager attention only
final_norm         [B, T, d]       output of the final norm: what the unembedding reads
=================  ==============  ==========================================================

Identities, with x = resid_pre, a = attn_out, m = mlp_out of one layer:

- causal families: resid_post = x + a + m; resid_mid = x + a where blocks are sequential;
- BERT family (post-norm): resid_mid = norm1(x + a), resid_post = norm2(resid_mid + m).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from course_lib.architectures import Family, final_norm, n_heads, parts

LAYER_SITES = (
    "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z", "neurons", "pattern",
)  # fmt: skip
SITE_HELP = (
    "Sites: embed, final_norm; with a layer: "
    + ", ".join(f"{name}.3" for name in LAYER_SITES)
    + "; with a head: z.3.5."
)


@dataclass(frozen=True)
class Place:
    """One end of one module, and how its tensor becomes the tensor of a site."""

    module: nn.Module
    is_input: bool
    heads: int | None = None  # split the last dimension in this many heads
    head: int | None = None  # and take this one
    flat_in: nn.Module | None = None  # a block whose input tells [B, T] of a [B*T, .] tensor
    skip_to: nn.Module | None = None  # a block whose skip connection bypasses this module
    item: int | None = None  # element of a tuple output


def find_place(model: Any, site: str) -> Place:
    """Return the module end that a site names; ValueError where it does not exist."""
    found = parts(model)
    family, heads, config = found.family, n_heads(found), found.model.config
    name, layer, head = _parse(site, len(found.blocks), heads)
    if name == "final_norm":
        return Place(final_norm(found), is_input=False)
    block = found.blocks[layer]
    part = block.get_submodule
    flat = block if family.flat_mlp else None
    if name in ("embed", "resid_pre"):
        return Place(block, is_input=True)
    if name == "resid_post":
        return Place(block, is_input=False)
    if name == "resid_mid":
        return _middle(family, block, flat, site)
    if name == "attn_out":
        return Place(part(family.attn_out), is_input=False)
    if name == "mlp_out":
        return Place(part(family.mlp_out), is_input=False, flat_in=flat)
    if name == "neurons":
        return Place(part(family.mlp_out), is_input=True, flat_in=flat)
    if name == "z":
        return Place(part(family.attn_out), is_input=True, heads=heads, head=head)
    if config._attn_implementation != "eager":
        raise ValueError(
            f"{site!r} cannot be recorded: this model computes attention with "
            f"{config._attn_implementation!r}, which never forms the weights. Switch once "
            "with lm.model.set_attn_implementation('eager') and run again."
        )
    return Place(part(family.attention), is_input=False, item=1)


def _middle(family: Family, block: nn.Module, flat: nn.Module | None, site: str) -> Place:
    if family.residual == "parallel":
        raise ValueError(
            f"{site!r} does not exist: in this family attention and MLP read the same input side "
            "by side, so there is no state between them. Use resid_pre, attn_out or mlp_out."
        )
    if family.residual == "post_norm":
        return Place(block.get_submodule(family.norm1), is_input=False)
    return Place(block.get_submodule(family.norm2), is_input=True, skip_to=block, flat_in=flat)


def _parse(site: str, layers: int, heads: int) -> tuple[str, int, int | None]:
    match = re.fullmatch(r"([a-z_]+)(?:\.(\d+))?(?:\.(\d+))?", str(site))
    name, layer, head = match.groups() if match else (None, None, None)
    if name in ("embed", "final_norm") and layer is None:
        return name, 0, None
    if name not in LAYER_SITES or layer is None or (head is not None and name != "z"):
        raise ValueError(f"{site!r} is not a site. {SITE_HELP}")
    if int(layer) >= layers:
        raise ValueError(f"{site!r}: this model has layers 0 to {layers - 1}.")
    if head is not None and int(head) >= heads:
        raise ValueError(f"{site!r}: this model has heads 0 to {heads - 1}.")
    return name, int(layer), None if head is None else int(head)
