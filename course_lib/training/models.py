"""The architectures of the bundled models and how each is trained."""

from __future__ import annotations

import torch
from torch import nn

from course_lib.models.ngram import NGramModel
from course_lib.training.data import BOS, CHUNK, CORPUS_SEED, EOS, PAD, corpus
from course_lib.training.train import Recipe
from course_lib.world.tokenizer import build_tokenizer, vocabulary

RECIPES = {
    "course-lm": Recipe(
        3_300_000, 5e-4, 512, pack=True, opening=2, closing=2_600_000, counted=True
    ),
    "course-bert": Recipe(1_700_000, 1.4e-3, 1024, warmup=300, hide=0.25, opening=2),
    "course-lstm": Recipe(tokens=3_300_000, learning_rate=1.5e-3, batch_tokens=512),
    "course-txl": Recipe(tokens=3_300_000, learning_rate=1e-3, batch_tokens=512),
}

NGRAM_TOKENS = 4_500_000
EMBEDDING_SCALE = 0.2


@torch.no_grad()
def sinusoids(positions: torch.Tensor, scale: float, longest: float = 1000.0) -> None:
    """Start the position embeddings [P, d] as sinusoids, so that neighbours begin alike.

    Learned from random vectors, "the token before" has to be found for every position anew; from
    sinusoids the held-out loss fell faster in our trials.
    """
    count, width = positions.shape
    frequencies = longest ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count)[:, None] * frequencies  # [P, d/2]
    positions[:, 0::2], positions[:, 1::2] = angles.sin() * scale, angles.cos() * scale


def train_ngram(tokens: int) -> NGramModel:
    """The 5-gram model of the first `tokens` tokens of the corpus."""
    documents, count, index = [], 0, 0
    while count < tokens:
        for document in corpus(CORPUS_SEED, index, CHUNK):
            documents.append(document)
            count += len(document) - 1
        index += CHUNK
    return NGramModel(build_tokenizer()).fit(documents)


def new_model(name: str, seed: int = 0, **sizes: int) -> nn.Module:
    """A freshly initialised model; `sizes` overrides widths and depths for quick tests."""
    torch.manual_seed(seed)
    vocab_size = len(vocabulary())
    if name == "course-lm":
        from transformers import GPT2Config, GPT2LMHeadModel

        shape = {"n_layer": 6, "n_head": 8, "n_embd": 256} | sizes
        config = GPT2Config(
            vocab_size=vocab_size, n_positions=256, resid_pdrop=0.0, embd_pdrop=0.0,
            attn_pdrop=0.0, bos_token_id=BOS, eos_token_id=EOS,
            use_cache=False, initializer_range=0.05,
            activation_function="gelu_pytorch_tanh",  # GPT-2's own formula in one operation
            **shape,
        )  # fmt: skip
        model = GPT2LMHeadModel(config)
        # Large embeddings: what a word is stays readable in the stream beside what blocks add.
        nn.init.normal_(model.transformer.wte.weight, std=EMBEDDING_SCALE)
        sinusoids(model.transformer.wpe.weight, scale=EMBEDDING_SCALE)
        return model
    if name == "course-bert":
        from transformers import BertConfig, BertForMaskedLM

        shape = {"num_hidden_layers": 4, "num_attention_heads": 8, "hidden_size": 256,
                 "intermediate_size": 1024} | sizes  # fmt: skip
        config = BertConfig(
            vocab_size=vocab_size, max_position_embeddings=256, type_vocab_size=1, pad_token_id=PAD,
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.05,
            **shape,
        )  # fmt: skip
        model = BertForMaskedLM(config)
        sinusoids(model.bert.embeddings.position_embeddings.weight, scale=0.05)
        return model
    from course_lib.models.recurrent import CourseLSTM, CourseTXL, LSTMConfig, TXLConfig

    if name == "course-lstm":
        return CourseLSTM(LSTMConfig(vocab_size, **({"layers": 1} | sizes)))
    return CourseTXL(TXLConfig(vocab_size, **({"layers": 2, "width": 192} | sizes)))
