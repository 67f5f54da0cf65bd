"""Minimal-pair explorer: two sentences, and where along them the model's preference arises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

import ipywidgets

from course_lib.display import AltFigure, show
from course_lib.plots import token_bars
from course_lib.tables import Table
from course_lib.widgets.live import Explorer, collected_warnings

_WIDE = ipywidgets.Layout(width="95%")
_LABEL = {"description_width": "90px"}


def minimal_pair_figure(lm, good: str, bad: str, reduction: str = "sum") -> AltFigure:
    """Per-token surprisal of both members of a pair, with their scores and the margin.

    Parameters
    ----------
    lm : a language model of `load_model`, or any model with `tokens`, `token_logprobs`, `logprob`.
    good, bad : the acceptable and the unacceptable sentence.
    reduction : "sum" (total log-probability) or "mean" (per token), both in nats.

    Returns
    -------
    AltFigure with one panel per sentence and a table of the same numbers; margin = score(good) -
    score(bad), positive when the model prefers the acceptable sentence. Words it does not know are
    named in the caption.

    Raises
    ------
    ValueError
        For an empty sentence (from the model) or an unknown reduction.

    Notes
    -----
    Cost: 2 forward passes of one sentence each.
    """
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}.")
    with collected_warnings() as notes:
        panels, scores = {}, []
        for name, text in (("good", good), ("bad", bad)):
            surprisal = [-value for value in lm.token_logprobs([text])[0].tolist()]
            score = -sum(surprisal) / (1 if reduction == "sum" else len(surprisal))
            scores.append(score)
            panels[f"{name}: score {score:.2f} nats"] = (lm.tokens(text)[1:], surprisal)
    margin = scores[0] - scores[1]
    verdict = "prefers the good sentence" if margin > 0 else "does not prefer the good sentence"
    title = f"{lm.name} {verdict}: margin {margin:+.2f} nats ({reduction})"
    alt = (
        f"Bars of surprisal per token for '{good}' and '{bad}'. Scores {scores[0]:.2f} and "
        f"{scores[1]:.2f} nats ({reduction}); the model {verdict}, margin {margin:+.2f} nats."
    )
    drawn = token_bars(panels, alt=alt, title=title)
    table = _surprisal_table(list(panels.values()), title)
    return show(drawn.figure, alt, " ".join(notes), [table])


def _surprisal_table(sentences: list[tuple[list[str], list[float]]], caption: str) -> Table:
    """The tokens of both sentences side by side, each with its surprisal, and the totals."""
    cells = [[(t, f"{s:.2f}") for t, s in zip(*pair, strict=True)] for pair in sentences]
    rows = [[k, *a, *b] for k, (a, b) in enumerate(zip_longest(*cells, fillvalue=("", "")), 1)]
    (_, good), (_, bad) = sentences
    rows.append(["total", "", f"{sum(good):.2f}", "", f"{sum(bad):.2f}"])
    columns = ["position", "good", "surprisal (nats)", "bad", "surprisal (nats)"]
    return Table(columns, rows, caption=caption)


def minimal_pair_explorer(
    lm, pairs: Sequence[Mapping[str, str]] | Sequence[tuple[str, str]]
) -> Explorer:
    """Choose or type a minimal pair and see the surprisal of every token in both sentences.

    Parameters
    ----------
    lm : language model; see `minimal_pair_figure`.
    pairs : examples offered in a list: (good, bad) tuples, or records with BLiMP's fields
        `sentence_good` and `sentence_bad`. Both sentences stay editable.

    Raises
    ------
    ValueError
        If `pairs` is empty.
    """
    if not pairs:
        raise ValueError("The explorer needs at least one example pair to start from.")
    examples = [
        p if isinstance(p, tuple) else (p["sentence_good"], p["sentence_bad"]) for p in pairs
    ]
    good, bad = (
        ipywidgets.Text(
            value=text, description=label, continuous_update=False, layout=_WIDE, style=_LABEL
        )
        for label, text in zip(("Acceptable", "Unacceptable"), examples[0], strict=True)
    )
    reduction = ipywidgets.Dropdown(options=["sum", "mean"], description="Reduction", style=_LABEL)
    example = ipywidgets.Dropdown(
        options=[(pair[0], k) for k, pair in enumerate(examples)],
        description="Example",
        layout=_WIDE,
        style=_LABEL,
    )

    def fill(change) -> None:
        with explorer.hold():
            good.value, bad.value = examples[change["new"]]

    example.observe(fill, names="value")

    def draw(good: str, bad: str, reduction: str) -> AltFigure:
        return minimal_pair_figure(lm, good, bad, reduction)

    explorer = Explorer(draw, above=(example,), good=good, bad=bad, reduction=reduction)
    return explorer
