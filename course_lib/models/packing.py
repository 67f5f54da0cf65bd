"""Scoring many sentences with one model: each different sentence once, similar lengths together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_lib.models.text_model import TextModel, UnknownWordsWarning

# Batches of about this many tokens stay in the cache of a CPU core; larger ones are slower.
BATCH_TOKENS = 1024
ROW_TOKENS = 64  # tokens of a packed row; longer ones share more and attend over more

Ids = tuple[int, ...]


def encode_all(lm: TextModel, texts: Sequence[str]) -> list[Ids]:
    """Encode texts, start token first; one warning for all that hold unknown words.

    Raises
    ------
    ValueError
        For an empty or too long text, with its number in the list.

    Warns
    -----
    UnknownWordsWarning
        Counts the texts with unknown words and shows the first case. Two sentences that differ
        in unknown words alone look the same to the model and get the same score.
    """
    encoded: dict[str, Ids] = {}
    unknown: list[str] = []
    for number, text in enumerate(texts):
        if text in encoded:
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                encoded[text] = tuple(lm.encode(text))
            except ValueError as error:
                raise ValueError(f"Sentence {number} cannot be scored. {error}") from error
        for warning in caught:
            if issubclass(warning.category, UnknownWordsWarning):
                unknown.append(str(warning.message))
            else:
                warnings.warn_explicit(
                    warning.message, warning.category, warning.filename, warning.lineno
                )
    if unknown:
        warnings.warn(
            f"{len(unknown)} of {len(encoded)} different sentences hold words that "
            f"{lm.name!r} does not know. The first case: {unknown[0]}",
            UnknownWordsWarning,
            stacklevel=3,
        )
    return [encoded[text] for text in texts]


def score_unique(lm: TextModel, ids: Iterable[Ids]) -> dict[Ids, Tensor]:
    """Score each different sequence once, and what two sequences begin with once where we can.

    Returns
    -------
    dict
        Sequence of T ids -> log p(id_t | ids before t) in nats for t = 1..T-1, float64 [T - 1].
        The same sequences always get the same numbers, in whatever order they come.

    Raises
    ------
    ValueError
        If a log-probability is not finite.

    Notes
    -----
    Cost: one forward pass over the different beginnings of the sequences (`pack`) where the model
    takes an attention mask of our own, over the different sequences otherwise.
    """
    unique = sorted(set(ids))
    scores: dict[Ids, Tensor] = {}
    if getattr(lm, "takes_any_mask", False):
        lm.check_ids(unique)
        rows = sorted(pack(unique, min(ROW_TOKENS, lm.max_tokens)), key=len)
        for batch in batches(rows, one_size=False):
            scores |= score_rows(lm, batch)
    else:
        for batch in batches(sorted(unique, key=len), one_size=True):
            rows = lm.score_ids([list(item) for item in batch])
            scores |= zip(batch, (row.double().cpu() for row in rows), strict=True)
    for item, row in scores.items():
        if not torch.isfinite(row).all():
            raise ValueError(
                f"{lm.name!r} gives the tokens {[lm.token_string(i) for i in item]} a "
                "log-probability that is not finite, so no comparison is possible. Check its "
                "weights (half precision overflows on a CPU: load with float32)."
            )
    return scores


class Row:
    """Sequences that share their beginnings, as one row of tokens: a tree, parents first.

    "The dog sleeps" and "The dog sleep" become The, dog, sleeps, sleep; both last words have
    "dog" as parent and stand at the same position.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.parents: list[int] = []
        self.positions: list[int] = []
        self.paths: dict[Ids, list[int]] = {}  # sequence -> places of its tokens in the row

    def __len__(self) -> int:
        return len(self.tokens)

    def add(self, item: Ids, shared: int, before: list[int]) -> None:
        """Add a sequence whose first `shared` tokens stand at the places `before` has."""
        path = before[:shared]
        for position in range(shared, len(item)):
            self.parents.append(path[-1] if path else 0)
            path.append(len(self.tokens))
            self.tokens.append(item[position])
            self.positions.append(position)
        self.paths[item] = path


def pack(ids: Sequence[Ids], row_tokens: int) -> list[Row]:
    """Pack sequences in alphabetical order, so that common beginnings meet, in rows.

    A row holds at most `row_tokens` tokens, or one sequence if that is longer.
    """
    rows, last = [Row()], ()
    for item in ids:
        shared = 0
        while shared < min(len(item), len(last)) and item[shared] == last[shared]:
            shared += 1
        if last and len(rows[-1]) + len(item) - shared > row_tokens:
            rows.append(Row())
            shared = 0
        rows[-1].add(item, shared, rows[-1].paths.get(last, []))
        last = item
    return rows


@torch.no_grad()
def score_rows(lm: Any, rows: Sequence[Row]) -> dict[Ids, Tensor]:
    """Score the sequences of packed rows; each token sees the tokens it descends from alone."""
    width = max(map(len, rows))
    tokens, parents, positions = np.zeros((3, len(rows), width), dtype=np.int64)
    seen = np.zeros((len(rows), width, width), dtype=bool)
    seen[:, range(width), range(width)] = True  # padding sees itself: an empty row has no softmax
    for b, row in enumerate(rows):
        size = len(row)
        tokens[b, :size], parents[b, :size] = row.tokens, row.parents
        positions[b, :size] = row.positions
        for place in range(1, size):
            if row.positions[place]:
                seen[b, place] |= seen[b, row.parents[place]]
    ids, parent = torch.tensor(tokens), torch.tensor(parents)  # [R, T]
    dtype = next(lm.model.parameters()).dtype
    mask = torch.zeros(seen.shape, dtype=dtype)
    mask.masked_fill_(~torch.tensor(seen), torch.finfo(dtype).min)
    logits = lm(
        ids.to(lm.device),
        mask[:, None].to(lm.device),  # [R, 1, T, T], added to the attention scores
        position_ids=torch.tensor(positions, device=lm.device),
    ).logits.cpu()
    r = torch.arange(len(rows))[:, None]
    logp = (logits[r, parent, ids] - logits.logsumexp(-1)[r, parent]).double()  # [R, T]
    return {
        item: logp[b, path[1:]] for b, row in enumerate(rows) for item, path in row.paths.items()
    }


def batches(items: Sequence[Any], one_size: bool) -> Iterable[list]:
    """Cut items sorted by their len, in tokens, in batches of at most BATCH_TOKENS tokens.

    With `one_size` a batch holds items of one size only, so that nothing is padded.
    """
    batch: list = []
    for item in items:
        full = batch and (len(batch) + 1) * len(item) > BATCH_TOKENS
        if full or (batch and one_size and len(item) != len(batch[0])):
            yield batch
            batch = []
        batch.append(item)
    if batch:
        yield batch
