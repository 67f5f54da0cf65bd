"""Attribution explorer: which tokens support a word, rather than another, by which method."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import ipywidgets

from course_lib.attribution import METHODS, Observational, attribute
from course_lib.display import AltFigure, show
from course_lib.plots import token_heat
from course_lib.widgets.live import Explorer, collected_warnings

#: What the drop-down list offers -> the baseline it stands for.
BASELINES = {
    "unknown word": None,
    "left out": "delete",
    "drawn by the model": Observational(samples=4, proposals=4),
}
EXACT_TOKENS = 10  # above this the explorer samples orders for Shapley values, to answer at once
SAMPLED_ORDERS = 30

_WIDE = ipywidgets.Layout(width="95%")
_LABEL = {"description_width": "90px"}


def attribution_figure(
    lm,
    text: str,
    target: str,
    foil: str = "",
    method: str = "erasure",
    baseline: str = "unknown word",
) -> AltFigure:
    """The text with the score of each token under it, for one method and one baseline.

    Parameters
    ----------
    lm : a left-to-right model of `load_model`.
    text : ends right before the predicted word.
    target, foil : words of one token; an empty foil asks why the target at all.
    method : a name in `course_lib.attribution.METHODS`.
    baseline : a name in `BASELINES`. Gradient norm and gradient x input have none.

    Returns
    -------
    AltFigure with the numbers as a table; the caption says what was measured. Positive = the token
    supports the target (over the foil), in nats.

    Raises
    ------
    ValueError
        As `attribute`, for instance for a word of several tokens.

    Notes
    -----
    Cost: that of the method; Shapley values of more than 10 tokens are sampled.
    """
    if baseline not in BASELINES:
        raise ValueError(f"Unknown baseline {baseline!r}. Choose one of {', '.join(BASELINES)}.")
    options = {}
    if "baseline" in inspect.signature(METHODS.get(method, attribute)).parameters:
        options["baseline"] = BASELINES[baseline]
    with collected_warnings() as notes:
        if method == "Shapley" and len(lm.tokens(text)) - 1 > EXACT_TOKENS:
            options["samples"] = SAMPLED_ORDERS
        result = attribute(lm, text, target.strip(), foil.strip() or None, method=method, **options)
    why = f"why {result.target}" + (f" rather than {result.foil}?" if result.foil else "?")
    best = result.tokens[result.order[0]]
    alt = (
        f"The tokens of '{text}' with their scores: {why} By {result.method}, the strongest "
        f"support comes from '{best}', {float(result.scores.max()):+.2f} nats."
    )
    drawn = token_heat(
        {result.method: (result.tokens, result.scores.tolist())},
        alt=alt,
        title=f"{lm.name}: {why}",
        metric="support for the target, nats",
    )
    return show(drawn.figure, alt, " ".join([result.caption, *notes]), drawn.tables)


def attribution_explorer(lm, questions: Sequence[tuple[str, str, str]]) -> Explorer:
    """Choose or type a text, a target and a foil, then compare methods and baselines.

    Parameters
    ----------
    lm : a left-to-right model of `load_model`.
    questions : (text, target, foil) offered in a list; all three stay editable.

    Raises
    ------
    ValueError
        If `questions` is empty.
    """
    if not questions:
        raise ValueError("The explorer needs at least one (text, target, foil) to start from.")
    text, target, foil = (
        ipywidgets.Text(
            value=value, description=label, continuous_update=False, layout=layout, style=_LABEL
        )
        for label, value, layout in zip(
            ("Text", "Target", "Foil"),
            questions[0],
            (_WIDE, ipywidgets.Layout(), ipywidgets.Layout()),
            strict=True,
        )
    )
    method = ipywidgets.Dropdown(options=list(METHODS), description="Method", style=_LABEL)
    baseline = ipywidgets.Dropdown(options=list(BASELINES), description="Baseline", style=_LABEL)
    example = ipywidgets.Dropdown(
        options=[
            (f"{t} … {word}" + (f", not {other}" if other else ""), k)
            for k, (t, word, other) in enumerate(questions)
        ],
        description="Example",
        layout=_WIDE,
        style=_LABEL,
    )

    def fill(change) -> None:
        with explorer.hold():
            text.value, target.value, foil.value = questions[change["new"]]

    example.observe(fill, names="value")

    def draw(**chosen: str) -> AltFigure:
        return attribution_figure(lm, **chosen)

    explorer = Explorer(
        draw, above=(example,), text=text, target=target, foil=foil, method=method,
        baseline=baseline,
    )  # fmt: skip
    return explorer
