"""Figures of sweeps: one number for every place, and curves over a size, a layer or a dose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from course_lib.display import AltFigure, show
from course_lib.plots.common import COLOURS, MARKERS, footnote, new_axes, shade, span
from course_lib.tables import Table


def heat_map(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    title: str = "",
    metric: str = "effect",
    decimals: int = 2,
    texts: Sequence[Sequence[str]] | None = None,
) -> AltFigure:
    """A number for each row and column, in its cell: blue for positive, orange for negative ones.

    Parameters
    ----------
    values : R rows of C numbers; cells are as dark as the number is large beside the largest one.
    rows, columns : names; the first row stands on top.
    metric : what the numbers measure, with its unit.
    texts : R rows of C texts to print in place of the numbers, for example words; the table then
        has both.
    """
    printed = [[f"{value:.{decimals}f}" for value in row] for row in values]
    cells = texts or printed
    letters = max(len(text) for row in [columns, *cells] for text in row)
    wide = min(max(0.45, 0.09 * letters + 0.12), 0.95)
    figure = Figure(figsize=(1.2 + wide * len(columns), 0.9 + 0.3 * len(rows)))
    axes = figure.subplots()
    largest = max((abs(value) for row in values for value in row), default=1.0)
    axes.imshow([[shade(value, largest) for value in row] for row in values], aspect="auto")
    for y, row in enumerate(cells):
        for x, text in enumerate(row):
            axes.text(x, y, text, ha="center", va="center", fontsize=8, parse_math=False)
    slanted = {"rotation": 35, "ha": "right"} if letters > 5 else {}
    axes.set_xticks(range(len(columns)), columns, fontsize=8, parse_math=False, **slanted)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"{title}\n{metric}" if title else metric, loc="left", fontsize=10)
    axes.set_xlabel(f"n = {n}, seed = {seed}", loc="right", fontsize=8)
    both = [
        [name, *(f"{t} {p}" if texts else p for t, p in zip(line, numbers, strict=True))]
        for name, line, numbers in zip(rows, cells, printed, strict=True)
    ]
    return show(figure, alt, tables=[Table(["", *columns], both, caption=metric)])


def curves(
    x: Sequence[float],
    series: Mapping[str, Sequence[tuple[float, float, float]]],
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    lines: Mapping[str, float] | None = None,
    log: bool = False,
) -> AltFigure:
    """Curves with a marker each and a vertical bar for each interval.

    Parameters
    ----------
    series : name -> one (estimate, low, high) for each of `x`; an estimate without an interval is
        a triple of equal numbers.
    lines : name -> height of a dashed line to compare with, such as chance or the whole model.
    log : whether the horizontal axis is logarithmic.
    """
    figure, axes = new_axes(6, 2.8, title)
    for k, (name, triples) in enumerate(series.items()):
        colour = COLOURS[k]
        means = [mean for mean, _, _ in triples]
        axes.plot(x, means, MARKERS[k] + "-", color=colour, label=name, markersize=4, linewidth=1)
        for place, (_, low, high) in zip(x, triples, strict=True):
            axes.plot([place, place], [low, high], color=colour, linewidth=1)
    styles = ("--", ":", "-.")
    for style, (name, height) in zip(styles, (lines or {}).items(), strict=False):
        axes.axhline(height, color="black", linestyle=style, linewidth=0.8, label=name)
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(axis="y", linewidth=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    footnote(axes, n, seed)
    rows = [
        [f"{place:g}", *map(span, cells)] for place, *cells in zip(x, *series.values(), strict=True)
    ]
    table = Table([x_label or "x", *series], rows, caption=y_label)
    return show(figure, alt, tables=[table])
