"""Lens explorer: what every state of a model says about every next token of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import ipywidgets

from course_lib.display import AltFigure, show
from course_lib.lens import (
    LensReading,
    TunedLens,
    generated_texts,
    lens_sites,
    logit_lens,
    tune_lens,
)
from course_lib.plots.lens import lens_map
from course_lib.widgets.live import Explorer, collected_warnings

#: What the drop-down list offers -> the sites that are read.
READ = {"stream": "stream", "attention outputs": "attn_out", "MLP outputs": "mlp_out"}
LENSES = ("logit lens", "tuned lens")
TUNING_TEXTS = 200  # for a tuned lens that nobody brought along: some seconds on a laptop
MOST_WORDS = 6  # curves with a colour and marker of their own

_WIDE = ipywidgets.Layout(width="95%")
_LABEL = {"description_width": "90px"}


def lens_figure(
    lm,
    text: str,
    words: str = "",
    sites: str = "stream",
    state: str | None = None,
    token: int = -1,
    translate: TunedLens | None = None,
) -> AltFigure:
    """The likeliest next word in every state at every token, and one cell of that table closely.

    Parameters
    ----------
    lm : a left-to-right model of `load_model`.
    words : up to six words of one token, with spaces or commas between them; their probability
        and rank are drawn by state.
    sites : as in `lens_sites`; "stream" for the stream before the first layer and after each.
    state : name of the state whose ten likeliest words are shown; None for the last one.
    token : index into `lm.tokens(text)`, the start token being 0; -1 is the last.
    translate : a tuned lens; None for the plain one.

    Returns
    -------
    AltFigure with all numbers as tables; the caption says what was measured.

    Raises
    ------
    ValueError
        For a word of several tokens, more than six words, or a state or token that is not there.
    UnsupportedArchitecture
        As in `logit_lens`.

    Notes
    -----
    Cost: 1 forward pass and one unembedding per state.
    """
    asked = _asked(words)
    with collected_warnings() as notes:
        reading = logit_lens(lm, text, sites, translate)
    token = _place(reading, token)
    state = reading.sites[-1] if state is None else state
    top = reading.top(state, token)
    curves = {word: _curve(reading, word, token) for word in asked}
    row = reading.sites.index(state)
    alt = (
        f"Table of the likeliest next word in {len(reading.sites)} states at each token of "
        f"'{text}'. Read from {state} after '{reading.tokens[token]}' (token {token}), it is "
        f"'{top[0][0]}' with probability {top[0][1]:.2f}."
    )
    alt += "".join(
        f" '{word}' has rank {values[row][1]:g} there." for word, values in curves.items()
    )
    drawn = lens_map(
        reading.best(),
        reading.sites,
        reading.tokens,
        chosen=(row, token),
        top=top,
        words=curves,
        alt=alt,
        title=f"{lm.name}, {reading.lens}: likeliest next word",
    )
    return show(drawn.figure, alt, " ".join([reading.caption, *notes]), drawn.tables)


def _asked(words: str) -> list[str]:
    asked = list(dict.fromkeys(re.findall(r"[^\s,]+", words)))
    if len(asked) > MOST_WORDS:
        raise ValueError(f"{len(asked)} words are too many to tell apart: {MOST_WORDS} at most.")
    return asked


def _place(reading: LensReading, token: int) -> int:
    """The token's place counted from 0; ValueError if there is none."""
    if not -len(reading.tokens) <= token < len(reading.tokens):
        last = len(reading.tokens) - 1
        raise ValueError(f"There is no token {token}: this text has 0 to {last}, or -1 for last.")
    return token % len(reading.tokens)


def _curve(reading: LensReading, word: str, token: int) -> list[tuple[float, float]]:
    """(probability, rank) of a word in every state at one token."""
    chance, rank = reading.prob(word)[:, token], reading.rank(word)[:, token]  # [S] each
    return list(zip(chance.tolist(), rank.tolist(), strict=True))


def lens_explorer(
    lm, prompts: Sequence[tuple[str, str]], tuned: TunedLens | None = None
) -> Explorer:
    """Choose or type a text, then a lens, what is read, and the cell to look at.

    Parameters
    ----------
    lm : a left-to-right model of `load_model`.
    prompts : (text, words to follow) offered in a list; both stay editable.
    tuned : a fitted `TunedLens`; without one, a small one is fitted when it is first asked for.

    Raises
    ------
    ValueError
        If `prompts` is empty.
    """
    if not prompts:
        raise ValueError("The explorer needs at least one (text, words) to start from.")
    fitted = [tuned] if tuned else []
    text, words, lens, read, state, token, example = _controls(prompts)

    def offer_states() -> None:
        state.options = lens_sites(lm, READ[read.value])
        state.value = state.options[-1]

    def offer_tokens() -> None:
        try:
            with collected_warnings():  # the figure names the words it does not know
                tokens = lm.tokens(text.value)
        except ValueError:  # the figure will say what is wrong with the text
            return
        token.options = [(f"{k}: {shown}", k) for k, shown in enumerate(tokens)]
        token.value = len(tokens) - 1

    def follow(offer):
        def changed(change) -> None:
            with explorer.hold():
                offer()

        return changed

    def fill(change) -> None:
        with explorer.hold():
            text.value, words.value = prompts[change["new"]]
            offer_tokens()

    def draw(text: str, words: str, lens: str, read: str, state: str, token: int) -> AltFigure:
        if lens == "tuned lens" and not fitted:
            fitted.append(tune_lens(lm, generated_texts(TUNING_TEXTS), steps=0))
        translate = fitted[0] if lens == "tuned lens" else None
        return lens_figure(lm, text, words, READ[read], state, token, translate)

    offer_states()
    offer_tokens()
    read.observe(follow(offer_states), names="value")
    text.observe(follow(offer_tokens), names="value")
    example.observe(fill, names="value")
    explorer = Explorer(
        draw, above=(example,), text=text, words=words, lens=lens, read=read, state=state,
        token=token,
    )  # fmt: skip
    return explorer


def _controls(prompts: Sequence[tuple[str, str]]) -> tuple[ipywidgets.ValueWidget, ...]:
    """Fields for text and words; lists of lenses, of what is read, states, tokens and examples."""
    text, words = (
        ipywidgets.Text(
            value=value, description=label, continuous_update=False, layout=_WIDE, style=_LABEL
        )
        for label, value in zip(("Text", "Words"), prompts[0], strict=True)
    )
    lens = ipywidgets.Dropdown(options=LENSES, description="Lens", style=_LABEL)
    read = ipywidgets.Dropdown(options=list(READ), description="Read", style=_LABEL)
    state = ipywidgets.Dropdown(description="State", style=_LABEL)
    token = ipywidgets.Dropdown(description="At token", style=_LABEL)
    example = ipywidgets.Dropdown(
        options=[(prompt, k) for k, (prompt, _) in enumerate(prompts)],
        description="Example",
        layout=_WIDE,
        style=_LABEL,
    )
    return text, words, lens, read, state, token, example
