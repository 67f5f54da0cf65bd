"""Tiny random-weight models of every supported family, and a tiny saved model, for the tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

VOCAB, POSITIONS = 40, 24
WORDS = "The the dog dogs cat cats sleeps sleep sees see two a in to from 17 41 . , ?".split()
SPECIALS = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "[MASK]", "[CLS]", "[SEP]"]

_SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4}
_GROUPED = _SIZES | {"num_key_value_heads": 2, "intermediate_size": 24}
CONFIGS = {
    "gpt2": {"n_embd": 16, "n_layer": 3, "n_head": 4},
    "gpt_neo": {
        "hidden_size": 16,
        "num_layers": 3,
        "num_heads": 4,
        "attention_types": [[["global", "local", "global"], 1]],
        "window_size": 4,
    },
    "gpt_neox": _SIZES | {"intermediate_size": 24},
    "llama": _GROUPED,
    "qwen2": _GROUPED,
    "qwen3": _GROUPED | {"head_dim": 8},
    "opt": _SIZES | {"ffn_dim": 24, "word_embed_proj_dim": 16},
    "bert": _SIZES | {"intermediate_size": 24},
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 4, "hidden_dim": 24},
}
CAUSAL = [kind for kind in CONFIGS if "bert" not in kind]
POST_NORM = ["bert", "distilbert"]


def random_model(kind: str, dtype: torch.dtype = torch.float64, **options) -> nn.Module:
    """Return a 3-layer model whose every parameter (biases and norms too) is random."""
    import transformers

    settings = {
        "vocab_size": VOCAB,
        "max_position_embeddings": POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    config = transformers.AutoConfig.for_model(kind, **(settings | CONFIGS[kind] | options))
    auto = transformers.AutoModelForMaskedLM if kind in POST_NORM else None
    model = (auto or transformers.AutoModelForCausalLM).from_config(config).to(dtype).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=dtype)
            is_gain = "norm" in name.lower() or ".ln_" in name
            parameter.copy_((1.0 if is_gain and name.endswith("weight") else 0.0) + 0.3 * noise)
    model.config.use_cache = False
    return model.requires_grad_(False)


def some_ids(batch: int = 2, length: int = 7) -> torch.Tensor:
    """Return fixed random ids [B, T], no special tokens among them."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(len(SPECIALS), VOCAB, (batch, length), generator=generator)


def word_tokenizer(masked: bool = False):
    """Return a small word-level tokenizer; `masked` adds [CLS] ... [SEP] around a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = [*SPECIALS, *WORDS]
    names += [f"w{i}" for i in range(VOCAB - len(names))]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(names)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    named = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
    if masked:
        ends = [("[CLS]", names.index("[CLS]")), ("[SEP]", names.index("[SEP]"))]
        raw.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ends)
        named |= {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    else:
        named |= {"bos_token": "[BOS]", "eos_token": "[EOS]"}
    return PreTrainedTokenizerFast(tokenizer_object=raw, **named)


def byte_tokenizer(text: str = "the dog sees the dog , the café in the rain . the dogs see"):
    """Return a GPT-2 style byte-level BPE tokenizer, merges learnt from a few words."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    end = "<|endoftext|>"
    raw.train_from_iterator(
        [text] * 20,
        trainers.BpeTrainer(vocab_size=300, special_tokens=[end], initial_alphabet=alphabet),
    )
    # GPT-2 names one token for all three purposes
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=end, eos_token=end, unk_token=end
    )


def save_tiny(folder: Path, kind: str = "gpt2", dtype: torch.dtype = torch.float16) -> Path:
    """Save a random model with its tokenizer as ``save_pretrained`` does; return the folder."""
    # transformers reads the tokenizer of every qwen2 folder as its own byte-level class
    tokenizer = byte_tokenizer() if kind == "qwen2" else word_tokenizer(masked=kind in POST_NORM)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 64} if kind == "qwen2" else {}
    random_model(kind, dtype, **sizes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def shared_data(name: str) -> Path:
    """Return a folder of the optional test data, or skip the test with the reason."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("COURSE_SHARED_DATA", default)) / name
    if not folder.exists():
        pytest.skip(f"optional test data {name!r} is not here; set COURSE_SHARED_DATA to use it")
    return folder
