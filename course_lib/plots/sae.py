"""Figures of features: the card of one, and the directions of a toy model in the plane."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from course_lib.display import AltFigure, show
from course_lib.plots.common import COLOURS, HATCHES
from course_lib.sae.cards import Example, FeatureCard
from course_lib.tables import Table

WIDTH = 92  # letters in a line of an example


def feature_card_figure(card: FeatureCard, *, n: int, title: str = "") -> AltFigure:
    """A feature's card: where it is strong, the words it promotes and suppresses, examples.

    Parameters
    ----------
    card : from `course_lib.sae.feature_card`.
    n : tokens that were searched, printed in the figure.
    """
    examples = [*card.top, *card.spread]
    placed, height = _lay_out(examples)
    figure = Figure(figsize=(9, 2.7 + 0.24 * height))
    grid = figure.add_gridspec(2, 2, height_ratios=[2.1, max(0.24 * height, 0.3)],
                               width_ratios=[1, 1.3], hspace=0.42, wspace=0.35)  # fmt: skip
    _histogram(figure.add_subplot(grid[0, 0]), card, n)
    _effects(figure.add_subplot(grid[0, 1]), card)
    _examples(figure.add_subplot(grid[1, :]), placed, height)
    figure.suptitle(title or f"feature {card.feature}", x=0.12, ha="left", fontsize=10)
    on_at = ", ".join(f"{word} ({share:.0%})" for word, share in card.words[:3])
    raised = ", ".join(word for word, _ in card.promoted[:3])
    alt = (
        f"Card of feature {card.feature}: on at {card.density:.2%} of {n} tokens, most of all at "
        f"{on_at}. A histogram of its strength up to {card.maximum:.1f}, the words it promotes "
        f"({raised} first) and suppresses, and {len(examples)} texts with its strength in them."
    )
    return show(figure, alt, tables=_tables(card, examples))


def _tables(card: FeatureCard, examples: Sequence[Example]) -> list[Table]:
    words = [
        [up, f"{high:+.1f}", down, f"{low:+.1f}"]
        for (up, high), (down, low) in zip(card.promoted, card.suppressed, strict=True)
    ]
    texts = [
        [f"{example.strength:.1f}", " ".join(
            f"{token} ({strength:.1f})" if strength > 0 else token
            for token, strength in zip(example.tokens, example.strengths, strict=True)
        )]
        for example in examples
    ]  # fmt: skip
    return [
        Table(["promoted", "by", "suppressed", "by"], words, caption="Change of the logit, in "
              "standard deviations over the vocabulary"),
        Table(["strength", "text, with the strength where the feature is on"], texts,
              caption="Examples"),
    ]  # fmt: skip


def _histogram(axes, card: FeatureCard, n: int) -> None:
    step = card.maximum / len(card.histogram)
    places = [(k + 0.5) * step for k in range(len(card.histogram))]
    axes.bar(places, card.histogram, width=0.9 * step, color=COLOURS[0])
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"strength where it is on (n = {n} tokens)", fontsize=8)
    axes.set_ylabel("tokens", fontsize=8)
    axes.tick_params(labelsize=8)


def _effects(axes, card: FeatureCard) -> None:
    rows = [*card.promoted[:6], *card.suppressed[:4][::-1]]
    for y, (_, score) in enumerate(rows):
        sign = int(score < 0)
        axes.barh(y, score, color=COLOURS[sign], hatch=HATCHES[sign], edgecolor="white")
    axes.set_yticks(range(len(rows)), [word for word, _ in rows], fontsize=8, parse_math=False)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("change of the logit, standard deviations", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)


def _lay_out(examples: Sequence[Example]) -> tuple[list, float]:
    """Words of the examples: (left, top, letters, text, share of the largest strength)."""
    placed, y = [], 0.0
    for example in examples:
        largest = max(example.strengths) or 1.0
        x = 0.0
        for token, strength in zip(example.tokens, example.strengths, strict=True):
            text = f"{token} {strength:.0f}" if strength > 0 else token
            if x + len(text) > WIDTH:
                x, y = 3.0, y + 1.0
            placed.append((x, y, len(text) + 0.8, text, strength / largest))
            x += len(text) + 1.2
        y += 1.35
    return placed, y


def _examples(axes, placed: list, height: float) -> None:
    boxes, colours = [], []
    for x, y, wide, text, share in placed:
        if share > 0:
            boxes.append(Rectangle((x - 0.4, y - 0.45), wide, 0.9))
            colours.append([1 - 0.6 * share * (1 - c) for c in to_rgb(COLOURS[0])])
        axes.text(x, y, text, va="center", fontsize=8, family="monospace", parse_math=False,
                  weight="bold" if share == 1 else "normal")  # fmt: skip
    outlines = PatchCollection(boxes, facecolors=colours, edgecolors="#777777", linewidths=0.5)
    axes.add_collection(outlines)
    axes.set(xlim=(-1, WIDTH + 14), ylim=(height - 0.5, -0.8))
    axes.set_axis_off()


def plane_directions(
    panels: Sequence[tuple[str, Sequence[tuple[float, float]]]], *, alt: str, n: int | str,
    seed: int | str, title: str = "",
) -> AltFigure:  # fmt: skip
    """Directions in the plane as arrows from the origin, one panel for each condition.

    Parameters
    ----------
    panels : (name of the condition, one (x, y) for each feature).
    n, seed : printed in the figure; n is the number of features.
    """
    figure = Figure(figsize=(1.9 * len(panels), 2.3))
    for place, (name, vectors) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), place)
        for k, (x, y) in enumerate(vectors):
            axes.plot([0, x], [0, y], color=COLOURS[0], linewidth=1.2)
            axes.plot(x, y, "o", color=COLOURS[0], markersize=3)
            if x * x + y * y > 0.1:
                axes.annotate(str(k), (1.22 * x, 1.22 * y), ha="center", va="center", fontsize=8)
        axes.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name, fontsize=9)
    figure.suptitle(title, fontsize=10, x=0.02, ha="left")
    figure.text(0.99, 0.01, f"n = {n} features, seed = {seed}", ha="right", fontsize=8)
    rows = [
        [f"{k}", *(f"({x:+.2f}, {y:+.2f})" for x, y in column)]
        for k, column in enumerate(zip(*(vectors for _, vectors in panels), strict=True))
    ]
    return show(figure, alt, tables=[Table(["feature", *(name for name, _ in panels)], rows)])
