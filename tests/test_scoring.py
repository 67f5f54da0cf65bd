"""Sentences that share a row of tokens get the scores they get alone."""

from __future__ import annotations

import random

import pytest

from course_lib.architectures import FAMILIES
from course_lib.models.language_model import LanguageModel
from course_lib.models.packing import pack, score_unique
from tests.closeness import close, precision
from tests.families import CAUSAL, POSITIONS, VOCAB, random_model, word_tokenizer


def language_model(kind: str, **options) -> LanguageModel:
    return LanguageModel(random_model(kind, **options), word_tokenizer(), kind)


def sequences(n: int = 40) -> list[tuple[int, ...]]:
    """Random sequences over few ids, so that many begin alike; some are parts of others."""
    rng = random.Random(0)
    made = [
        (2, *(rng.randrange(7, 10) for _ in range(rng.randrange(1, POSITIONS - 1))))
        for _ in range(n)
    ]
    return [*made, made[0][:2], made[1][:-1] if len(made[1]) > 2 else made[1]]


@pytest.mark.parametrize("kind", CAUSAL)
def test_packed_scores_are_those_of_each_sequence_alone(kind):
    lm = language_model(kind)
    assert lm.takes_any_mask == FAMILIES[kind].any_mask
    items = sequences()
    packed = score_unique(lm, items)
    assert set(packed) == set(items)
    for item in items:
        alone = lm.score_ids([list(item)])[0].double()
        close(packed[item], alone, precision(kind))


def test_a_family_with_local_attention_or_a_window_is_not_packed():
    assert not FAMILIES["gpt_neo"].any_mask
    assert not FAMILIES["opt"].any_mask
    assert not language_model("qwen2", use_sliding_window=True).takes_any_mask


@pytest.mark.parametrize("row_tokens", [10, 24, 64])
def test_rows_spell_the_sequences_and_share_their_beginnings(row_tokens):
    items = sorted(set(sequences()))
    rows = pack(items, row_tokens)
    assert sorted(item for row in rows for item in row.paths) == items
    for row in rows:
        assert len(row.tokens) <= max(row_tokens, max(map(len, row.paths)))
        for item, path in row.paths.items():
            assert tuple(row.tokens[place] for place in path) == item
            assert [row.positions[place] for place in path] == list(range(len(item)))
            assert [row.parents[place] for place in path[1:]] == path[:-1]
        beginnings = {item[:size] for item in row.paths for size in range(1, len(item) + 1)}
        assert len(row.tokens) == len(beginnings), "each beginning stands in the row once"


def test_packing_changes_nothing_for_one_sequence():
    (row,) = pack([(2, 5, 7)], 64)
    assert (row.tokens, row.positions, row.parents) == ([2, 5, 7], [0, 1, 2], [0, 0, 1])


def test_ids_outside_the_vocabulary_are_refused():
    with pytest.raises(ValueError, match="outside the vocabulary"):
        score_unique(language_model("gpt2"), [(2, VOCAB + 500)])
