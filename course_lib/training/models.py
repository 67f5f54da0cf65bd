"""The architectures of the bundled models and how each is trained."""

from __future__ import annotations

import torch
from torch import nn

from course_lib.training.data import BOS, EOS, PAD
from course_lib.training.train import Recipe
from course_lib.world.tokenizer import vocabulary

RECIPES = {
    "course-lm": Recipe(tokens=6_500_000, learning_rate=1e-3),
    "course-lstm": Recipe(tokens=3_000_000, learning_rate=2e-3),
    "course-txl": Recipe(tokens=3_000_000, learning_rate=1.5e-3),
}


def new_model(name: str, seed: int = 0, **sizes: int) -> nn.Module:
    """A freshly initialised model; `sizes` overrides widths and depths for quick tests."""
    torch.manual_seed(seed)
    vocab_size = len(vocabulary())
    if name == "course-lm":
        from transformers import GPT2Config, GPT2LMHeadModel

        shape = {"n_layer": 6, "n_head": 8, "n_embd": 256} | sizes
        config = GPT2Config(
            vocab_size=vocab_size, n_positions=256, resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD,
            use_cache=False, **shape,
        )  # fmt: skip
        return GPT2LMHeadModel(config)
    from course_lib.baselines import CourseLSTM, CourseTXL, LSTMConfig, TXLConfig

    if name == "course-lstm":
        return CourseLSTM(LSTMConfig(vocab_size, **sizes))
    return CourseTXL(TXLConfig(vocab_size, **sizes))
