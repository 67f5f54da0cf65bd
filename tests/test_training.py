"""The recipe on models small enough to train in a test."""

from __future__ import annotations

import json

import pytest
import torch

from course_lib.training.data import BOS, EOS, PAD, chunk_batches, corpus, pad
from course_lib.training.models import new_model
from course_lib.training.train import Recipe, masked_loss, rate, train, validation_loss
from course_lib.world import document

TINY = {
    "course-lm": {"n_layer": 1, "n_head": 2, "n_embd": 32},
    "course-lstm": {"width": 32},
    "course-txl": {"width": 32, "layers": 1, "heads": 2},
}


@pytest.fixture
def small_corpus(monkeypatch):
    """A few documents instead of the chunks of the real corpus."""
    from course_lib.training import data

    monkeypatch.setattr(data, "CHUNK", 150)
    batches = data.validation_batches
    monkeypatch.setattr("course_lib.training.train.validation_batches", lambda: batches(n=30))


@pytest.mark.parametrize("name", sorted(TINY))
def test_the_loss_falls(name, small_corpus, tmp_path):
    model = new_model(name, **TINY[name])
    recipe = Recipe(tokens=12_000, learning_rate=1e-2, batch_tokens=512, warmup=5)
    batches = [pad(list(corpus(900_000, 0, 30)))]
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
        torch.testing.assert_close(one, other)
    rows = (tmp_path / "parts" / "log.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["tokens"] >= recipe.tokens


def test_learning_rate_rises_stays_and_falls_to_zero():
    recipe = Recipe(tokens=1000, learning_rate=1.0, warmup=10, decay=0.5)
    assert rate(recipe, 0, 0) == pytest.approx(0.1)
    assert rate(recipe, 50, 400) == 1.0
    assert rate(recipe, 90, 750) == pytest.approx(0.5)
    assert rate(recipe, 99, 1000) == 0.0


def test_batches_hold_whole_documents_and_few_pads():
    batches = chunk_batches(0, tokens=1024)
    rows = [row for batch in batches for row in batch.tolist()]
    assert all(row[0] == BOS and EOS in row for row in rows)
    assert all(batch.numel() <= 1024 or len(batch) == 1 for batch in batches)
    padding = sum(row.count(PAD) for row in rows) / sum(map(len, rows))
    assert padding < 0.05
    words = len(document("0:0").words)
    assert any(len(row) - row.count(PAD) == words + 2 for row in rows)


def test_the_loss_ignores_padding():
    model = new_model("course-lm", **TINY["course-lm"]).eval()
    row = next(corpus(5, 0, 1))
    alone, n = masked_loss(model, pad([row]))
    padded = torch.nn.functional.pad(pad([row]), (0, 7), value=PAD)
    longer, m = masked_loss(model, padded)
    assert n == m == len(row) - 1
    torch.testing.assert_close(alone, longer)
