"""Explorers: controls redraw, the static view is stored, and the figures agree with the model."""

import re

import ipywidgets
import pytest
import torch
from matplotlib.figure import Figure
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from course_lib.display import show
from course_lib.model import LanguageModel
from course_lib.widgets import Explorer, minimal_pair_explorer, residual_stream_explorer
from course_lib.widgets.behaviour import minimal_pair_figure
from course_lib.widgets.tour import stream_sizes

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
    return show(Figure(), f"Values of the controls: {sorted(values.items())}")


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
    assert data["text/plain"].startswith("[interactive figure; static view: Values of")


def test_explorer_shows_a_reader_error_and_recovers():
    def draw(text):
        if not text:
            raise ValueError("Type a <sentence>.")
        return drawing(text=text)

    field = ipywidgets.Text(value="dog", description="Text")
    explorer = Explorer(draw, text=field)
    field.value = ""
    assert explorer.view.value == '<p role="alert">Type a &lt;sentence&gt;.</p>'
    field.value = "cat"
    assert "<img" in explorer.view.value


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


def test_stream_sizes_are_those_of_the_hidden_states(lm):
    text = "The keys near"
    ids = torch.tensor([lm.encode(text)])
    hidden = lm(ids, output_hidden_states=True).hidden_states
    sizes = stream_sizes(lm, text, layers=2)
    assert {name: len(v) for name, v in sizes.items()} == {"attention": 2, "mlp": 2, "stream": 3}
    # the last hidden state of GPT-2 is already normalised, so compare the ones before it
    for k in (0, 1):
        assert sizes["stream"][k] == pytest.approx(hidden[k][0, -1].norm().item(), rel=1e-4)


def test_stream_explorer_reads_as_many_words_as_the_slider_says(lm):
    explorer = residual_stream_explorer(lm, GOOD, layers=2)
    explorer.controls["words"].value = 2
    best, probability = lm.next_token("The keys", top=1)[0]
    assert "After 'The keys'" in explorer.figure.alt
    assert f"'{best}' with probability {probability:.2f}" in explorer.figure.alt
    explorer.controls["text"].value = "The key"
    assert explorer.controls["words"].max == 2
