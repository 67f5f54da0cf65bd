"""What the bundled models must be able to do, measured on held-out combinations."""

from __future__ import annotations

import pytest
from model_card import REQUIRED, lens_accuracy, score_task

from course_lib.behaviour import score_suite
from course_lib.models.loading import load_model
from course_lib.world import TASKS, course_suite


@pytest.fixture(scope="module")
def suite_results():
    suite = course_suite(100)
    names = ("course-ngram", "course-lstm", "course-txl", "course-lm")
    return {name: score_suite(load_model(name), suite) for name in names}


@pytest.mark.parametrize("task", REQUIRED)
def test_course_lm_has_learnt_the_task(task):
    score = score_task(load_model("course-lm"), TASKS[task](200))
    reached = score.difference if task == "greater_than" else score.accuracy
    assert reached >= REQUIRED[task]


def test_course_lm_knows_every_phenomenon_and_is_not_perfect(suite_results):
    result = suite_results["course-lm"]
    assert result.overall.accuracy >= 0.90
    assert all(row.accuracy >= 0.70 for row in result.phenomena.values())
    assert any(row.accuracy < 0.99 for row in result.phenomena.values())


@pytest.mark.parametrize("better", ["course-lstm", "course-txl", "course-lm"])
def test_the_5_gram_is_last(suite_results, better):
    assert suite_results["course-ngram"].overall.high < suite_results[better].overall.low


def test_course_lm_is_first(suite_results):
    worse = ("course-lstm", "course-txl")
    assert suite_results["course-lm"].overall.low > max(
        suite_results[name].overall.high for name in worse
    )


def test_answers_emerge_over_layers_for_at_least_half_of_the_tasks():
    """Read after the first block, their accuracy is far from what it is at the end."""
    lm = load_model("course-lm")
    rows = {task: lens_accuracy(lm, make(60)) for task, make in TASKS.items()}
    emerging = [task for task, by_layer in rows.items() if by_layer[0] < by_layer[-1] - 0.1]
    assert len(emerging) >= len(TASKS) / 2, rows
