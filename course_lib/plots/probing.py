"""Figures of probes: accuracy over layers, what a removal costs, where the classes lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from course_lib.display import AltFigure, show
from course_lib.plots.common import COLOURS, MARKERS, shade, span
from course_lib.plots.sweeps import curves, heat_map
from course_lib.tables import Table

MOST_POINTS = 60  # of a class, in a scatter


def probe_lines(sweep: Any, *, alt: str = "", title: str = "") -> AltFigure:
    """Accuracy of a probe at every layer beside its control task and an untrained model.

    Parameters
    ----------
    sweep : Sweep of `course_lib.probing`. The majority class is a dashed line, the word baseline a
        dotted one. The control task and the word baseline are split by place, the rest by group.
    alt, title : written from the numbers if they are empty.
    """
    series = {
        "probe, new words": [a.triple for a in sweep.accuracies],
        "control task": [layer.control.control.triple for layer in sweep.layers],
    }
    if all(layer.untrained is not None for layer in sweep.layers):
        series["untrained model"] = [layer.untrained.triple for layer in sweep.layers]
    best = sweep.best
    written = (
        f"Accuracy of a {sweep.kind} probe for {sweep.concept} at layers 0 to "
        f"{len(sweep.layers) - 1}: best {sweep.accuracies[best].value:.2f} at layer {best}, "
        f"{sweep.accuracies[0].value:.2f} at layer 0; majority class {sweep.majority.value:.2f}."
    )
    return curves(
        range(len(sweep.layers)),
        series,
        alt=alt or written,
        n=sweep.majority.n,
        seed=sweep.seed,
        title=title or f"{sweep.concept}: {sweep.kind} probe",
        x_label="layer (0: what the first block reads)",
        y_label="accuracy",
        lines={"majority class": sweep.majority.value, "word alone": sweep.word.value},
    )


def mix_map(
    mixes: Sequence[Any], *, seed: int | str = 0, alt: str = "", title: str = ""
) -> AltFigure:
    """Layer weights of scalar mixes, a row for each concept, lowest centre of gravity on top.

    Parameters
    ----------
    mixes : Mix of `course_lib.probing`.
    """
    ordered = sorted(mixes, key=lambda mix: mix.centre.value)
    names = [f"{mix.concept} ({mix.centre.value:.2f})" for mix in ordered]
    layers = [str(layer) for layer in range(len(ordered[0].weights))]
    written = "Layer weights of a scalar mix. Centres of gravity: " + ", ".join(
        f"{mix.concept} {mix.centre.value:.2f} [{mix.centre.low:.2f}, {mix.centre.high:.2f}]"
        for mix in ordered
    )
    drawn = heat_map(
        [mix.weights.tolist() for mix in ordered],
        names,
        layers,
        alt=alt or written + ".",
        n=" / ".join(str(mix.centre.n) for mix in ordered),
        seed=seed,
        title=title or "From which layer a probe takes it",
        metric="weight of the layer (centre of gravity in brackets)",
    )
    centres = Table(
        ["concept", "centre of gravity", "accuracy of the mix"],
        [[mix.concept, span(mix.centre.triple), repr(mix.accuracy)]
         for mix in ordered],
        caption="Centre of gravity in layers, 95 % bootstrap interval",
    )  # fmt: skip
    return show(drawn.figure, drawn.alt, drawn.caption, [*drawn.tables, centres])


def probe_panels(
    confusion: np.ndarray,
    classes: Sequence[str],
    points: np.ndarray,
    labels: np.ndarray,
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    title: str = "",
    tables: Mapping[str, Table] | None = None,
) -> AltFigure:
    """Which classes a probe confuses, and where the states of the classes lie.

    Parameters
    ----------
    confusion : counts [true, predicted].
    points : float [M, 2], states in two directions; labels : int [M]. At most 60 points of each of
        the six most frequent classes are drawn: there are no more markers than that.
    """
    size = len(classes)
    figure = Figure(figsize=(max(6.4, 0.42 * size + 4.4), max(3.0, 0.3 * size + 1.2)))
    left, right = figure.subplots(1, 2, width_ratios=[max(0.42 * size, 1.9), 3.6])
    shares = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    left.imshow([[shade(v, 1.0) for v in row] for row in shares], aspect="auto")
    for y, row in enumerate(confusion):
        for x, count in enumerate(row):
            if count:
                left.text(x, y, str(count), ha="center", va="center", fontsize=8)
    slanted = {"rotation": 40, "ha": "right"} if size > 3 else {}
    left.set_xticks(range(size), classes, fontsize=8, **slanted)
    left.set_yticks(range(size), classes, fontsize=8)
    left.set(xlabel="predicted", ylabel="true")
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    counts = np.bincount(labels, minlength=size)
    for k, c in enumerate(np.argsort(-counts, kind="stable")[: len(COLOURS)]):
        mine = points[labels == c][:MOST_POINTS]
        right.plot(mine[:, 0], mine[:, 1], MARKERS[k], color=COLOURS[k], markersize=3.5,
                   alpha=0.7, linestyle="", label=classes[c])  # fmt: skip
    right.set(xlabel="direction 1", ylabel="direction 2", xticks=[], yticks=[])
    right.spines[["top", "right"]].set_visible(False)
    right.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    left.set_title(f"{title}\nn = {n}, seed = {seed}" if title else f"n = {n}, seed = {seed}",
                   loc="left", fontsize=10)  # fmt: skip
    figure.tight_layout()
    counted = Table(
        ["true \\ predicted", *classes],
        [[name, *map(int, row)] for name, row in zip(classes, confusion, strict=True)],
        caption="Places by true and predicted class",
    )
    return show(figure, alt, tables=[counted, *(tables or {}).values()])
