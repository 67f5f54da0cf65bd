"""Many sentences in one model: each different one once, and what two begin with once.

Sentences of a suite, or a text with some words erased, often begin alike. Where a model takes an
attention mask of our own, such sentences share a row of tokens (`pack`), in which each token sees
only the tokens before it in its own sentence.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class Row:
    """Sequences that share their beginnings, as one row of W tokens: a tree.

    "The dog sleeps" and "The dog sleep" become The, dog, sleeps, sleep; both last words have
    "dog" as parent and stand at the same position.

    Attributes
    ----------
    tokens, parents, positions : lists of W ints; the root is its own parent
    paths : dict, sequence -> places of its tokens in the row
    seen : bool [W, W], True where the token of the row sees that of the column
    """

    tokens: list[int]
    parents: list[int]
    positions: list[int]
    paths: dict[Ids, list[int]]
    seen: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


def pack(ids: Sequence[Ids], row_tokens: int, ends_last: bool = False) -> list[Row]:
    """Pack different sequences in alphabetical order, so that common beginnings meet, in rows.

    Parameters
    ----------
    row_tokens : a row holds at most so many tokens, or one sequence if that is longer
    ends_last : the tokens of a row stand in the order of their positions. Of sequences of one
        length the last tokens are then the last of the row, in the order of the sequences.

    Examples
    --------
    >>> (row,) = pack([(1, 5, 6), (1, 5, 7)], row_tokens=9)
    >>> row.tokens, row.parents, row.paths[1, 5, 7]
    ([1, 5, 6, 7], [0, 0, 1, 1], [0, 1, 3])
    """
    rows, group, used = [], [], 0
    for item, new in zip(ids, _fresh(_table(ids)).sum(1).tolist(), strict=True):
        if group and used + new > row_tokens:
            rows.append(_tree(group, ends_last))
            group = []
        used = used + new if group else len(item)
        group.append(item)
    return [*rows, _tree(group, ends_last)]


def _table(ids: Sequence[Ids]) -> Tensor:
    """Sequences as rows [G, L], -1 beyond their ends."""
    width = max(map(len, ids))
    return torch.tensor([(*item, *(-1,) * (width - len(item))) for item in ids])


def _fresh(table: Tensor) -> Tensor:
    """[G, L] -> True from the first token on in which a sequence differs from the one before."""
    changed = torch.ones_like(table, dtype=torch.bool)
    changed[1:] = (table[1:] != table[:-1]).cumsum(1) > 0
    return changed & (table >= 0)


def _tree(ids: Sequence[Ids], by_position: bool) -> Row:
    table = _table(ids)  # [G, L]
    fresh, valid = _fresh(table), table >= 0
    number = fresh.flatten().cumsum(0).view_as(table) - 1
    node = torch.where(fresh, number, -1).cummax(0).values  # a shared token has its first number
    position = fresh.nonzero()[:, 1]  # of each node
    order = torch.arange(len(position))
    if by_position:
        order = position.argsort(stable=True)
    path = order.argsort()[node]  # [G, L]: places in the row
    later, earlier = torch.tril_indices(table.shape[1], table.shape[1])
    there = valid[:, later]
    seen = torch.zeros(len(order), len(order), dtype=torch.bool)
    seen[path[:, later][there], path[:, earlier][there]] = True
    parents = torch.zeros_like(order)
    parents[path[:, 1:][valid[:, 1:]]] = path[:, :-1][valid[:, 1:]]
    paths = {item: places[: len(item)] for item, places in zip(ids, path.tolist(), strict=True)}
    lists = (x.tolist() for x in (table[fresh][order], parents, position[order]))
    return Row(*lists, paths, seen)


def inputs(lm: Any, rows: Sequence[Row], right: bool = False) -> dict[str, Tensor]:
    """What the model is called with: ids [R, W], positions [R, W] and mask [R, 1, W, W].

    The mask is added to the attention scores. Rows are aligned at the left, or at the right.
    """
    width = max(map(len, rows))
    ids, positions = torch.zeros(2, len(rows), width, dtype=torch.long)
    # padding sees itself: a row of the mask with nothing to see has no softmax
    seen = torch.eye(width, dtype=torch.bool).repeat(len(rows), 1, 1)
    for r, row in enumerate(rows):
        span = slice(width - len(row), None) if right else slice(len(row))
        ids[r, span], positions[r, span] = torch.tensor(row.tokens), torch.tensor(row.positions)
        seen[r, span, span] = row.seen
    dtype = next(lm.model.parameters()).dtype
    mask = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min)
    found = {"input_ids": ids, "position_ids": positions, "attention_mask": mask[:, None]}
    return {name: x.to(lm.device) for name, x in found.items()}


@torch.no_grad()
def score_rows(lm: Any, rows: Sequence[Row]) -> dict[Ids, Tensor]:
    """Score the sequences of packed rows; each token sees the tokens it descends from alone."""
    given = inputs(lm, rows)
    logits = lm(**given).logits.cpu()  # [R, W, V]
    ids, parent = given["input_ids"].cpu(), torch.zeros(logits.shape[:2], dtype=torch.long)
    for r, row in enumerate(rows):
        parent[r, : len(row)] = torch.tensor(row.parents)
    r = torch.arange(len(rows))[:, None]
    logp = (logits[r, parent, ids] - logits.logsumexp(-1)[r, parent]).double()  # [R, W]
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
