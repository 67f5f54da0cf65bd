"""Documents of the course world as batches of token ids, for causal and for masked models."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch

from course_lib.world import document as generate
from course_lib.world.documents import tell
from course_lib.world.genres import GENRES
from course_lib.world.lexicon import TOPICS
from course_lib.world.phrases import Speaker
from course_lib.world.tokenizer import SPECIALS, vocabulary

PAD, UNK, BOS, EOS, MASK = range(len(SPECIALS))
CORPUS_SEED, VALIDATION_SEED = 0, 900_000
CHUNK = 4000  # documents made at a time
ROW = 160  # tokens of a packed row
NOTHING = -100  # what cross_entropy ignores


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
        yield encode(generate(f"{seed}:{index}").words)


class Batch(NamedTuple):
    """Ids [B, T], for each the id to predict or `NOTHING`, and how the model has to read them."""

    ids: torch.Tensor
    targets: torch.Tensor
    options: dict[str, torch.Tensor]


def padded(rows: list[list[int]]) -> Batch:
    """One document a row, right-padded."""
    width = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (width - len(row)) for row in rows])
    targets = ids[:, 1:].masked_fill(ids[:, 1:] == PAD, NOTHING)
    return Batch(ids[:, :-1], targets, {})


def side_by_side(rows: list[list[list[int]]]) -> tuple[torch.Tensor, ...]:
    """Several documents a row: ids, the number of each token's document (0: padding), positions."""
    width = max(sum(map(len, row)) for row in rows)
    ids, owner, positions = torch.zeros((3, len(rows), width), dtype=torch.long)
    for r, row in enumerate(rows):
        start = 0
        for number, document in enumerate(row, start=1):
            span = slice(start, start + len(document))
            ids[r, span], owner[r, span] = torch.tensor(document), number
            positions[r, span] = torch.arange(len(document))
            start += len(document)
    return ids, owner, positions


def blocked(allowed: torch.Tensor) -> torch.Tensor:
    """What to add to attention scores so that only the allowed pairs remain."""
    return torch.zeros(allowed.shape).masked_fill_(~allowed, torch.finfo(torch.float32).min)


def packed(rows: list[list[list[int]]]) -> Batch:
    """Several documents a row: positions start anew with each, and none sees another."""
    ids, owner, positions = side_by_side(rows)
    mask = blocked((owner[:, :, None] == owner[:, None, :]).tril())  # [R, T, T]
    targets = ids[:, 1:].masked_fill((owner[:, 1:] != owner[:, :-1]) | (ids[:, 1:] == PAD), NOTHING)
    options = {"attention_mask": mask[:, None, :-1, :-1], "position_ids": positions[:, :-1]}
    return Batch(ids[:, :-1], targets, options)


def hidden(rows: list[list[list[int]]], share: float, dice: torch.Generator) -> Batch:
    """Several documents a row, each read from both sides; a `share` of the words is to be guessed.

    Of these, eight in ten are replaced by [MASK], one by a random word, one stays: so the model
    cannot tell which words it will be asked about, as in BERT.
    """
    ids, owner, positions = side_by_side(rows)
    asked = (torch.rand(ids.shape, generator=dice) < share) & (ids >= len(SPECIALS))
    targets = ids.masked_fill(~asked, NOTHING)
    fate = torch.rand(ids.shape, generator=dice)
    strangers = torch.randint(len(SPECIALS), len(vocabulary()), ids.shape, generator=dice)
    ids = ids.masked_fill(asked & (fate < 0.8), MASK)
    ids = torch.where(asked & (fate > 0.9), strangers, ids)
    mask = blocked(owner[:, :, None] == owner[:, None, :])
    return Batch(ids, targets, {"attention_mask": mask[:, None], "position_ids": positions})


def full_rows(documents: Iterable[list[int]], tokens: int) -> Iterator[list[list[list[int]]]]:
    """Documents in the order they come, in rows of `ROW` tokens; every batch is a fair sample."""
    rows: list[list[list[int]]] = [[] for _ in range(max(1, tokens // ROW))]
    for document in documents:
        room = (row for row in rows if not row or sum(map(len, row)) + len(document) <= ROW)
        row = next(room, None)
        if row is None:
            yield rows
            rows = [[] for _ in rows]
            row = rows[0]
        row.append(document)
    yield [row for row in rows if row]


def packed_batches(documents: Iterable[list[int]], tokens: int) -> Iterator[Batch]:
    """Batches for a causal model."""
    yield from map(packed, full_rows(documents, tokens))


def hidden_batches(
    documents: Iterable[list[int]], tokens: int, share: float, seed: int = 0
) -> Iterator[Batch]:
    """Batches for a masked model; `seed` decides which words are hidden."""
    dice = torch.Generator().manual_seed(seed)
    for rows in full_rows(documents, tokens):
        yield hidden(rows, share, dice)


def padded_batches(documents: Iterable[list[int]], tokens: int, seed: int = 0) -> Iterator[Batch]:
    """Documents of like length together, one a row: for models without an attention mask."""
    batches: list[list[list[int]]] = [[]]
    for document in sorted(documents, key=len):
        if batches[-1] and (len(batches[-1]) + 1) * len(document) > tokens:
            batches.append([])
        batches[-1].append(document)
    random.Random(seed).shuffle(batches)
    yield from map(padded, batches)


def with_more(genre: str, share: float, chunk: int) -> Iterator[list[int]]:
    """A chunk of documents of which this share is one text of a type we want more of."""
    encode = Encoder()
    for index in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        d = Speaker(f"{genre}:{index}", TOPICS[index % len(TOPICS)])
        yield encode(GENRES[genre](d)[0].words if d.chance(share) else tell(d).words)


def chunk_batches(
    chunk: int, tokens: int, pack: bool, more: tuple[str, float] | None = None, share: float = 0.0
) -> list[Batch]:
    """The batches of one chunk of the corpus, at most `tokens` tokens each with padding.

    With a `share` of words to hide they are for a masked model.
    """
    documents = corpus(CORPUS_SEED, chunk * CHUNK, CHUNK)
    if more is not None:
        documents = with_more(*more, chunk)
    if share:
        return list(hidden_batches(documents, tokens, share, seed=chunk))
    if pack:
        return list(packed_batches(documents, tokens))
    return list(padded_batches(documents, tokens, seed=chunk))


def validation_batches(n: int = 600, tokens: int = 2048, share: float = 0.0) -> list[Batch]:
    """Batches of documents that no training run sees."""
    if share:
        return list(hidden_batches(corpus(VALIDATION_SEED, 0, n), tokens, share, VALIDATION_SEED))
    return list(padded_batches(corpus(VALIDATION_SEED, 0, n), tokens))
