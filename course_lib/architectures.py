"""Where the parts of a transformer live: the only table in the course that knows model families.

A transformer of the hub is a tree of modules, and each family names its branches differently.
One row of `FAMILIES` says where to find them, so that nothing else has to. Paths of `blocks`,
`final_norm` and `unembedding` start at the language model, the others at a block.

The input of `attn_out` is the concatenation of the heads' outputs (z), its output is what attention
writes to the residual stream; the input of `mlp_out` are the neurons after the activation
function, its output is what the MLP writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


class UnsupportedArchitecture(ValueError):
    """The model's parts cannot be located: its family is not in the table."""


@dataclass(frozen=True)
class Family:
    """Module paths of one model family.

    `residual` says how a block updates the stream x:

    - "sequential": m = x + attn(norm1(x)), then m + mlp(norm2(m));
    - "parallel": x + attn(norm1(x)) + mlp(norm2(x)), so there is no middle state m;
    - "post_norm": m = norm1(x + attn(x)), then norm2(m + mlp(m)).

    `requires` lists config values for which the row holds; `flat_mlp` marks MLPs that see their
    tokens as [B*T, ...]. `any_mask`: a mask [B, 1, T, T] and position ids of our own say all
    about who attends to whom; nothing depends on the place in the row.

    `qkv`: the projections from the normed stream to q, k and v, as a path inside a block, and how
    they lie in it: "apart" (three modules, the path has {} for the letter), or one module with all
    q, then all k, then all v ("stacked"), or with q, k, v of head 0, then of head 1 ("by head").
    None: we have not looked.
    """

    blocks: str
    attention: str
    attn_out: str
    mlp_out: str
    norm1: str
    norm2: str
    final_norm: str | None
    unembedding: str
    residual: str = "sequential"
    is_causal: bool = True
    flat_mlp: bool = False
    any_mask: bool = False
    qkv: tuple[str, str] | None = None
    requires: Mapping[str, Any] = field(default_factory=dict)


_LLAMA = Family(
    blocks="model.layers",
    attention="self_attn",
    attn_out="self_attn.o_proj",
    mlp_out="mlp.down_proj",
    norm1="input_layernorm",
    norm2="post_attention_layernorm",
    final_norm="model.norm",
    unembedding="lm_head",
    any_mask=True,
    qkv=("apart", "self_attn.{}_proj"),
)

FAMILIES: dict[str, Family] = {
    "gpt2": Family(
        blocks="transformer.h",
        attention="attn",
        attn_out="attn.c_proj",
        mlp_out="mlp.c_proj",
        norm1="ln_1",
        norm2="ln_2",
        final_norm="transformer.ln_f",
        unembedding="lm_head",
        any_mask=True,
        qkv=("stacked", "attn.c_attn"),
        requires={"add_cross_attention": False},
    ),
    "gpt_neo": Family(
        blocks="transformer.h",
        attention="attn.attention",
        attn_out="attn.attention.out_proj",
        mlp_out="mlp.c_proj",
        norm1="ln_1",
        norm2="ln_2",
        final_norm="transformer.ln_f",
        unembedding="lm_head",
        qkv=("apart", "attn.attention.{}_proj"),
    ),
    "gpt_neox": Family(
        blocks="gpt_neox.layers",
        attention="attention",
        attn_out="attention.dense",
        mlp_out="mlp.dense_4h_to_h",
        norm1="input_layernorm",
        norm2="post_attention_layernorm",
        final_norm="gpt_neox.final_layer_norm",
        unembedding="lm_head",
        residual="parallel",
        any_mask=True,
        qkv=("by head", "attention.query_key_value"),
        requires={"use_parallel_residual": True},
    ),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "opt": Family(
        blocks="model.decoder.layers",
        attention="self_attn",
        attn_out="self_attn.out_proj",
        mlp_out="fc2",
        norm1="self_attn_layer_norm",
        norm2="final_layer_norm",
        final_norm="model.decoder.final_layer_norm",
        unembedding="lm_head",
        flat_mlp=True,
        qkv=("apart", "self_attn.{}_proj"),
        requires={"do_layer_norm_before": True, "_remove_final_layer_norm": False},
    ),
    "bert": Family(
        blocks="bert.encoder.layer",
        attention="attention.self",
        attn_out="attention.output.dense",
        mlp_out="output.dense",
        norm1="attention.output.LayerNorm",
        norm2="output.LayerNorm",
        final_norm=None,
        unembedding="cls.predictions.decoder",
        residual="post_norm",
        is_causal=False,
        requires={"is_decoder": False, "chunk_size_feed_forward": 0},
    ),
    "distilbert": Family(
        blocks="distilbert.transformer.layer",
        attention="attention",
        attn_out="attention.out_lin",
        mlp_out="ffn.lin2",
        norm1="sa_layer_norm",
        norm2="output_layer_norm",
        final_norm=None,
        unembedding="vocab_projector",
        residual="post_norm",
        is_causal=False,
        requires={"chunk_size_feed_forward": 0},
    ),
}


@dataclass(frozen=True)
class Parts:
    """Where the pieces of one model are: the table's row, and the modules that it names.

    Every function of this file, of `models.sites` and of `activations` takes `Parts` in place of
    a model. Code that asks many times in one call makes them once, at its start: `parts(lm)`.

    Attributes
    ----------
    model : the PyTorch module itself, without the LanguageModel around it
    family : its row of the table
    blocks : the transformer blocks
    output : the module with the unembedding matrix
    """

    model: nn.Module
    family: Family
    blocks: nn.ModuleList
    output: nn.Module


def parts(model: Any) -> Parts:
    """Find the pieces of a LanguageModel or ``transformers`` model; `Parts` stay as they are.

    Raises
    ------
    UnsupportedArchitecture
        If the family is not in the table, or this variant of it is wired differently.

    Examples
    --------
    >>> from course_lib import load_model
    >>> found = parts(load_model())
    >>> len(found.blocks), parts(found) is found
    (6, True)
    """
    if isinstance(model, Parts):
        return model
    inner = bare_model(model)
    family, kind = _row(inner)
    try:
        found = inner.get_submodule(family.blocks), inner.get_submodule(family.unembedding)
    except AttributeError as error:
        raise UnsupportedArchitecture(
            f"{type(inner).__name__} is not a {kind!r} language model with its output layer: "
            f"{error}. Load it with load_model, AutoModelForCausalLM or AutoModelForMaskedLM."
        ) from None
    return Parts(inner, family, *found)


def _row(inner: nn.Module) -> tuple[Family, str]:
    """The row of the table for a module, and its name there."""
    config = getattr(inner, "config", None)
    kind = getattr(config, "model_type", type(inner).__name__)
    family = FAMILIES.get(kind)
    if family is None:
        raise UnsupportedArchitecture(
            f"We do not know the parts of a {kind!r} model; {_supported()}"
        )
    for option, value in family.requires.items():
        if getattr(config, option, value) != value:
            raise UnsupportedArchitecture(
                f"This {kind!r} model has {option}={getattr(config, option)!r}, which wires its "
                f"blocks differently; we support {option}={value!r}. Choose another model."
            )
    return family, kind


def bare_model(model: Any) -> nn.Module:
    """Return the PyTorch module inside a LanguageModel or its parts, or the module itself."""
    inner = model if isinstance(model, nn.Module) else getattr(model, "model", None)
    if not isinstance(inner, nn.Module):
        raise UnsupportedArchitecture(
            f"{type(model).__name__} has no layers to look into; {_supported()}"
        )
    return inner


def family_of(model: Any) -> Family:
    """Return the row of the table for a LanguageModel, a bare ``transformers`` model or its parts.

    Raises UnsupportedArchitecture as `parts` does.

    Examples
    --------
    >>> from course_lib import load_model
    >>> family_of(load_model()).blocks
    'transformer.h'
    """
    return parts(model).family


def _supported() -> str:
    return (
        f"supported families: {', '.join(FAMILIES)}. Such a model can still be scored by its "
        "probabilities (unit 01), but its inside cannot be recorded or replaced."
    )


def blocks(model: Any) -> nn.ModuleList:
    """Return the list of transformer blocks."""
    return parts(model).blocks


def n_layers(model: Any) -> int:
    """Return the number of blocks."""
    return len(blocks(model))


def n_heads(model: Any) -> int:
    """Return the number of attention (query) heads per block."""
    return int(parts(model).model.config.num_attention_heads)


def unembedding(model: Any) -> Tensor:
    """Return the unembedding matrix [V, d]: row v is the direction that raises the logit of v.

    In most families it is the token embedding itself (tied), so never change it in place. For
    the BERT family it follows a transform with its own norm: logits = W f(h) + b.
    """
    return parts(model).output.weight


def final_norm(model: Any) -> nn.Module:
    """Return the norm between the last block and the unembedding.

    Raises UnsupportedArchitecture for the BERT family, whose blocks end with their own norm.
    """
    found = parts(model)
    if found.family.final_norm is None:
        raise UnsupportedArchitecture(
            "This model has no final norm: each block normalises its own output (post-norm). "
            "Use resid_post of the last layer."
        )
    return found.model.get_submodule(found.family.final_norm)
