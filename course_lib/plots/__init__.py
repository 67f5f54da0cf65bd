"""Figures for lessons: every function returns an `AltFigure`, a picture with its alt text.

House rules, held by the functions of this package: the palette is safe for colour-blind readers,
and colour never stands alone (each series also has its own marker or hatch); intervals are drawn
wherever an estimate is; the metric, n and the seed are printed inside the figure.
Nothing here computes a result, so a figure can always be checked against the numbers passed in.

- `common`: the palette, and figures of tokens, scores and estimates;
- `sweeps`: heat maps and curves.
"""

from matplotlib.figure import Figure

from course_lib.display import AltFigure, Table, show
from course_lib.plots.common import (
    COLOURS,
    HATCHES,
    MARKERS,
    estimates,
    histogram,
    ranked_bars,
    region_lines,
    token_bars,
    token_heat,
    truth_scatter,
)
from course_lib.plots.sweeps import curves, heat_map

__all__ = [
    "COLOURS", "HATCHES", "MARKERS", "AltFigure", "Figure", "Table", "curves", "estimates",
    "heat_map", "histogram", "ranked_bars", "region_lines", "show", "token_bars",
    "token_heat", "truth_scatter",
]  # fmt: skip
