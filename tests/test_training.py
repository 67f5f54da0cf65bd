"""The recipe on models small enough to train in a test."""

from __future__ import annotations

import json

import pytest
import torch

from course_lib.training import counts
from course_lib.training.counts import together, word_vectors
from course_lib.training.data import (
    BOS,
    EOS,
    MASK,
    NOTHING,
    ROW,
    Encoder,
    chunk_batches,
    corpus,
    hidden,
    hidden_batches,
    packed,
    packed_batches,
    padded,
)
from course_lib.training.models import new_model
from course_lib.training.train import Recipe, mean_loss, rate, train, validation_loss
from course_lib.world.lexicon import LEXICON, TOPICS
from tests.closeness import close

TINY = {
    "course-lm": {"n_layer": 1, "n_head": 2, "n_embd": 32},
    "course-bert": {
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
    },
    "course-lstm": {"width": 32},
    "course-txl": {"width": 32, "layers": 1, "heads": 2},
}


@pytest.fixture
def small_corpus(monkeypatch):
    """A few documents instead of the chunks of the real corpus."""
    from course_lib.training import data

    monkeypatch.setattr(data, "CHUNK", 150)
    batches = data.validation_batches
    monkeypatch.setattr(
        "course_lib.training.train.validation_batches", lambda **how: batches(30, **how)
    )


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_loss_falls(name, small_corpus, tmp_path):
    model = new_model(name, **TINY[name])
    pack = name == "course-lm"
    hide = 0.25 if name == "course-bert" else 0.0
    recipe = Recipe(12_000, 1e-2, 512, warmup=5, pack=pack, hide=hide)
    documents = list(corpus(900_000, 0, 30))
    batches = list(hidden_batches(documents, 2048, hide)) if hide else [padded(documents)]
    before = validation_loss(model, batches)
    curve = train(model, recipe, tmp_path)
    assert validation_loss(model, batches) < before - 0.7
    assert curve[-1]["tokens"] >= recipe.tokens


def test_a_stopped_run_continues_where_it_was(small_corpus, tmp_path, monkeypatch):
    recipe = Recipe(tokens=4_000, batch_tokens=256, warmup=3, checkpoint_seconds=0.0)

    class Stop(Exception):
        pass

    calls = 0

    def stop_after_five(model):
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Stop

    whole = new_model("course-lm", **TINY["course-lm"])
    train(whole, recipe, tmp_path / "whole")
    first = new_model("course-lm", **TINY["course-lm"])
    with pytest.raises(Stop):
        train(first, recipe, tmp_path / "parts", snapshot=stop_after_five)
    second = new_model("course-lm", seed=1, **TINY["course-lm"])  # its weights must be replaced
    train(second, recipe, tmp_path / "parts")
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        close(one, other)
    rows = (tmp_path / "parts" / "log.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["tokens"] >= recipe.tokens


def test_learning_rate_rises_stays_and_falls_to_zero():
    recipe = Recipe(tokens=1000, learning_rate=1.0, warmup=10, decay=0.5)
    assert rate(recipe, 0, 0) == pytest.approx(0.1)
    assert rate(recipe, 50, 400) == 1.0
    assert rate(recipe, 90, 750) == pytest.approx(0.5)
    assert rate(recipe, 99, 1000) == 0.0


@pytest.mark.parametrize("pack", [False, True])
def test_batches_hold_whole_documents_and_few_pads(pack):
    batches = chunk_batches(0, tokens=1024, pack=pack)
    ids = [batch.ids for batch in batches]
    assert all(row[0] == BOS for rows in ids for row in rows.tolist())
    assert all(rows.numel() <= 1024 or len(rows) == 1 for rows in ids)
    predicted = sum(int((batch.targets != NOTHING).sum()) for batch in batches)
    assert predicted == sum(len(row) - 1 for row in corpus(0, 0, 4000))
    assert predicted > (0.9 if pack else 0.95) * sum(rows.numel() for rows in ids)


def test_packed_documents_do_not_see_each_other():
    """The loss over packed rows is the loss over the documents one by one."""
    model = new_model("course-lm", **TINY["course-lm"]).double().eval()
    documents = list(corpus(5, 0, 9))
    batch = packed([documents[:4], documents[4:]])
    mask = batch.options["attention_mask"].double()
    loss, n = mean_loss(model, batch._replace(options=batch.options | {"attention_mask": mask}))
    alone = [mean_loss(model, padded([document])) for document in documents]
    assert n == sum(count for _, count in alone)
    total = sum(one * count for one, count in alone)
    torch.testing.assert_close(loss, total / n)


def test_packed_batches_mix_text_types_and_keep_to_the_row_length():
    documents = list(corpus(5, 0, 300))
    batches = list(packed_batches(documents, 3 * ROW))
    assert all(batch.ids.shape[1] <= max(ROW, max(map(len, documents))) for batch in batches)
    lengths = [(batch.ids == EOS).sum() for batch in batches]
    assert sum(lengths) <= len(documents)
    starts = [int((batch.options["position_ids"] == 0).sum()) for batch in batches]
    assert min(starts[:-1]) >= 3


def test_hidden_words_are_the_targets_and_most_are_masked():
    documents = list(corpus(5, 0, 2000))
    asked = masked = kept = total = 0
    for batch in hidden_batches(documents, 1024, 0.25):
        target = batch.targets != NOTHING
        assert not (batch.targets[target] <= MASK).any()  # no start, end or padding is asked for
        asked += int(target.sum())
        masked += int((batch.ids[target] == MASK).sum())
        kept += int((batch.ids == batch.targets)[target].sum())
        assert (batch.ids[~target] != MASK).all()
        total += int((batch.ids > MASK).sum()) + int((batch.ids[target] == MASK).sum())
    assert 0.24 < asked / total < 0.26
    assert 0.78 < masked / asked < 0.82 and 0.09 < kept / asked < 0.11
    again = next(hidden_batches(documents, 1024, 0.25))
    torch.testing.assert_close(again.ids, next(hidden_batches(documents, 1024, 0.25)).ids)


def test_a_hidden_word_is_guessed_from_both_sides_and_its_own_document():
    model = new_model("course-bert", **TINY["course-bert"]).double().eval()
    one, two = list(corpus(5, 0, 2))
    alone, both = (
        hidden([[one, *more]], 0.5, torch.Generator().manual_seed(0)) for more in ([], [two])
    )
    ids = both.ids.clone()
    ids[0, : len(one)] = alone.ids[0]  # the same words hidden in the first document
    mask = both.options["attention_mask"].double()
    options = {"attention_mask": mask, "position_ids": both.options["position_ids"]}
    found = model(input_ids=ids, **options).logits[0, : len(one)]
    mask = alone.options["attention_mask"].double()
    options = {"attention_mask": mask, "position_ids": alone.options["position_ids"]}
    torch.testing.assert_close(found, model(input_ids=alone.ids, **options).logits[0])
    ids[0, len(one) - 1] = ids[0, 1]  # what stands behind a word reaches it
    options = {"attention_mask": both.options["attention_mask"].double(),
               "position_ids": both.options["position_ids"]}  # fmt: skip
    changed = model(input_ids=ids, **options).logits[0, 1]
    assert (changed - found[1]).abs().max() > 1e-6


def test_the_loss_ignores_padding():
    model = new_model("course-lm", **TINY["course-lm"]).eval()
    short, long = sorted(corpus(5, 0, 2), key=len)
    alone, n = mean_loss(model, padded([short]))
    both, m = mean_loss(model, padded([short, long]))
    other, k = mean_loss(model, padded([long]))
    assert (n, k, m) == (len(short) - 1, len(long) - 1, len(short) + len(long) - 2)
    close(both * m, alone * n + other * k)


def test_words_of_a_topic_begin_alike():
    """Among the vectors of the counts the nearest topical noun has the same topic."""
    nouns = [noun for noun in LEXICON.nouns if noun.topic in TOPICS]
    ids = Encoder().ids
    vectors = word_vectors(together(8000))[[ids[noun.singular.form] for noun in nouns]]
    vectors /= vectors.norm(dim=1, keepdim=True)
    nearest = (vectors @ vectors.T).fill_diagonal_(-1.0).argmax(1)
    same = [a.topic == nouns[b].topic for a, b in zip(nouns, nearest.tolist(), strict=True)]
    assert sum(same) / len(same) > 0.9  # 1 in 12 by chance


def test_counts_add_few_directions_and_the_same_ones_each_time(monkeypatch):
    monkeypatch.setattr(counts, "together", lambda n: together(400))
    starts = []
    for _ in range(2):
        torch.manual_seed(1)
        embeddings = torch.nn.Embedding(len(Encoder().ids), 64)
        before = embeddings.weight.detach().clone()
        counts.start_from_counts(embeddings)
        starts.append(embeddings.weight.detach() - before)
    assert torch.linalg.matrix_rank(starts[0], atol=1e-3) == counts.DIMENSIONS
    close(*starts)
    longer = starts[0].norm(dim=1).mean() / before.norm(dim=1).mean()
    assert longer == pytest.approx(counts.STRENGTH, rel=0.05)
