"""The lens explorer: its figure says what the lens says, and its controls say what is not there."""

import pytest
import torch

from course_lib.lens import TunedLens, logit_lens
from course_lib.models.language_model import LanguageModel
from course_lib.plots import lens_map
from course_lib.widgets import lens_explorer
from course_lib.widgets.lens import READ, lens_figure
from tests.families import random_model, word_tokenizer

TEXT = "The two dogs in a cat"
LONG = "The dog sees two dogs in the cat and a dog"


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return LanguageModel(random_model("gpt2"), word_tokenizer(), "tiny")


@pytest.fixture(scope="module")
def tuned() -> TunedLens:
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(3, 16, 16, generator=generator, dtype=torch.float64)
    return TunedLens(weights, weights[:, 0], torch.zeros(0, 3), 0, 0)


@pytest.mark.parametrize("sites", READ.values())
def test_the_tables_hold_the_reading(lm, sites):
    reading = logit_lens(lm, TEXT, sites)
    state, token = reading.sites[1], 3
    every, words, best = lens_figure(lm, TEXT, "sleep, sleeps", sites, state, token).tables
    assert [row[0] for row in every.rows] == list(reversed(reading.sites))
    for row, cells in zip(reversed(every.rows), reading.best(), strict=True):
        assert row[1:] == [f"{word} {p:.2f}" for word, p in cells]
    p, rank = reading.prob("sleeps")[:, token], reading.rank("sleeps")[:, token]
    expected = [f"{a:.4f}, rank {b:g}" for a, b in zip(p.tolist(), rank.tolist(), strict=True)]
    assert [row[2] for row in words.rows] == expected and words.columns[1:] == ["sleep", "sleeps"]
    assert best.rows == [[word, f"{p:.4f}"] for word, p in reading.top(state, token)]
    assert state in best.caption and repr(reading.tokens[token]) in best.caption


def test_the_figure_draws_the_numbers_of_its_tables(lm):
    reading = logit_lens(lm, TEXT)
    figure = lens_figure(lm, TEXT, "sleep", state="resid_post.1", token=2)
    table, curves, ranks, bars = figure.figure.axes
    assert curves.lines[0].get_ydata() == pytest.approx(reading.prob("sleep")[:, 2].numpy())
    assert ranks.lines[0].get_ydata() == pytest.approx(reading.rank("sleep")[:, 2].numpy())
    widths = [bar.get_width() for bar in bars.patches]
    assert widths == pytest.approx([p for _, p in reading.top("resid_post.1", 2)])
    frame = table.patches[0]
    assert (frame.get_x(), frame.get_y()) == (1.5, 1.5)  # column of token 2, row of state 2
    printed = {(t.get_position(), t.get_text()) for t in table.texts}
    word, p = reading.best()[2][2]
    assert ((2, 2), f"{word} {p:.2f}") in printed
    assert "Read from resid_post.1 after 'two' (token 2)" in figure.alt
    assert f"'{reading.top('resid_post.1', 2)[0][0]}' with probability" in figure.alt
    assert reading.caption in figure.caption


@pytest.mark.parametrize(("token", "first"), [(0, 0), (5, 1), (-1, 4)])
def test_a_long_text_is_drawn_around_the_chosen_token_and_tabled_whole(lm, token, first):
    figure = lens_figure(lm, LONG, token=token)
    tokens = lm.tokens(LONG)
    labels = [t.get_text() for t in figure.figure.axes[0].get_xticklabels()]
    assert labels == [f"{k}: {tokens[k]}" for k in range(first, first + 8)]
    assert len(figure.tables[0].columns) == len(tokens) + 1 == 13
    assert f"{token % 12}: {tokens[token]}" in labels


def test_without_words_there_is_no_table_of_them(lm):
    figure = lens_figure(lm, TEXT)
    assert len(figure.tables) == 2 and figure.figure.axes[1].get_legend() is None


def test_a_tuned_lens_translates_first(lm, tuned):
    plain, other = (lens_figure(lm, TEXT, translate=t) for t in (None, tuned))
    assert other.tables[0].rows == [
        [site, *(f"{word} {p:.2f}" for word, p in cells)]
        for site, cells in reversed(
            list(zip(*_sites_and_best(logit_lens(lm, TEXT, translate=tuned)), strict=True))
        )
    ]
    assert other.tables[0].rows != plain.tables[0].rows
    assert other.tables[0].rows[0] == plain.tables[0].rows[0]  # the last state is read as it is
    assert other.caption.startswith("tuned lens")


def _sites_and_best(reading):
    return reading.sites, reading.best()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"words": "cat dog dogs a in the two"}, "7 words"),
        ({"words": "zzz"}, "zzz"),
        ({"state": "mlp_out.1"}, "was not read"),
        ({"token": 9}, "no token 9"),
        ({"sites": "neurons"}, "cannot be read"),
        ({"text": " "}, "no tokens"),
    ],
)
def test_what_is_not_there_is_said(lm, wrong, message):
    with pytest.raises(ValueError, match=message):
        lens_figure(lm, **{"text": TEXT, **wrong})


def test_the_explorer_follows_text_states_and_examples(lm):
    explorer = lens_explorer(lm, [(TEXT, "sleep sleeps"), ("The dog", "")])
    control = explorer.controls
    assert control["token"].value == 6 and control["state"].value == "resid_post.2"
    control["read"].value = "MLP outputs"
    assert control["state"].options == ("mlp_out.0", "mlp_out.1", "mlp_out.2")
    control["state"].value, control["token"].value = "mlp_out.1", 1
    assert "Read from mlp_out.1 after 'The' (token 1)" in explorer.figure.alt
    explorer.box.children[0].value = 1
    assert explorer.values()["text"] == "The dog" and control["token"].value == 2
    assert len(explorer.figure.tables) == 2
    control["words"].value = "zzz"
    assert explorer.figure is None and "zzz" in explorer.view.value
    control["words"].value, control["text"].value = "cat", " "
    assert "no tokens" in explorer.view.value
    control["text"].value = "The cat sees"
    assert control["token"].value == 3 and "'The cat sees'" in explorer.figure.alt
    with pytest.raises(ValueError, match="at least one"):
        lens_explorer(lm, [])


def test_the_explorer_uses_the_tuned_lens_it_is_given_and_says_where_there_is_none(lm, tuned):
    explorer = lens_explorer(lm, [(TEXT, "sleep")], tuned)
    explorer.controls["lens"].value = "tuned lens"
    assert explorer.figure.tables == lens_figure(lm, TEXT, "sleep", translate=tuned).tables
    explorer.controls["read"].value = "attention outputs"
    assert explorer.figure is None and "no translation" in explorer.view.value
    explorer.controls["lens"].value = "logit lens"
    assert "attn_out.2" in explorer.figure.alt


def test_without_a_tuned_lens_one_is_fitted_once(lm, tuned, monkeypatch):
    fitted = []

    def fit(model, texts, steps):
        fitted.append(len(texts))
        return tuned

    monkeypatch.setattr("course_lib.widgets.lens.tune_lens", fit)
    explorer = lens_explorer(lm, [(TEXT, "sleep")])
    assert fitted == []
    explorer.controls["lens"].value = "tuned lens"
    explorer.controls["token"].value = 2
    assert fitted == [200] and explorer.figure.caption.startswith("tuned lens")


def test_every_state_stores_a_static_view(lm):
    data, _ = lens_explorer(lm, [(TEXT, "sleep")])._repr_mimebundle_()
    assert "<img alt=" in data["text/html"] and data["text/html"].count("<table>") == 3
    assert "Likeliest next word" in data["text/plain"]


def test_long_words_and_dollar_signs_are_drawn_as_they_are():
    figure = lens_map(
        [[("$x_{ extraordinarily", 0.5)]], ["resid_pre.0"], ["$"], chosen=(0, 0),
        top=[("$x_{ extraordinarily", 0.5)], words={}, alt="One cell with an awkward word.",
    )  # fmt: skip
    assert figure.png() and "$x_{ extraordinarily 0.50" in repr(figure)
    assert figure.figure.axes[0].texts[0].get_text() == "$x_{ extra… 0.50"
