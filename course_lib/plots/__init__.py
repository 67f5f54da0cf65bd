"""Figures for lessons: every function returns an `AltFigure`, a picture with its alt text.

House rules, held by the functions of this package: the palette is safe for colour-blind readers,
and colour never stands alone (each series also has its own marker or hatch); intervals are drawn
wherever an estimate is; the metric, n and the seed are printed inside the figure.
Nothing here computes a result, so a figure can always be checked against the numbers passed in.

- `common`: the palette, and figures of tokens, scores and estimates;
- `sweeps`: heat maps and curves;
- `circuits`: a circuit in its model;
- `lens`: what the states inside a model say about the next word;
- `sae`: the card of a feature, directions of a toy model.
"""

from matplotlib.figure import Figure

from course_lib.display import AltFigure, show
from course_lib.plots.circuits import circuit_drawing
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
from course_lib.plots.lens import lens_map
from course_lib.plots.probing import mix_map, probe_lines, probe_panels
from course_lib.plots.sae import feature_card_figure, plane_directions
from course_lib.plots.sweeps import curves, heat_map
from course_lib.tables import Table

__all__ = [
    "COLOURS", "HATCHES", "MARKERS", "AltFigure", "Figure", "Table", "circuit_drawing", "curves",
    "estimates", "feature_card_figure", "heat_map", "histogram", "lens_map", "mix_map",
    "plane_directions", "probe_lines", "probe_panels", "ranked_bars", "region_lines", "show",
    "token_bars", "token_heat", "truth_scatter",
]  # fmt: skip
