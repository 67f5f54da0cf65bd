"""The feature browser and the steering explorer say what the library computes."""

from __future__ import annotations

import itertools

import pytest

from course_lib.activations import replace
from course_lib.sae import clamp, feature_card, generated_documents, index_features, load_sae
from course_lib.widgets import feature_browser, steering_explorer
from course_lib.widgets.sae import feature_figure, steering_figure


@pytest.fixture(scope="module")
def sae():
    return load_sae()


@pytest.fixture(scope="module")
def index(lm, sae):
    return index_features(lm, sae, list(itertools.islice(generated_documents("widgets"), 40)))


def test_a_word_opens_its_best_feature(index):
    browser = feature_browser(index, index.search("the", 1)[0][0])
    browser.controls["search"].value = "Verdict"
    best = index.search("Verdict", 1)[0][0]
    assert browser.controls["feature"].value == best
    assert f"Card of feature {best}:" in browser.figure.alt
    assert f"On at 'Verdict': {best} (F1" in browser.figure.caption
    browser.controls["search"].value = "zebrafish"
    assert browser.figure is None and "does not occur" in browser.view.value


def test_the_card_has_its_numbers_as_tables(index):
    feature = index.search(".", 1)[0][0]
    card = feature_card(index, feature, examples=4)
    words, examples = feature_figure(index, feature).tables
    assert len(words.rows) == 8 and len(examples.rows) >= 4
    for example in card.top:
        shown = f"{example.tokens[example.place]} ("
        assert any(shown in text for _, text in examples.rows)


def test_steering_shows_the_clamped_model(lm, sae, index):
    feature = index.search("Verdict", 1)[0][0]
    text = "The dog"
    drawn = steering_figure(lm, sae, index, text, feature, 3.0, tokens=3)
    with replace(lm, {sae.site: clamp(sae, feature, 3 * float(index.maxima[feature]))}):
        word, chance = lm.next_token(text, 1)[0]
    assert drawn.tables[0].rows[0][0] == word
    assert drawn.tables[0].rows[0][2] == f"{chance:.3f}"
    explorer = steering_explorer(lm, sae, index, text, feature, 3.0)
    explorer.controls["text"].value = ""
    assert explorer.figure is None
