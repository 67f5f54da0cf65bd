"""Documents of the course world as batches of token ids."""

from __future__ import annotations

import random
from collections.abc import Iterator

import torch

from course_lib.world import document
from course_lib.world.tokenizer import SPECIALS, vocabulary

PAD, UNK, BOS, EOS, MASK = range(len(SPECIALS))
CORPUS_SEED, VALIDATION_SEED = 0, 900_000
CHUNK = 4000  # documents that are sorted by length together


class Encoder:
    """Words of a document to ids: [BOS] words [EOS]."""

    def __init__(self) -> None:
        self.ids = {form: index for index, form in enumerate(vocabulary())}

    def __call__(self, words: list[str]) -> list[int]:
        return [BOS, *(self.ids[word] for word in words), EOS]


def corpus(seed: int, first: int, n: int) -> Iterator[list[int]]:
    """The encoded documents `first`, ..., `first + n - 1` of this seed."""
    encode = Encoder()
    for index in range(first, first + n):
        yield encode(document(f"{seed}:{index}").words)


def pad(rows: list[list[int]]) -> torch.Tensor:
    """Right-padded [B, T] tensor of ids."""
    width = max(map(len, rows))
    return torch.tensor([row + [PAD] * (width - len(row)) for row in rows])


def chunk_batches(chunk: int, tokens: int) -> list[torch.Tensor]:
    """The batches of one chunk of the corpus: documents of like length, <= `tokens` with padding.

    Whole documents, never cut or packed together, so no attention mask across documents is needed
    and positions count from the start of the document, as they do when the model is used.
    """
    rows = sorted(corpus(CORPUS_SEED, chunk * CHUNK, CHUNK), key=len)
    batches, current = [], []
    for row in rows:
        if current and (len(current) + 1) * len(row) > tokens:
            batches.append(pad(current))
            current = []
        current.append(row)
    batches.append(pad(current))
    random.Random(chunk).shuffle(batches)
    return batches


def validation_batches(n: int = 600, tokens: int = 2048) -> list[torch.Tensor]:
    """Batches of documents that no training run sees."""
    rows = sorted(corpus(VALIDATION_SEED, 0, n), key=len)
    batches: list[list[list[int]]] = [[]]
    for row in rows:
        if batches[-1] and (len(batches[-1]) + 1) * len(row) > tokens:
            batches.append([])
        batches[-1].append(row)
    return [pad(batch) for batch in batches]
