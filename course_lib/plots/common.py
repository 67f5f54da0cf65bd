"""The palette, and the figures that several units use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.display import AltFigure, show
from course_lib.tables import Table

#: The four colours of Okabe and Ito that reach a contrast of 3:1 on white, and two of Tol's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#882255", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "///", "...", "xx", "\\\\", "++")
SHADE = 0.65  # of the colour in the darkest cell; black digits stay readable on it


def shade(value: float, largest: float) -> list[float]:
    """The colour of a number: from white to blue above zero, to orange below it."""
    depth = SHADE * min(abs(value) / (largest or 1.0), 1.0)
    return [1 - depth * (1 - channel) for channel in to_rgb(COLOURS[0 if value >= 0 else 1])]


def span(triple: tuple[float, float, float]) -> str:
    """An estimate with its interval, as tables print it."""
    estimate, low, high = triple
    return f"{estimate:.3f} [{low:.3f}, {high:.3f}]"


def new_axes(width: float, height: float, title: str):
    figure = Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def footnote(axes, n: int | str, seed: int | str) -> None:
    """Print the sample size and the seed in the lower right corner, outside the data."""
    axes.annotate(
        f"n = {n}, seed = {seed}",
        (1, 0),
        xytext=(0, -38),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=8,
    )


def token_bars(
    series: Mapping[str, tuple[Sequence[str], Sequence[float]]],
    *,
    alt: str,
    title: str = "",
    metric: str = "surprisal (nats)",
) -> AltFigure:
    """One panel of bars per sentence: a value for each token, the tokens on the axis.

    Parameters
    ----------
    series : panel name -> (tokens, values), both of length T; panels share the vertical scale.
    metric : what the bars measure, with its unit.
    """
    figure = Figure(figsize=(7, 1.9 * len(series)))
    panels = figure.subplots(len(series), 1, sharey=True, squeeze=False)[:, 0]
    for k, (axes, (name, (tokens, values))) in enumerate(zip(panels, series.items(), strict=True)):
        axes.bar(range(len(values)), values, color=COLOURS[k], hatch=HATCHES[k], edgecolor="white")
        axes.set_xticks(range(len(values)), tokens, rotation=30, ha="right", parse_math=False)
        axes.set_title(name, loc="left", fontsize=9)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(y=0.2)
        for x, value in enumerate(values):
            axes.annotate(f"{value:.1f}", (x, value), ha="center", va="bottom", fontsize=8)
    figure.supylabel(metric, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return show(figure, alt)


def token_heat(
    series: Mapping[str, tuple[Sequence[str], Sequence[float]]],
    *,
    alt: str,
    title: str = "",
    metric: str = "score",
    width: int = 76,
) -> AltFigure:
    """Texts with a score under each token: blue boxes for positive, orange for negative ones.

    Parameters
    ----------
    series : name -> (tokens, scores), both of length T. Boxes are as dark as the score is large
        beside the largest one of the same text; texts may have different units.
    metric : what the scores measure, with its unit.
    width : letters in a line, after which a text is broken.
    """
    boxes, colours, words, y = [], [], [], 0.0
    for name, (tokens, scores) in series.items():
        words.append((0.0, y + 0.35, name, {"weight": "bold"}))
        largest = max(map(abs, scores)) or 1.0
        x, y = 0.0, y + 0.7
        for token, score in zip(tokens, scores, strict=True):
            number = f"{score:+.2f}"
            wide = 1.15 * max(len(token.strip()), len(number)) + 1
            if x + wide > width:
                x, y = 0.0, y + 1.15
            boxes.append(Rectangle((x, y), wide - 0.25, 1.0))
            colours.append(shade(score, largest))
            middle = {"ha": "center"}
            words.append((x + wide / 2 - 0.125, y + 0.3, token.strip() or repr(token), middle))
            words.append((x + wide / 2 - 0.125, y + 0.74, number, {**middle, "fontsize": 8}))
            x += wide
        y += 1.45
    figure = Figure(figsize=(0.1 * width, 0.32 * y + 0.35))
    axes = figure.subplots()
    outlines = PatchCollection(boxes, facecolors=colours, edgecolors="#777777", linewidths=0.6)
    axes.add_collection(outlines)
    for x, height, text, style in words:
        axes.text(x, height, text, va="center", parse_math=False, **{"fontsize": 9, **style})
    axes.set(xlim=(-0.2, width + 0.2), ylim=(y - 0.3, 0))
    axes.set_axis_off()
    axes.set_title(f"{title}\n{metric}" if title else metric, loc="left", fontsize=10)
    tables = [
        Table(["token", metric], [[t, f"{s:+.3f}"] for t, s in zip(*pair, strict=True)], caption=n)
        for n, pair in series.items()
    ]
    return show(figure, alt, tables=tables)


def ranked_bars(
    labels: Sequence[str],
    values: Sequence[float],
    *,
    alt: str,
    title: str = "",
    metric: str = "probability",
) -> AltFigure:
    """Horizontal bars, the first label on top: next-token distributions, sizes of contributions."""
    figure, axes = new_axes(5, 0.25 * len(labels) + 0.8, title)
    axes.barh(range(len(values)), values, color=COLOURS[0])
    axes.set_yticks(range(len(values)), labels)
    axes.invert_yaxis()
    axes.set_xlabel(metric)
    return show(figure, alt)


def estimates(
    series: Mapping[str, Mapping[str, tuple[float, float, float]]],
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    title: str = "",
    metric: str = "accuracy",
    chance: float | None = 0.5,
) -> AltFigure:
    """Dot plot of estimates with intervals: one row per condition, one marker shape per series.

    Parameters
    ----------
    series : series name (a model) -> {condition: (estimate, low, high)}.
    n, seed : items behind each dot and seed of the bootstrap, printed in the figure.
    chance : value marked by a dashed line; None for no line.
    """
    rows = list(dict.fromkeys(row for values in series.values() for row in values))
    step = 0.8 / max(len(series), 1)
    figure, axes = new_axes(6.5, 0.14 * len(rows) * max(len(series), 2) + 1.1, title)
    for k, (name, values) in enumerate(series.items()):
        for label, (estimate, low, high) in values.items():
            y = rows.index(label) + (k - (len(series) - 1) / 2) * step
            axes.plot([low, high], [y, y], color=COLOURS[k], linewidth=1.2)
            axes.plot(estimate, y, MARKERS[k], color=COLOURS[k], markersize=4.5)
        axes.plot([], [], MARKERS[k] + "-", color=COLOURS[k], label=name)
    if chance is not None:
        axes.axvline(
            chance, color="black", linestyle="--", linewidth=0.8, label=f"chance {chance:g}"
        )
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for border in range(1, len(rows)):
        axes.axhline(border - 0.5, color="grey", linewidth=0.3)
    axes.set_xlabel(f"{metric} (bars: 95 % bootstrap interval)")
    axes.grid(axis="x", linewidth=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    footnote(axes, n, seed)
    return show(figure, alt)


def histogram(
    values: Sequence[float],
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    title: str = "",
    metric: str = "margin (nats)",
    bins: int = 30,
) -> AltFigure:
    """Histogram with a line at 0: left of it the model prefers the wrong member of the pair."""
    figure, axes = new_axes(5.5, 2.4, title)
    axes.hist(list(values), bins=bins, color=COLOURS[0], edgecolor="white")
    axes.axvline(0, color="black", linestyle="--", linewidth=0.8)
    axes.set_xlabel(metric)
    axes.set_ylabel("number of pairs")
    footnote(axes, n, seed)
    return show(figure, alt)


def truth_scatter(
    truth: Sequence[float],
    measured: Sequence[float],
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    labels: Mapping[int, str] | None = None,
    title: str = "",
    x_label: str = "truth",
    y_label: str = "measured",
) -> AltFigure:
    """Scatter of measured values against the generator's truth, with the line of perfect agreement.

    Parameters
    ----------
    labels : index -> name written beside that point; all points are drawn, few need a name.
    """
    figure, axes = new_axes(4.4, 4, title)
    low = min(min(truth), min(measured), 0.0)
    high = max(max(truth), max(measured), 1.0)
    axes.plot(
        [low, high], [low, high], "--", color="black", linewidth=0.8, label="measured = truth"
    )
    axes.plot(truth, measured, "o", color=COLOURS[0], markersize=4, alpha=0.8)
    for index, name in (labels or {}).items():
        axes.annotate(
            name,
            (truth[index], measured[index]),
            xytext=(4, -3),
            textcoords="offset points",
            fontsize=8,
        )
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    footnote(axes, n, seed)
    return show(figure, alt)


def region_lines(
    regions: Sequence[str],
    series: Mapping[str, Sequence[tuple[float, float, float]]],
    *,
    alt: str,
    n: int | str,
    seed: int | str,
    title: str = "",
    metric: str = "mean surprisal (nats)",
) -> AltFigure:
    """Surprisal region by region, one line (own marker) per condition, with intervals.

    Parameters
    ----------
    series : condition -> one (mean, low, high) per region.
    """
    figure, axes = new_axes(6, 2.8, title)
    for k, (name, triples) in enumerate(series.items()):
        xs = [x + 0.06 * (k - (len(series) - 1) / 2) for x in range(len(regions))]
        means = [t[0] for t in triples]
        axes.plot(
            xs, means, MARKERS[k] + "-", color=COLOURS[k], label=name, markersize=4, linewidth=1
        )
        for x, (_, low, high) in zip(xs, triples, strict=True):
            axes.plot([x, x], [low, high], color=COLOURS[k], linewidth=1)
    axes.set_xticks(range(len(regions)), regions)
    axes.set_ylabel(metric)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    footnote(axes, n, seed)
    return show(figure, alt)
