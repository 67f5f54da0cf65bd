"""Feature browser and steering: what a feature reacts to, and what happens when it is clamped."""

from __future__ import annotations

from functools import cache
from typing import Any

import ipywidgets

from course_lib.activations import replace
from course_lib.display import AltFigure, show
from course_lib.plots import feature_card_figure, ranked_bars
from course_lib.sae import FeatureIndex, SparseAutoencoder, clamp, feature_card
from course_lib.tables import Table
from course_lib.widgets.live import Explorer, collected_warnings

_WIDE = ipywidgets.Layout(width="95%")
_LABEL = {"description_width": "110px"}
FOUND = 6  # features named under a search


def feature_figure(index: FeatureIndex, feature: int, search: str = "") -> AltFigure:
    """The card of a feature; the caption names the features found for a word.

    Parameters
    ----------
    index : from `course_lib.sae.index_features`.
    feature : its number.
    search : a word; "" names none. Features are found that are on at it, and that promote it.

    Raises
    ------
    ValueError
        For a feature that is not there or never on, and for a word that is not in the texts.

    Notes
    -----
    Cost: no forward pass.
    """
    card = feature_card(index, feature, examples=4)
    drawn = feature_card_figure(card, n=len(index.tokens))
    caption = ""
    if word := search.strip():
        at = ", ".join(f"{f} (F1 {score:.2f})" for f, score in index.search(word, FOUND) if score)
        by = ", ".join(f"{f} ({score:+.1f})" for f, score in index.promoting(word, FOUND))
        caption = f"On at '{word}': {at or 'no feature'}. Promote '{word}': {by}."
    return show(drawn.figure, drawn.alt, caption, drawn.tables)


def feature_browser(index: FeatureIndex, feature: int) -> Explorer:
    """Look features up by number or by word, and see their cards.

    Parameters
    ----------
    index : from `course_lib.sae.index_features`.
    feature : the one to start with.
    """
    word = ipywidgets.Text(description="Search a word", continuous_update=False, style=_LABEL)
    number = ipywidgets.BoundedIntText(
        value=feature, min=0, max=index.features - 1, description="Feature", style=_LABEL
    )

    def draw(search: str, feature: int) -> AltFigure:
        return feature_figure(index, feature, search)

    explorer = Explorer(draw, search=word, feature=number)

    def jump(change) -> None:
        """A new word opens its best feature."""
        try:
            best = index.search(change["new"].strip(), 1)
        except ValueError:
            return  # the figure says what is wrong
        number.value = best[0][0]

    word.observe(jump, names="value")
    return explorer


def steering_figure(
    lm: Any, sae: SparseAutoencoder, index: FeatureIndex, text: str, feature: int, multiple: float,
    tokens: int = 8,
) -> AltFigure:  # fmt: skip
    """Next words, and a continuation, with a feature clamped to a multiple of its maximum.

    Parameters
    ----------
    lm, sae : the model and an autoencoder on one of its sites.
    index : gives the maximum of the feature.
    text : to be continued.
    multiple : 0 ablates the feature.
    tokens : of the continuation, the most probable one each time.

    Raises
    ------
    ValueError
        For a feature that is not there or never on, an empty or too long text.

    Notes
    -----
    Cost: 2 (1 + tokens) forward passes.
    """
    maximum = float(feature_card(index, feature, examples=1).maximum)
    edit = {sae.site: clamp(sae, feature, multiple * maximum)}
    with collected_warnings() as notes:
        before, old = lm.next_token(text, 6), lm.generate(text, tokens)[len(text) :]
        with replace(lm, edit):
            after, new = lm.next_token(text, 6), lm.generate(text, tokens)[len(text) :]
    words = dict.fromkeys([word for word, _ in after] + [word for word, _ in before])
    chances = {name: dict(list(rows)) for name, rows in (("plain", before), ("clamped", after))}
    alt = (
        f"The most probable next words after '{text}' with feature {feature} clamped to "
        f"{multiple:g} times its maximum: {after[0][0]} has {after[0][1]:.2f}. Without, it is "
        f"{before[0][0]} with {before[0][1]:.2f}."
    )
    drawn = ranked_bars(
        [word for word, _ in after], [p for _, p in after], alt=alt,
        title=f"feature {feature} at {multiple:g} x {maximum:.1f}", metric="probability, clamped",
    )  # fmt: skip
    rows = [
        [word, *(f"{chances[name][word]:.3f}" if word in chances[name] else "below the first 6"
                 for name in ("plain", "clamped"))]
        for word in words
    ]  # fmt: skip
    table = Table(["next word", "plain", "clamped"], rows, caption="Probability of the next word")
    caption = " ".join([f"Plain:{old} — clamped:{new}", *notes])
    return show(drawn.figure, alt, caption, [table])


def steering_explorer(
    lm: Any, sae: SparseAutoencoder, index: FeatureIndex, text: str, feature: int,
    multiple: float = 1.0,
) -> Explorer:  # fmt: skip
    """Clamp a feature and read what the model says then.

    Parameters
    ----------
    lm, sae, index : as in `steering_figure`.
    text, feature, multiple : what to start with; all three stay editable.
    """
    field = ipywidgets.Text(value=text, description="Text", continuous_update=False,
                            layout=_WIDE, style=_LABEL)  # fmt: skip
    number = ipywidgets.BoundedIntText(
        value=feature, min=0, max=index.features - 1, description="Feature", style=_LABEL
    )
    dose = ipywidgets.BoundedFloatText(
        value=multiple, min=0, max=20, step=0.5, description="Times maximum", style=_LABEL
    )

    @cache
    def draw(text: str, feature: int, multiple: float) -> AltFigure:
        return steering_figure(lm, sae, index, text, feature, multiple)

    return Explorer(draw, text=field, feature=number, multiple=dose)
