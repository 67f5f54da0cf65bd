"""A lens on one text: the table of likeliest words, chosen words by layer, and one cell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.display import AltFigure, show
from course_lib.plots.common import COLOURS, MARKERS, shade
from course_lib.tables import Table

Cell = tuple[str, float]  # a word and its probability
COLUMNS = 8  # tokens beside each other; more would be too small to read
LETTERS = 11  # of a word in a cell


def lens_map(
    cells: Sequence[Sequence[Cell]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    chosen: tuple[int, int],
    top: Sequence[Cell],
    words: Mapping[str, Sequence[tuple[float, float]]],
    alt: str,
    title: str = "",
) -> AltFigure:
    """The likeliest next word in every state, and below it one token and one cell more closely.

    Parameters
    ----------
    cells : S rows of T pairs, the likeliest next word and its probability.
    rows, columns : names of the S states in the order of the model, and of the T tokens. The last
        state stands on top, as in a drawing of the model. Eight tokens are drawn, the chosen one
        among them; the table has all.
    chosen : (row, column) of the cell that is outlined.
    top : the likeliest words of that cell with their probabilities, at most ten.
    words : at most six words -> (probability, rank) in each of the S states at the chosen token.
    """
    row, column = chosen
    first = max(0, min(column - COLUMNS // 2, len(columns) - COLUMNS))
    shown = range(first, min(first + COLUMNS, len(columns)))
    figure = Figure(figsize=(9, 3.4 + 0.3 * len(rows)))
    grid = figure.add_gridspec(2, 3, height_ratios=[0.3 * len(rows), 2.2], wspace=0.5, hspace=0.5)
    table = figure.add_subplot(grid[0, :])
    _draw_table(table, cells, rows, columns, shown, chosen)
    table.set_title(f"{title}\ncolour and number: its probability", loc="left", fontsize=10)
    for place, label in enumerate(("probability", "rank (log scale)")):
        axes = figure.add_subplot(grid[1, place])
        _draw_curves(axes, {word: [v[place] for v in values] for word, values in words.items()})
        axes.axvline(row, color="black", linestyle=":", linewidth=0.8)
        axes.set_xticks(range(len(rows)), [_short(name) for name in rows], fontsize=8)
        axes.set_ylabel(label, fontsize=9)
        _as_ranks(axes) if place else _as_probabilities(axes, columns[column], bool(words))
    _draw_bars(figure.add_subplot(grid[1, 2]), top, rows[row])
    return show(figure, alt, tables=_tables(cells, rows, columns, chosen, top, words))


def _draw_curves(axes, curves: Mapping[str, Sequence[float]]) -> None:
    for k, (word, heights) in enumerate(curves.items()):
        axes.plot(heights, MARKERS[k] + "-", color=COLOURS[k], label=word, markersize=4, lw=1)
    axes.set_xlabel("state", fontsize=9)
    axes.tick_params(axis="y", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _as_probabilities(axes, token: str, legend: bool) -> None:
    axes.set_ylim(-0.03, 1.05)
    axes.set_title(f"after {token!r}", loc="left", fontsize=9, parse_math=False)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def _as_ranks(axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.invert_yaxis()  # rank 1 on top


def _draw_bars(axes, top: Sequence[Cell], state: str) -> None:
    axes.barh(range(len(top)), [p for _, p in top], color=COLOURS[0])
    axes.set_yticks(range(len(top)), [_cut(word) for word, _ in top], fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.05)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("probability", fontsize=9)
    axes.set_title(f"chosen cell, {state}", loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_table(axes, cells, rows, columns, shown, chosen) -> None:
    kept = [[cells[y][x] for x in shown] for y in range(len(rows))]
    axes.imshow([[shade(p, 1.0) for _, p in line] for line in kept], aspect="auto", origin="lower")
    for y, line in enumerate(kept):
        for x, (word, p) in enumerate(line):
            text = f"{_cut(word)} {p:.2f}"
            axes.text(x, y, text, ha="center", va="center", fontsize=8, parse_math=False)
    corner = (chosen[1] - shown.start - 0.5, chosen[0] - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.6))
    names = [f"{k}: {_cut(columns[k])}" for k in shown]
    axes.set_xticks(range(len(shown)), names, fontsize=8, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _tables(cells, rows, columns, chosen, top, words) -> list[Table]:
    row, column = chosen
    backwards = list(zip(rows, cells, strict=True))[::-1]
    every = [[name, *(f"{word} {p:.2f}" for word, p in line)] for name, line in backwards]
    heads = [f"{k}: {token}" for k, token in enumerate(columns)]
    found = [Table(["state", *heads], every, caption="Likeliest next word and its probability")]
    if words:
        values = [
            [name, *(f"{pairs[k][0]:.4f}, rank {pairs[k][1]:g}" for pairs in words.values())]
            for k, name in enumerate(rows)
        ]
        caption = f"Probability and rank after {columns[column]!r}"
        found.append(Table(["state", *words], values, caption=caption))
    caption = f"Likeliest next words after {columns[column]!r}, read from {rows[row]}"
    best = [[word, f"{p:.4f}"] for word, p in top]
    return [*found, Table(["next word", "probability"], best, caption=caption)]


def _cut(word: str) -> str:
    word = word.strip() or repr(word)
    return word if len(word) <= LETTERS else word[: LETTERS - 1] + "…"


def _short(site: str) -> str:
    """`resid_post.3` -> `3`, and `in` for the embeddings: what fits below a small axis."""
    return "in" if site in ("resid_pre.0", "embed") else site.split(".")[-1]
