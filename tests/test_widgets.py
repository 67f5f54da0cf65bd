"""Explorers: controls redraw, the static view is stored, and the figures agree with the model."""

import re

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from course_lib.activations import replace
from course_lib.attribution import METHODS, attribute
from course_lib.display import Table, show
from course_lib.models.loading import LanguageModel
from course_lib.widgets import (
    Explorer,
    attribution_explorer,
    minimal_pair_explorer,
    residual_stream_explorer,
)
from course_lib.widgets.attribution import BASELINES, attribution_figure
from course_lib.widgets.behaviour import minimal_pair_figure
from course_lib.widgets.tour import read_stream, residual_stream_figure
from tests.closeness import close

WORDS = [
    "[PAD]",
    "[UNK]",
    "[BOS]",
    "The",
    "keys",
    "key",
    "near",
    "cabinet",
    "are",
    "is",
    "old",
    ".",
]
GOOD, BAD = "The keys near The cabinet are old .", "The keys near The cabinet is old ."


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    """A real two-layer GPT-2 with random weights: probabilities far from uniform."""
    backend = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", bos_token="[BOS]"
    )
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS), n_positions=32, n_embd=16, n_layer=2, n_head=2, initializer_range=0.5
    )
    return LanguageModel(GPT2LMHeadModel(config), tokenizer, "tiny")


def drawing(**values) -> object:
    table = Table(["control", "value"], sorted(values.items()), caption="All controls")
    return show(Figure(), f"Values of the controls: {sorted(values.items())}", tables=[table])


def test_explorer_redraws_when_a_control_changes():
    slider = ipywidgets.IntSlider(value=1, min=0, max=5, description="K")
    explorer = Explorer(drawing, k=slider)
    before = explorer.view.value
    slider.value = 4
    assert "(&#x27;k&#x27;, 4)" in explorer.view.value and explorer.view.value != before
    assert explorer.box.children == (slider, explorer.view)


def test_explorer_stores_a_static_view_beside_the_live_one():
    explorer = Explorer(drawing, k=ipywidgets.IntSlider(value=2, description="K"))
    data, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert '<img alt="Values of the controls' in data["text/html"]
    assert "data:image/png;base64," in data["text/html"]
    assert data["text/plain"].startswith("[interactive figure] Figure: Values of the controls")


def test_the_static_view_has_the_numbers_as_a_table_in_every_renderer():
    explorer = Explorer(drawing, k=ipywidgets.IntSlider(value=2, description="K"))
    data, _ = explorer._repr_mimebundle_()
    assert "<details open>" in data["text/html"]  # nothing to click on paper
    assert '<th scope="row">k</th><td>2</td>' in data["text/html"]
    assert data["text/plain"].splitlines()[-1].split() == ["k", "2"]
    assert "<details>" in explorer.view.value  # folded below the live figure


def test_controls_stand_above_the_figure():
    first, second = (ipywidgets.IntSlider(description=name) for name in "ab")
    explorer = Explorer(drawing, above=(first,), b=second)
    assert explorer.box.children == (first, second, explorer.view)


def test_explorer_shows_a_reader_error_and_recovers():
    def draw(text):
        if not text:
            raise ValueError("Type a <sentence>.")
        return drawing(text=text)

    field = ipywidgets.Text(value="dog", description="Text")
    explorer = Explorer(draw, text=field)
    field.value = ""
    assert '<p role="alert">' in explorer.view.value
    assert "Type a &lt;sentence&gt;." in explorer.view.value
    data, _ = explorer._repr_mimebundle_()  # nothing of the figure before it is left
    assert explorer.figure is None and "dog" not in data["text/plain"] + data["text/html"]
    field.value = "cat"
    assert "<img" in explorer.view.value


def test_a_defect_is_shown_to_the_reader_and_raised_to_the_author():
    def draw(k):
        return drawing(k=1 / k)

    slider = ipywidgets.IntSlider(value=1, description="K")
    explorer = Explorer(draw, k=slider)
    slider.value = 0
    assert "ZeroDivisionError" in explorer.view.value and "role" in explorer.view.value
    with pytest.raises(ZeroDivisionError):
        Explorer(draw, k=ipywidgets.IntSlider(value=0, description="K"))


def test_several_controls_can_change_with_one_redraw():
    drawn = []

    def draw(a, b):
        drawn.append((a, b))
        return drawing(a=a, b=b)

    a, b = (ipywidgets.IntSlider(description=name) for name in "ab")
    explorer = Explorer(draw, a=a, b=b)
    with explorer.hold():
        a.value, b.value = 3, 4
    assert drawn == [(0, 0), (3, 4)]


def test_explorer_refuses_a_control_without_a_label():
    with pytest.raises(ValueError, match="description"):
        Explorer(drawing, k=ipywidgets.IntSlider())


def scores_in(alt: str) -> list[float]:
    return [float(x) for x in re.findall(r"-?\+?\d+\.\d+", alt)]


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_minimal_pair_figure_shows_the_scores_of_the_model(lm, reduction):
    good, bad, margin = scores_in(minimal_pair_figure(lm, GOOD, BAD, reduction).alt)
    assert good == pytest.approx(lm.logprob(GOOD, reduction), abs=0.006)
    assert bad == pytest.approx(lm.logprob(BAD, reduction), abs=0.006)
    assert margin == pytest.approx(good - bad, abs=0.011)


def test_swapped_pair_negates_the_margin_and_identical_pair_has_none(lm):
    margin = scores_in(minimal_pair_figure(lm, GOOD, BAD).alt)[2]
    assert scores_in(minimal_pair_figure(lm, BAD, GOOD).alt)[2] == pytest.approx(-margin)
    with pytest.raises(ValueError, match="reduction"):
        minimal_pair_figure(lm, GOOD, BAD, "median")
    same = minimal_pair_figure(lm, GOOD, GOOD)
    assert "does not prefer" in same.alt and scores_in(same.alt)[2] == 0


def test_surprisal_bars_carry_the_tokens_and_sum_to_the_score(lm):
    figure = minimal_pair_figure(lm, GOOD, BAD)
    top = figure.figure.axes[0]
    assert [t.get_text() for t in top.get_xticklabels()] == lm.tokens(GOOD)[1:]
    heights = sum(bar.get_height() for bar in top.patches)
    assert -heights == pytest.approx(lm.logprob(GOOD), abs=1e-3)


def test_pair_table_holds_the_surprisals_of_both_sentences_and_their_totals(lm):
    figure = minimal_pair_figure(lm, GOOD, "The key is old .")
    (table,) = figure.tables
    *rows, total = table.rows
    assert [row[1] for row in rows] == lm.tokens(GOOD)[1:] and rows[-1][3:] == ["", ""]
    assert float(rows[1][2]) == pytest.approx(-lm.token_logprobs([GOOD])[0][1].item(), abs=0.006)
    assert float(total[4]) == pytest.approx(-lm.logprob("The key is old ."), abs=0.006)


def test_dollar_signs_in_a_sentence_are_not_read_as_mathematics(lm):
    assert minimal_pair_figure(lm, "The $ key $x_{ .", BAD).png()
    assert residual_stream_figure(lm, "The $ key $x_{ .").png()


def test_unknown_words_are_named_below_the_figure(lm):
    assert "zeitgeist" in minimal_pair_figure(lm, "The zeitgeist .", BAD).caption
    assert minimal_pair_figure(lm, GOOD, BAD).caption == ""


def test_pair_explorer_fills_fields_from_examples_of_either_form(lm):
    record = {"sentence_good": "The key is old .", "sentence_bad": "The key are old ."}
    explorer = minimal_pair_explorer(lm, [record, record])
    assert explorer.values()["good"] == "The key is old ."
    explorer = minimal_pair_explorer(lm, [(GOOD, BAD), ("The key is .", "The key are .")])
    explorer.box.children[0].value = 1
    assert explorer.values() == {"good": "The key is .", "bad": "The key are .", "reduction": "sum"}
    assert "The key is ." in explorer.view.value
    with pytest.raises(ValueError, match="at least one"):
        minimal_pair_explorer(lm, [])


def test_stream_lengths_are_those_of_the_hidden_states(lm):
    ids = torch.tensor([lm.encode("The keys near")])
    hidden = lm(ids, output_hidden_states=True).hidden_states
    for token in (-1, 1):
        sizes, _ = read_stream(lm, "The keys near", token)
        assert {k: len(v) for k, v in sizes.items()} == {"attention": 2, "mlp": 2, "stream": 3}
        # the last hidden state of GPT-2 is already normalised, so compare the ones before it
        for k in (0, 1):
            length = hidden[k][0, token].norm().item()
            assert sizes["stream"][k] == pytest.approx(length, rel=1e-4)


def test_the_last_state_of_the_stream_predicts_what_the_model_predicts(lm):
    _, probs = read_stream(lm, "The keys near")
    close(probs[-1], lm.next_token_probs("The keys near")[0])
    assert not torch.allclose(probs[0], probs[-1], atol=1e-2)
    # in a causal model a token does not see what follows it
    _, longer = read_stream(lm, "The keys near The cabinet", token=3)
    close(longer, probs)


def test_an_earlier_state_predicts_as_if_the_other_layers_added_nothing(lm):
    _, probs = read_stream(lm, "The keys near")
    silent = {f"{site}.1": torch.zeros_like for site in ("attn_out", "mlp_out")}
    with replace(lm, silent):
        close(lm.next_token_probs("The keys near")[0], probs[1])


def test_stream_figure_shows_the_numbers_it_was_asked_for(lm):
    figure = residual_stream_figure(lm, "The keys near", token=2, read=1)
    sizes, probs = read_stream(lm, "The keys near", token=2)
    bars = figure.figure.axes[1].patches
    assert [bar.get_width() for bar in bars] == pytest.approx(probs[1].topk(8).values.tolist())
    by_token, by_layer = figure.tables
    assert by_token.rows[0][0] == lm.token_string(probs[1].argmax())
    assert [float(row[3]) for row in by_layer.rows] == pytest.approx(sizes["stream"], abs=0.06)
    assert by_layer.rows[-1][4] == lm.next_token("The keys", top=1)[0][0]
    assert "'keys' (token 2)" in figure.alt and "after 1 of 2 layers" in figure.alt


@pytest.mark.parametrize("wrong", [{"token": 9}, {"token": -5}, {"read": 3}, {"read": -1}])
def test_stream_figure_refuses_what_is_not_there(lm, wrong):
    with pytest.raises(ValueError, match="token|layers"):
        residual_stream_figure(lm, "The keys near", **wrong)


def test_stream_explorer_offers_the_tokens_of_the_text(lm):
    explorer = residual_stream_explorer(lm, GOOD)
    text, token, read = (explorer.controls[name] for name in ("text", "token", "read"))
    assert [label for label, _ in token.options][:3] == ["0: [BOS]", "1: The", "2: keys"]
    assert token.value == len(lm.tokens(GOOD)) - 1 and read.value == read.max == 2
    token.value, read.value = 2, 1
    assert (
        "'keys' (token 2)" in explorer.figure.alt and "after 1 of 2 layers" in explorer.figure.alt
    )
    text.value = "The key"
    assert token.value == len(token.options) - 1 == 2 and "'key'" in explorer.figure.alt
    text.value = " "
    assert "at least one word" in explorer.view.value
    text.value = "The zeitgeist"
    assert "zeitgeist" in explorer.figure.caption and "[UNK]" in explorer.figure.alt


ASKED = ("The keys near The cabinet", "are", "is")


@pytest.mark.parametrize("method", METHODS)
def test_the_attribution_figure_shows_the_scores_of_the_method(lm, method):
    result = attribute(lm, *ASKED, method=method)
    figure = attribution_figure(lm, *ASKED, method=method)
    assert figure.tables[0].rows == [
        [token, f"{score:+.3f}"]
        for token, score in zip(result.tokens, result.scores.tolist(), strict=True)
    ]
    assert result.caption in figure.caption


def test_the_baseline_of_the_attribution_figure_is_used_and_an_unknown_one_is_named(lm):
    unknown, left_out = (
        attribution_figure(lm, *ASKED, baseline=name) for name in list(BASELINES)[:2]
    )
    assert unknown.tables != left_out.tables and "deleted" in left_out.caption
    with pytest.raises(ValueError, match="unknown word, left out, drawn by the model"):
        attribution_figure(lm, *ASKED, baseline="zero")
    with pytest.raises(ValueError, match="Choose one of erasure"):
        attribution_figure(lm, *ASKED, method="guess")


def test_the_attribution_explorer_asks_without_a_foil_and_shows_mistakes(lm):
    explorer = attribution_explorer(lm, [ASKED, ("The key near", "cabinet", "")])
    assert "why are rather than is?" in explorer.figure.alt
    explorer.controls["foil"].value = ""
    assert "why are?" in explorer.figure.alt
    explorer.controls["target"].value = "of two"
    assert explorer.figure is None and "one token" in explorer.view.value
    explorer.box.children[0].value = 1
    assert "why cabinet?" in explorer.figure.alt and explorer.values()["text"] == "The key near"
    with pytest.raises(ValueError, match="at least one"):
        attribution_explorer(lm, [])
