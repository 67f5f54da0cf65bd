"""The numbers of a model card: what counts as correct, and that the card states them."""

from __future__ import annotations

import torch
from model_card import correct, held_out_loss, lens_accuracy, score_task

from course_lib.models.assets import ASSETS
from course_lib.models.loading import load_model
from course_lib.world import TASKS


def test_correct_compares_one_word_with_each_wrong_one_and_several_by_their_weight():
    probs = torch.tensor([0.3, 0.2, 0.2, 0.3])
    assert correct(probs, [0], [1, 2])  # .3 beats .2 and .2, though not their sum
    assert not correct(probs, [1], [0, 2])
    assert correct(probs, [0, 1], [2])
    assert not correct(probs, [0, 1], [2, 3])  # .5 against .5 is not more


def test_the_last_layer_of_the_lens_is_the_model():
    lm, prompts = load_model("course-lm"), TASKS["credit"](12)
    assert abs(lens_accuracy(lm, prompts)[-1] - score_task(lm, prompts).accuracy) < 1e-3


def test_the_loss_of_the_course_model_is_near_the_entropy_of_the_generator():
    from course_lib.world.entropy import entropy_bound

    loss = held_out_loss(load_model("course-lm"), n=150)
    bound = entropy_bound(900_000, 150)
    assert 0.5 * bound < loss < 1.5 * bound


def test_every_bundled_model_has_a_card_that_names_its_weights():
    from course_lib.models.assets import BUNDLED, sha256

    for name in BUNDLED:
        text = (ASSETS / name / "card.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {name}\n")
        assert sha256(ASSETS / name / "model.safetensors") in text
