"""The calibration view: what counts as a prediction, what is right, and what is said about it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from course_lib.intervals import wilson
from course_lib.journal import record
from course_lib.progress import record_prediction, reveal
from course_lib.progress.calibration import (
    Calibration,
    Scored,
    calibration,
    kind_of,
    score,
)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))


def sure(confidence: float, *right: bool) -> list[Scored]:
    return [
        Scored(f"c{n}", "choice", "a", "a" if r else "b", confidence) for n, r in enumerate(right)
    ]


def view(*items: Scored) -> Calibration:
    return Calibration(tuple(items))


@pytest.mark.parametrize(
    ("predicted", "outcome", "choices", "kind"),
    [
        (0.5, 2, None, "number"),
        (0.5, float("nan"), None, None),
        (True, 1, None, None),
        ("a", "b", None, "choice"),
        ("a", "b", ["a", "b"], "choice"),
        ("a", "a 0.9, b 0.8", ["a", "b"], None),
        (["a", "b"], ["b", "a"], ["a", "b"], "ranking"),
        (["a", "b"], ["b", "c"], ["a", "b"], None),
        (["a", "b"], "a", ["a", "b"], None),
        (None, None, None, None),
        ([["a"]], [["a"]], None, None),
    ],
)
def test_what_can_be_compared(predicted, outcome, choices, kind):
    assert kind_of(predicted, outcome, choices) == kind


def test_the_first_outcome_shown_counts_and_what_is_predicted_after_it_does_not():
    reveal("01-a", 3.0)  # looked before predicting: no prediction, nothing to score
    record_prediction("01-a", 1.0)
    record_prediction("01-a", 2.0)
    reveal("01-a", 3.0)
    record_prediction("01-a", 3.0)
    reveal("01-a", 3.0)
    (item,) = calibration().scored
    assert (item.predicted, item.outcome) == (2.0, 3.0)


def test_a_prediction_without_outcome_waits_and_what_cannot_be_compared_is_counted():
    record_prediction("01-a", 1.0)
    record_prediction("01-b", "x", choices=["x", "y"])
    reveal("01-b", "x 0.9, y 0.1")
    found = calibration()
    assert (found.scored, found.skipped) == ((), 1)


def test_events_of_other_kinds_and_earlier_versions_do_no_harm():
    record("outcome", id="01-x", outcome=1)
    record("prediction", id="01-y", value=2)  # no confidence, no choices
    record("outcome", id="01-y", outcome=1)
    record("note", id="01-y")
    assert [item.off for item in calibration().scored] == [100.0]


def test_too_few_predictions_give_a_message_and_no_figure():
    record_prediction("01-a", 1.0)
    reveal("01-a", 3.0)
    assert "so far: 1. From 3 on" in str(calibration())
    assert calibration()._repr_html_().startswith("<p>")


def test_how_far_a_number_was_off():
    assert Scored("n", "number", 50, 40).off == 25
    assert Scored("n", "number", -50, -40).off == -25
    assert Scored("n", "number", 1, 0).off is None


def test_pairs_of_a_ranking_in_order():
    assert Scored("r", "ranking", list("abcd"), list("abcd")).in_order == 1
    assert Scored("r", "ranking", list("dcba"), list("abcd")).in_order == 0
    assert Scored("r", "ranking", list("bacd"), list("abcd")).in_order == 5 / 6
    assert Scored("r", "ranking", ["a"], ["a"]).in_order == 1


def test_table_holds_counts_of_every_kind():
    items = [
        *sure(80, True, True, False),
        Scored("r", "ranking", ["a", "b"], ["b", "a"], 20),
        Scored("01-n", "number", 50.0, 40.0),
        Scored("01-m", "number", 1.0, 2.0),
        Scored("01-zero", "number", 1.0, 0.0),
    ]
    text = str(view(*items))
    for line in (
        r"choices +3 +2 right \(67%\)",
        r"rankings +1 +0 right \(0%\); 0% of the pairs in order",
        r"20 % sure +1 +0 right",
        r"80 % sure +3 +2 right",
        r"numbers +3 +off by 38 % of the result \(median\); 2 too high, 1 too low",
        r"01-n +1 +50, came out 40, \+25 %",
        r"01-zero +1 +1, came out 0\n",
    ):
        assert re.search(line, text), line
    assert "you were 65 % sure and 50 % of these were right (n = 4)" in text


@pytest.mark.parametrize(
    ("items", "verdict"),
    [
        (sure(95, *[False] * 8), "more sure than right"),
        (sure(20, *[True] * 8), "more right than sure"),
        (sure(80, True, True, True, False, False), "the two agree"),
        (sure(95, False), "too few"),  # one miss says next to nothing
    ],
)
def test_the_verdict_waits_until_there_is_enough_to_say(items, verdict):
    assert verdict in view(*items).note()


def test_a_confidence_typed_by_hand_joins_the_nearest_group():
    groups = view(*sure(73, True), *sure(95, True)).groups()
    assert list(groups) == [80, 95]


def test_figure_says_in_words_what_it_shows():
    numbers = [Scored(f"01-{n}", "number", 1.0, float(n)) for n in (1, 2, 3)]
    both = view(*sure(80, True, False), *numbers).figure()
    assert "at 80 %, 1 right (50%)" in both.alt and "3 predicted numbers" in both.alt
    assert len(both.figure.axes) == 2
    assert len(view(*numbers).figure().figure.axes) == 1
    page = view(*sure(80, True, False), *numbers)._repr_html_()
    assert 'alt="Share of right' in page and "<table>" in page and "<img" in page


def test_very_wrong_numbers_are_cut_and_labelled():
    items = [Scored(f"01-{n}", "number", 1000.0, 1.0) for n in range(3)]
    axes = view(*items).figure().figure.axes[0]
    assert max(bar.get_width() for bar in axes.patches) == 200
    assert {note.get_text() for note in axes.texts} == {"+99900 %"}


def test_without_confidence_and_numbers_the_table_stands_alone():
    items = sure(None, True, False, True)
    assert view(*items).figure() is None
    assert view(*items)._repr_html_().startswith("<table>")


def test_interval_of_a_share():
    assert wilson(0, 5)[0] == pytest.approx(0) and wilson(5, 5)[1] == pytest.approx(1)
    low, high = wilson(50, 100)
    assert (low, high) == (pytest.approx(0.404, abs=1e-3), pytest.approx(0.596, abs=1e-3))


def test_nothing_is_scored_from_nothing():
    assert score([]) == ([], 0)


def test_the_view_needs_no_torch():
    source = "import sys, course_lib.progress.calibration; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source]).returncode == 0
