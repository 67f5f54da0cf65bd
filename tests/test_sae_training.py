"""The recipe of course-sae on a few texts, and the command that writes the page of features."""

from __future__ import annotations

import json

import pytest
import torch

from course_lib import cli
from course_lib.models.loading import ModelNotFoundError, load_model
from course_lib.training import sae as recipes
from tests.closeness import close

TINY = recipes.SAERecipe(documents=60, features=48, k=4, rounds=3, batch=64, patience=5)


def test_a_stopped_run_of_course_sae_goes_on_with_the_next_round(lm, tmp_path, monkeypatch):
    whole = recipes.train_course_sae(lm, tmp_path / "whole", TINY)

    class Stop(Exception):
        pass

    saved, rounds = torch.save, []

    def stop_after_the_first(state, path):
        saved(state, path)
        rounds.append(path)
        if len(rounds) == 2:
            raise Stop

    monkeypatch.setattr(torch, "save", stop_after_the_first)
    with pytest.raises(Stop):
        recipes.train_course_sae(lm, tmp_path / "parts", TINY)
    monkeypatch.setattr(torch, "save", saved)
    again = recipes.train_course_sae(lm, tmp_path / "parts", TINY)
    close(again.W_dec, whole.W_dec)
    close(again.b_enc, whole.b_enc)
    log = [json.loads(row) for row in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert log[-1]["unexplained"] < log[0]["unexplained"] and again.site == TINY.site


def test_an_autoencoder_is_not_taken_for_a_language_model():
    with pytest.raises(ModelNotFoundError, match="load_sae"):
        load_model("course-sae")


def test_the_command_writes_the_page(tmp_path, capsys):
    out = tmp_path / "page.html"
    assert cli.main(["features", "--out", str(out), "--texts", "20"]) == 0
    assert out.read_text(encoding="utf-8").count("<section") > 20
    assert cli.main(["features", "--out", str(tmp_path / "no" / "page.html")]) == 2
    assert "folder" in capsys.readouterr().err
