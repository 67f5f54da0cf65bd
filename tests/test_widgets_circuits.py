"""Explorers of patching and circuits: figures agree with the library, controls with figures."""

import pytest
import torch
from matplotlib.colors import to_hex

from course_lib import patching
from course_lib.circuits import build_graph, eap, faithfulness, prune, random_circuit
from course_lib.models.language_model import LanguageModel
from course_lib.plots import COLOURS, circuit_drawing
from course_lib.tasks import make_task
from course_lib.widgets import circuit_explorer, patching_explorer
from course_lib.widgets.circuits import PLACES, circuit_figure, patching_figure, patching_sweep
from tests.families import random_model, word_tokenizer


@pytest.fixture(scope="module")
def lm():
    return LanguageModel(random_model("gpt2"), word_tokenizer(), "tiny")


@pytest.fixture(scope="module")
def task(lm):
    clean = ["The two dogs sleep in a", "The a cat sleeps to two"]
    corrupted = [text.replace("dogs", "dog").replace("cat", "cats") for text in clean]
    return make_task(lm, "number", clean, corrupted, lambda x: x[:, 9] - x[:, 12])


@pytest.fixture(scope="module")
def scores(lm, task):
    return eap(lm, task)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("direction", patching.DIRECTIONS)
def test_the_heat_map_shows_the_sweep_and_the_prompts_of_a_cell(lm, task, place, direction):
    result = patching_sweep(lm, task, direction, place)
    site = PLACES[place]
    by_hand = patching.patch(lm, task, f"{site}.1" if site else "z.1.3", 3 if site else None,
                             direction=direction)  # fmt: skip
    figure = patching_figure(task, result, 1, 3)
    prompts, numbers = figure.tables
    first = task.first_change if site else 0
    assert first == (3 if site else 0)  # the positions before are not drawn
    assert numbers.rows[1][1 + 3 - first] == f"{float(by_hand.mean):.2f}"
    for k, row in enumerate(prompts.rows):
        assert row[:3] == [k + 1, task.clean_texts[k], task.corrupted_texts[k]]
        assert row[-1] == f"{float(by_hand.effects[0, 0, k]):+.3f}"
    low, high = by_hand.interval()[0, 0].tolist()
    assert f"95 % interval {low:+.3f} to {high:+.3f}" in figure.caption
    # one prompt alone: its own numbers, and its texts below
    one = patching_figure(task, result, 1, 3, example=2)
    assert one.tables[1].rows[1][1 + 3 - first] == f"{float(by_hand.effects[0, 0, 1]):.2f}"
    assert all(t in one.caption for t in (task.clean_texts[1], task.corrupted_texts[1]))
    frame = figure.figure.axes[0].patches[0]
    assert frame.get_xy() == (3 - first - 0.5, 0.5)


def test_cells_and_prompts_that_are_not_there_are_refused(lm, task):
    result = patching_sweep(lm, task)
    for where, message in [((9, 0), "layer 9"), ((0, 9), "column 9"), ((0, 0, 3), "prompt 3")]:
        with pytest.raises(ValueError, match=message):
            patching_figure(task, result, *where)
    with pytest.raises(ValueError, match="residual stream, attention, MLP, heads"):
        patching_sweep(lm, task, place="neurons")


def test_the_patching_explorer_goes_to_the_strongest_cell_and_sweeps_once(lm, task, monkeypatch):
    from course_lib.widgets import circuits as module

    swept = []
    plain = module.patching_sweep
    monkeypatch.setattr(module, "patching_sweep", lambda *a: swept.append(a[2:]) or plain(*a))
    explorer = patching_explorer(lm, {"number": task, "again": task})
    assert explorer.figure is not None and swept == [("denoising", "residual stream")]
    explorer.controls["place"].value = "heads"
    best = patching.sweep_heads(lm, task).top(1)[0]
    values = explorer.values()
    assert (str(values["layer"]), str(values["column"])) == best[:2]
    assert explorer.controls["column"].max == 3 and explorer.controls["example"].max == 2
    explorer.controls["example"].value = 1
    assert task.clean_texts[0] in explorer.figure.caption
    explorer.controls["place"].value = "residual stream"
    assert explorer.controls["column"].min == task.first_change and len(swept) == 2
    explorer.controls["task"].value = "again"
    assert len(swept) == 3 and explorer.figure is not None
    assert all(control.description for control in explorer.controls.values())
    data, _ = explorer._repr_mimebundle_()
    assert "<details open>" in data["text/html"] and task.clean_texts[0] in data["text/plain"]
    with pytest.raises(ValueError, match="at least one task"):
        patching_explorer(lm, {})


def test_the_circuit_figure_prints_the_faithfulness_of_what_it_draws(lm, task, scores):
    figure = circuit_figure(lm, task, scores, 40, random=2)
    circuit = prune(scores.graph, scores.top(40))
    runs = faithfulness(lm, task, scores.graph, circuit)
    low, high = runs.interval()[0].tolist()
    assert f"F = {float(runs.share[0]):.3f}, 95 % interval {low:.3f} to" in figure.caption
    size = int(circuit.sum())
    other = random_circuit(scores.graph, size, 0, connected=True)
    share = float(faithfulness(lm, task, scores.graph, other).share[0])
    assert f"Random circuits of {size} connected edges: F = {share:.3f}, " in figure.caption
    drawn = [tuple(row[:2]) for row in figure.tables[0].rows]
    assert sorted(drawn) == sorted(scores.graph.edges(circuit))


def test_the_circuit_explorer_keeps_figures_and_says_when_nothing_is_left(lm, task, scores):
    explorer = circuit_explorer(lm, task, scores)
    edges, first = explorer.controls["edges"], explorer.figure
    edges.value = 30
    assert explorer.figure is not first
    edges.value = 40
    assert explorer.figure is first
    assert edges.max == scores.graph.n_edges
    loose = scores.graph.mask([("a0.h0", "m0")])
    few = type(scores)(**{**vars(scores), "scored": loose})
    with pytest.raises(ValueError, match="circuit is empty. Keep more"):
        circuit_figure(lm, task, few, 1)


def drawn_lines(figure) -> list:
    """The edges in a drawing: lines of one of the two colours."""
    colours = {colour.lower() for colour in COLOURS[:2]}
    return [x for x in figure.figure.axes[0].lines if to_hex(x.get_color()) in colours]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "gpt_neox"])
@pytest.mark.parametrize("granularity", ["block", "head"])
def test_a_drawing_has_a_line_for_each_edge_upwards_with_its_sign_and_weight(kind, granularity):
    graph = build_graph(random_model(kind), granularity)
    mask = random_circuit(graph, 20, 1, connected=True)
    values = torch.randn(mask.shape, generator=torch.Generator().manual_seed(2)).double()
    figure = circuit_drawing(graph, mask, values, title="$ a title")
    lines = drawn_lines(figure)
    ranked = sorted((values[graph.edge(*e)].item() for e in graph.edges(mask)), key=abs)
    assert len(lines) == 20
    widths = [line.get_linewidth() for line in lines]
    assert widths == sorted(widths) and widths[0] < widths[-1]
    for line, value in zip(lines, ranked, strict=True):
        assert (line.get_linestyle() == "-") == (value > 0)
        assert to_hex(line.get_color()) == COLOURS[value < 0].lower()
        assert (line.get_ydata()[1:] > line.get_ydata()[:-1]).all()
    names = {text.get_text() for text in figure.figure.axes[0].texts}
    parts = {".".join(n.split(".")[:2]) for edge in graph.edges(mask) for n in edge}
    assert parts <= names and names - parts <= {"q", "k", "v"}
    assert figure.png()


def test_a_drawing_of_many_edges_shows_the_strongest_and_says_so(lm, scores):
    graph = scores.graph
    figure = circuit_drawing(graph, graph.allowed, scores, most=25)
    assert len(drawn_lines(figure)) == 25
    assert figure.caption == "262 of 262 edges; the 25 strongest are drawn."
    assert len(figure.tables[0].rows) == 262
    u, v, best = scores.ranked(1)[0]
    assert f"{u} to {v} ({best:+.3f})" in figure.alt and "25 strongest" in figure.alt
    assert figure.tables[0].rows[0] == [u, v, f"{best:+.4f}"]
    assert circuit_drawing(graph, graph.allowed, scores, alt="Own alt text.").alt == "Own alt text."
    with pytest.raises(ValueError, match="No edge is kept"):
        circuit_drawing(graph, graph.mask([]), scores)
    with pytest.raises(ValueError, match="made for another graph"):
        circuit_drawing(graph, graph.allowed[1:], scores)
