"""Readers who see little, see other colours, or listen: contrast, colour blindness, alt text.

Limits are those of WCAG 2.2: 4.5:1 for text (1.4.3), 3:1 for parts of figures (1.4.11), nothing
said by colour alone (1.4.1).
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib.colors
import nbformat
import notebook_lint
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from course_lib import plots
from course_lib.circuits import build_graph, eap
from course_lib.display import AltFigure, show
from course_lib.patching import sweep_heads
from course_lib.probing import annotate, features, read_states, scalar_mix, targets
from course_lib.probing import sweep as probe_sweep
from course_lib.sae import feature_card, index_features, load_sae
from course_lib.tasks import greater_than
from course_lib.widgets.attribution import attribution_figure
from course_lib.widgets.behaviour import minimal_pair_figure
from course_lib.widgets.circuits import circuit_figure, patching_figure
from course_lib.widgets.lens import lens_figure
from course_lib.widgets.probing import probing_figure, probing_study
from course_lib.widgets.sae import feature_figure, steering_figure
from course_lib.widgets.tour import residual_stream_figure

ROOT = Path(__file__).resolve().parent.parent
TEXT, GRAPHIC = 4.5, 3.0  # contrast with the white page
APART = 15  # distance in CIELAB; 2 is just noticeable side by side
SMALLEST = 8  # points
# Machado, Oliveira and Fernandes (2009), A Physiologically-based Model for Simulation of Color
# Vision Deficiency, IEEE TVCG 15(6): the matrices for severity 1.0, which act on linear RGB.
VISION = {
    "full colour": np.eye(3),
    "no red cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no green cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no blue cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(  # sRGB, IEC 61966-2-1
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)


def linear(colour) -> np.ndarray:
    """Any matplotlib colour as linear RGB."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(colour, with_colour="white") -> float:
    """WCAG's contrast ratio, from 1 to 21."""
    dark, light = sorted(TO_XYZ[1] @ linear(c) for c in (colour, with_colour))
    return (light + 0.05) / (dark + 0.05)


def cielab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB to CIELAB under daylight, where distances are about as large as they look."""
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def confusions(colours) -> list[str]:
    """The pairs that somebody cannot tell apart."""
    found = []
    for (name, matrix), (a, b) in itertools.product(
        VISION.items(), itertools.combinations(colours, 2)
    ):
        seen = [cielab(np.array(matrix) @ linear(colour)) for colour in (a, b)]
        if (distance := np.linalg.norm(seen[0] - seen[1])) < APART:
            found.append(f"{a} and {b} with {name}: {distance:.0f}")
    return found


def test_the_yardsticks_are_right():
    assert contrast("black") == pytest.approx(21) and contrast("white") == 1
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)  # WCAG's own example of grey
    assert cielab(linear("white")) == pytest.approx([100, 0, 0], abs=0.05)
    assert cielab(linear("red")) == pytest.approx([53.2, 80.1, 67.2], abs=0.1)
    for matrix in VISION.values():  # who sees no red still sees grey as grey
        assert np.array(matrix) @ [0.5, 0.5, 0.5] == pytest.approx([0.5] * 3, abs=1e-5)


@pytest.mark.parametrize("colour", plots.COLOURS)
def test_every_colour_of_a_series_stands_out_from_the_page(colour):
    assert contrast(colour) >= GRAPHIC


def test_every_colour_in_html_can_be_read():
    pages = [path.read_text() for path in sorted((ROOT / "course_lib").rglob("*.py"))]
    colours = [c for p in pages if "color:" in p for c in re.findall(r"#[0-9a-fA-F]{6}\b", p)]
    assert len(colours) >= 3, "nothing was found: look at the doctor's table"
    assert {c: contrast(c) for c in colours if contrast(c) < TEXT} == {}


def test_the_palette_can_be_told_apart_by_everybody():
    assert confusions(plots.COLOURS) == []


@pytest.mark.parametrize(
    ("pair", "who"),
    [
        (("#D55E00", "#8A6D00"), "no red cones"),
        (("#CC0000", "#668800"), "no green cones"),
        (("#009E73", "#2C9FC0"), "no blue cones"),
    ],
)
def test_the_simulation_finds_colours_that_are_confused(pair, who):
    assert any(who in message for message in confusions(pair))
    assert not any("full colour" in message for message in confusions(pair))


def test_series_have_a_marker_and_a_hatch_of_their_own():
    for signs in (plots.MARKERS, plots.HATCHES):
        assert len(set(signs)) == len(signs) >= len(plots.COLOURS)


# --- figures ---------------------------------------------------------------------------------


def audit(shown: AltFigure) -> Iterator[str]:
    """What in a figure is hard to see, or said by colour alone."""
    figure = shown.figure
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            if text.get_fontsize() < SMALLEST:
                yield f"{text.get_text()!r} has {text.get_fontsize()} points"
            if contrast(text.get_color()) < TEXT:
                yield f"{text.get_text()!r} is too faint"
    for axes in figure.axes:
        lines = [line for line in axes.lines if not line.get_label().startswith("_")]
        styles = {}
        for line in lines:
            style = (line.get_marker(), line.get_linestyle())
            styles.setdefault(style, set()).add(matplotlib.colors.to_hex(line.get_color()))
        for bar in axes.patches:
            colour = matplotlib.colors.to_hex(bar.get_facecolor())
            styles.setdefault(f"hatch {bar.get_hatch()}", set()).add(colour)
        for style, colours in styles.items():
            if len(colours) > 1:
                yield f"{style} in {sorted(colours)}: only colour tells these series apart"
            for colour in colours:
                if contrast(colour) < GRAPHIC:
                    yield f"{style} in {colour} is too faint"
        if axes.images and not shown.tables:
            yield "a heat map without a table of its numbers"


def figures(lm) -> dict[str, AltFigure]:
    """One figure of every kind, with as many series as there are colours where it takes any."""
    names = [f"series {k}" for k in range(len(plots.COLOURS))]
    alt = "Several series that are only there to be looked at."
    row, common = {"npi": (0.6, 0.5, 0.7)}, {"alt": alt, "n": 9, "seed": 1}
    text = "The keys near the cabinet are old."
    graph = build_graph(lm, "block")
    scores = torch.arange(graph.allowed.numel()).view(graph.allowed.shape) - 50.0
    task = greater_than(lm, 2)
    sae = load_sae()
    index = index_features(lm, sae, [text])
    card = feature_card(index, index.search("keys", 1)[0][0])
    sweep, edges = sweep_heads(lm, task), eap(lm, task)
    return {
        "token_bars": plots.token_bars({n: (["The", "dog"], [1.0, 2.0]) for n in names}, alt=alt),
        "token_heat": plots.token_heat({n: (["a", "b"], [1.0, -2.0]) for n in names}, alt=alt),
        "ranked_bars": plots.ranked_bars(["a", "b"], [0.6, 0.4], alt=alt),
        "estimates": plots.estimates(dict.fromkeys(names, row), **common),
        "histogram": plots.histogram([-1.0, 2.0, 3.0], **common),
        "truth_scatter": plots.truth_scatter([0.1, 0.9], [0.2, 0.8], labels={0: "a"}, **common),
        "region_lines": plots.region_lines(["1"], dict.fromkeys(names, [(1, 0.5, 1.5)]), **common),
        "curves": plots.curves([1], dict.fromkeys(names, [(1, 0.5, 1.5)]), **common),
        "circuit_drawing": plots.circuit_drawing(graph, graph.allowed, scores),
        "heat_map": plots.heat_map([[1.0, -0.5]], ["layer 0"], ["The", "dog"], **common),
        "minimal_pair_figure": minimal_pair_figure(lm, text, text.replace("are", "is")),
        "attribution_figure": attribution_figure(lm, "The keys near the cabinet", "are", "is"),
        "lens_map": plots.lens_map(
            [[("a", 0.6)], [("b", 0.9)]],
            ["resid_pre.0", "resid_post.0"],
            ["The"],
            chosen=(1, 0),
            top=[("b", 0.9)],
            words={n: [(0.1, 3.0), (0.9, 1.0)] for n in names},
            alt=alt,
        ),
        "lens_figure": lens_figure(lm, "The keys near the cabinet", "are is"),
        "feature_card_figure": plots.feature_card_figure(card, n=9),
        "plane_directions": plots.plane_directions([("off .5", [(1, 0), (0, 1)])], **common),
        "feature_figure": feature_figure(index, card.feature, "keys"),
        "steering_figure": steering_figure(lm, sae, index, text, card.feature, 5.0, 2),
        "residual_stream_figure": residual_stream_figure(lm, text),
        **probing_figures(lm),
        "patching_figure": patching_figure(task, sweep, 2, 2),
        "circuit_figure": circuit_figure(lm, task, edges, 40),
    }


def probing_figures(lm) -> dict[str, AltFigure]:
    corpus = annotate(lm, 25)
    states, data = read_states(lm, corpus), targets(corpus, "number", 200)
    study = probing_study(lm, corpus, states)
    return {
        "probe_lines": plots.probe_lines(probe_sweep(states, data, untrained=states, code=False)),
        "mix_map": plots.mix_map([scalar_mix(features(states, data), data, draws=2)]),
        "probe_panels": probing_figure(study, "pos", 2),
    }


def test_figures_are_legible_and_never_speak_by_colour_alone(lm):
    drawn = figures(lm)
    assert {
        name: list(audit(figure)) for name, figure in drawn.items() if list(audit(figure))
    } == {}
    functions = {name for name in plots.__all__ if name[0].islower()} - {"show"}
    assert functions <= set(drawn), "a plot function is not looked at here"


def two_lines(**second) -> Figure:
    axes = Figure().subplots()
    axes.plot([1, 2], color="#0072B2", label="a")
    axes.plot([2, 1], **{"color": "#D55E00", "linestyle": "--", "label": "b", **second})
    return axes.figure


def bars(colours, hatches) -> Figure:
    axes = Figure().subplots()
    axes.bar([0, 1], [1, 2], color=colours, hatch=hatches)
    return axes.figure


def heat_map() -> Figure:
    axes = Figure().subplots()
    axes.imshow([[0, 1]])
    return axes.figure


def small_text() -> Figure:
    figure = two_lines()
    figure.suptitle("tiny", fontsize=6)
    return figure


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (two_lines(), ""),
        (two_lines(linestyle="-"), "only colour tells"),
        (two_lines(color="#E69F00"), "too faint"),
        (bars(["#0072B2", "#D55E00"], ["", "//"]), ""),
        (bars(["#0072B2", "#D55E00"], ["", ""]), "only colour tells"),
        (heat_map(), "without a table"),
        (small_text(), "6.0 points"),
    ],
)
def test_the_audit_itself(figure, message):
    problems = list(audit(show(figure, "A figure for the audit")))
    assert any(message in p for p in problems) if message else problems == []


# --- notebooks -------------------------------------------------------------------------------

FOLDERS = ("notebooks", "lectures", "solutions", "exercises")
ALL_NOTEBOOKS = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.ipynb"))]


@pytest.mark.parametrize("path", ALL_NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_notebook_has_alt_texts_headings_in_order_and_more_than_colour(path):
    notebook = nbformat.read(path, as_version=4)
    rules = (
        notebook_lint.check_alt_text,
        notebook_lint.check_headings,
        notebook_lint.check_colours,
    )
    assert [message for rule in rules for message in rule(notebook, path.name)] == []


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name
)
def test_pages_have_alt_texts_and_headings_in_order(path):
    page = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    cell = nbformat.v4.new_markdown_cell(page)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    rules = (notebook_lint.check_alt_text, notebook_lint.check_headings)
    assert [message for rule in rules for message in rule(notebook, path.name)] == []
