"""Drawing a circuit: the residual stream runs upwards, its readers and writers stand beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from course_lib.display import AltFigure, show
from course_lib.plots.common import COLOURS
from course_lib.tables import Table

if TYPE_CHECKING:
    from torch import Tensor

SIGNS = ((1, "supports the answer", "-", COLOURS[0]), (-1, "works against it", "--", COLOURS[1]))
THIN, THICK = 0.6, 4.5  # points, of an edge with score 0 and of the strongest edge
WIDE, HIGH = 0.43, 0.38  # half the box of a node
LAYER = 2.5  # height of a layer: its heads, and above them its MLP
INLETS = {"q": -0.27, "k": 0.0, "v": 0.27}


def circuit_drawing(
    graph: Any, mask: Tensor, scores: Any, *, alt: str = "", title: str = "", most: int = 60
) -> AltFigure:
    """The kept edges of a circuit, from the embedding at the bottom to the logits on top.

    Each layer has a row for its heads and above it a row for its MLP. Every edge runs upwards.
    Solid blue edges support the answer, dashed orange ones work against it; the thicker, the
    larger the score. A head is read at three places: q, k and v. Where heads share keys and values,
    these have the number of the shared head, and stand at the head with this number.

    Parameters
    ----------
    graph : Graph of `course_lib.circuits`.
    mask : bool [W, R], the circuit.
    scores : EdgeScores, or a tensor [W, R], in the unit of the metric; positive = supports.
    alt : written from the numbers if it is empty.
    most : at most so many edges are drawn, the strongest ones; the caption says how many are not.
        The table has all of them.

    Raises
    ------
    ValueError
        If the mask or the scores have another shape than the graph, or no edge is kept.
    """
    values = getattr(scores, "scores", scores)
    unit = getattr(scores, "unit", "score")
    for name, x in (("mask", mask), ("scores", values)):
        if x.shape != graph.allowed.shape:
            raise ValueError(
                f"The {name} has the shape {list(x.shape)}, this graph needs "
                f"{list(graph.allowed.shape)}. Were they made for another graph?"
            )
    kept = sorted(
        ((*names, float(values[graph.edge(*names)])) for names in graph.edges(mask)),
        key=lambda edge: -abs(edge[2]),
    )
    if not kept:
        raise ValueError("No edge is kept, so there is nothing to draw. Keep more edges.")
    drawn = kept[: max(most, 1)]
    figure = _draw(graph, drawn, title)
    left_out = len(kept) - len(drawn)
    caption = f"{len(kept)} of {graph.n_edges} edges"
    caption += f"; the {len(drawn)} strongest are drawn." if left_out else "; all are drawn."
    rows = [[u, v, f"{score:+.4f}"] for u, v, score in kept]
    table = Table(["from", "to", unit], rows, caption=f"Kept edges, strongest first, {unit}")
    return show(figure, alt or _alt(graph, kept, drawn, unit), caption, [table])


def _alt(graph: Any, kept: list, drawn: list, unit: str) -> str:
    """What the drawing shows, in words and numbers."""
    nodes = {_node(name) for u, v, _ in kept for name in (u, v)}
    against = sum(score < 0 for *_, score in kept)
    strongest = ", ".join(f"{u} to {v} ({score:+.3f})" for u, v, score in kept[:3])
    return (
        f"A circuit of {len(kept)} of {graph.n_edges} edges between {len(nodes)} parts of the "
        f"model, of which the {len(drawn)} strongest are drawn. {len(kept) - against} edges "
        f"support the answer, {against} do not. The strongest, in {unit}: {strongest}."
    )


def _node(name: str) -> str:
    """The node of a reader or writer: "a3.h5.q" -> "a3.h5"."""
    return ".".join(name.split(".")[:2])


def _places(graph: Any) -> tuple[dict[str, tuple[float, float]], int, int]:
    """Where each node stands, and how many layers and heads there are."""
    layers = 1 + max(writer.layer for writer in graph.writers)
    heads = 1 + max(writer.head or 0 for writer in graph.writers)
    middle = (heads - 1) / 2
    places = {"embed": (middle, 0.0), "logits": (middle, LAYER * layers + 1.2)}
    for writer in graph.writers[1:]:
        is_mlp = writer.name.startswith("m")
        x = heads + 0.2 if is_mlp else float(writer.head or 0)
        places[writer.name] = (x, LAYER * writer.layer + 1.2 + 1.2 * is_mlp)
    return places, layers, heads


def _draw(graph: Any, drawn: list[tuple[str, str, float]], title: str) -> Figure:
    places, layers, heads = _places(graph)
    figure = Figure(figsize=(max(1.6 + 0.62 * (heads + 2), 4.6), 1.8 + 0.86 * layers))
    axes = figure.subplots()
    largest = max(abs(score) for *_, score in drawn) or 1.0
    middle = places["embed"][0]
    axes.plot([middle, middle], [0, places["logits"][1]], color="#DDDDDD", linewidth=9, zorder=0)
    for writer, reader, score in reversed(drawn):  # the strongest last, on top
        _, _, style, colour = SIGNS[score < 0]
        start, end = places[writer], places[_node(reader)]
        inlet = INLETS.get(reader.rsplit(".h", 1)[-1][-1], 0.0) if reader.count(".") == 2 else 0.0
        x, y = _curve((start[0], start[1] + HIGH), (end[0] + inlet, end[1] - HIGH), middle)
        width = THIN + (THICK - THIN) * abs(score) / largest
        axes.plot(x, y, style, color=colour, linewidth=width, zorder=1, solid_capstyle="butt")
    shown = dict.fromkeys(_node(name) for edge in drawn for name in edge[:2])
    read = {name for _, name, _ in drawn}
    boxes = []
    for name in shown:
        x, y = places[name]
        boxes.append(Rectangle((x - WIDE, y - HIGH), 2 * WIDE, 2 * HIGH))
        inlets = [letter for letter in INLETS if f"{name}.{letter}" in read]
        axes.text(x, y + 0.15 * bool(inlets), name, ha="center", va="center", fontsize=8, zorder=3)
        for letter in inlets:
            place = (x + INLETS[letter], y - HIGH + 0.01)
            axes.text(*place, letter, ha="center", va="bottom", fontsize=8, zorder=3)
    look = {"facecolors": "white", "edgecolors": "#555555", "linewidths": 0.8, "zorder": 2}
    axes.add_collection(PatchCollection(boxes, **look))
    keys = [
        Line2D([], [], color=c, linestyle=style, linewidth=2, label=name)
        for _, name, style, c in SIGNS
    ]
    axes.legend(handles=keys, frameon=False, fontsize=8, ncols=2, loc="upper left",
                bbox_to_anchor=(-0.02, 0.0))  # fmt: skip
    axes.set_yticks([LAYER * layer + 1.8 for layer in range(layers)], range(layers), fontsize=8)
    axes.set_ylabel("layer", fontsize=9)
    axes.set(xlim=(-0.7, heads + 0.8), ylim=(-0.45, places["logits"][1] + 0.45), xticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    most = max(drawn, key=lambda edge: abs(edge[2]))
    size = f"{len(drawn)} edges drawn; the thickest has a score of {most[2]:+.3f}"
    axes.set_title(f"{title}\n{size}" if title else size, loc="left", fontsize=10,
                   parse_math=False)  # fmt: skip
    return figure


def _curve(start: tuple, end: tuple, middle: float) -> tuple[np.ndarray, np.ndarray]:
    """A curve upwards that leaves and arrives steeply; long ones bow away from the stream."""
    t = np.linspace(0, 1, 40)
    rise = end[1] - start[1]
    away = 0.12 * max(rise - 2.0, 0.0) * (1 if (start[0] + end[0]) / 2 >= middle else -1)
    x = start[0] + (end[0] - start[0]) * (3 * t**2 - 2 * t**3) + away * np.sin(np.pi * t)
    return x, start[1] + rise * t
