"""Forms for predictions and exit tickets.

Each form is one output bundle: the live widget, plus HTML and text that hold the same questions
for places without a front end (a stored notebook, a printed page). The HTML never depends on
what a student answered before, so that stored notebooks do not change.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

CONFIDENCES = (20, 40, 60, 80, 95)  # percent, what the form offers
WIDGET = "application/vnd.jupyter.widget-view+json"
STORED = "Stored on this computer. Now run the next cell."
NOT_STORED = (
    "Not stored: the progress file cannot be written. `course doctor` says how to repair it."
)


class Form:
    """A widget with a static fallback, shown as one mime bundle."""

    def __init__(self, build: Callable[[], Any], text: str, page: str) -> None:
        self._build, self._text, self._page = build, text, page
        self._box: Any = None

    @property
    def box(self) -> Any:
        """The live ``ipywidgets`` box; built when it is first needed."""
        if self._box is None:
            self._box = self._build()
        return self._box

    def __repr__(self) -> str:
        return self._text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle = {"text/plain": self._text, "text/html": self._page}
        try:
            live = self.box._repr_mimebundle_()
        except Exception:  # no ipywidgets or no kernel: the static form says the same
            return bundle
        live = live[0] if isinstance(live, tuple) else live
        return {**bundle, **({WIDGET: live[WIDGET]} if live and WIDGET in live else {})}


def prediction_form(
    id: str,
    question: str,
    choices: list[str],
    kind: str,
    unit: str | None,
    save: Callable[..., bool],
) -> Form:
    """The form behind :func:`course_lib.progress.predict`.

    ``save(id, value, confidence, choices)`` stores it and says whether that worked.
    """
    example = {"number": "0.5", "choice": repr((choices or [""])[0]), "ranking": repr(choices)}
    how = f"record_prediction({id!r}, {example[kind]})"
    asks = {"number": f"a number{f' in {unit}' if unit else ''}", "choice": "one of"}
    asks["ranking"] = "all of these, the largest first"
    options = f": {', '.join(choices)}" if choices else ""
    text = f"Predict ({id}): {question}\nAnswer with {asks[kind]}{options}\n{how}"
    items = "".join(f"<li>{html.escape(choice)}</li>" for choice in choices)
    page = (
        f"<div><p><strong>Predict ({html.escape(id)}):</strong> {html.escape(question)} "
        f"<em>Answer with {html.escape(asks[kind])}{':' if items else '.'}</em></p>"
        f"{f'<ul>{items}</ul>' if items else ''}"
        f"<p>Without live forms: <code>{html.escape(how)}</code></p></div>"
    )
    return Form(lambda: _prediction_box(id, question, choices, kind, unit, save), text, page)


def _prediction_box(id, question, choices, kind, unit, save) -> Any:
    import ipywidgets as widgets

    wide = widgets.Layout(width="auto")
    if kind == "number":
        fields = [widgets.FloatText(description=unit or "number", step=None)]
    elif kind == "choice":
        fields = [widgets.RadioButtons(options=choices, value=None, layout=wide)]
    else:
        fields = [
            widgets.Dropdown(options=choices, value=None, description=f"place {n}")
            for n in range(1, len(choices) + 1)
        ]
    sure = widgets.Dropdown(
        options=[("no answer", None), *((f"{percent} %", percent) for percent in CONFIDENCES)],
        description="how sure?",
    )
    narrow = widgets.Layout(width="auto", align_self="flex-start")
    button = widgets.Button(description="Store my prediction", layout=narrow)
    status = widgets.Label()

    def store(_: Any) -> None:
        values = [field.value for field in fields]
        if None in values or (kind == "ranking" and len(set(values)) < len(values)):
            status.value = "Please answer first; in a ranking use each option once."
            return
        stored = save(id, values if kind == "ranking" else values[0], sure.value, choices or None)
        status.value = STORED if stored else NOT_STORED

    button.on_click(store)
    title = widgets.HTML(f"<strong>Predict:</strong> {html.escape(question)}")
    asked = [] if kind == "number" else [sure]  # a number is not right or wrong, but nearer or not
    return widgets.VBox([title, *fields, *asked, button, status])


def ticket_form(unit: str, questions: list[dict[str, Any]], record: Callable[..., None]) -> Form:
    """The form behind :func:`course_lib.progress.exit_ticket`."""
    lines, blocks = [f"Exit ticket of unit {unit}"], []
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {question['question']}")
        rows = []
        for option, right, why in question["options"]:
            lines.append(f"   - {option}")
            verdict = "Right" if right else "Not quite"
            rows.append(
                f"<details><summary>{html.escape(option)}</summary>"
                f"<p>{verdict}. {html.escape(why)}</p></details>"
            )
        blocks.append(f"<li><p>{html.escape(question['question'])}</p>{''.join(rows)}</li>")
    page = (
        f"<div><p><strong>Exit ticket of unit {html.escape(unit)}.</strong> Choose an answer, "
        f"then open it.</p><ol>{''.join(blocks)}</ol></div>"
    )
    return Form(lambda: _ticket_box(unit, questions, record), "\n".join(lines), page)


def _ticket_box(unit: str, questions: list[dict[str, Any]], record: Callable[..., None]) -> Any:
    import ipywidgets as widgets

    def one(number: int, question: dict[str, Any]) -> Any:
        options = question["options"]
        radio = widgets.RadioButtons(
            options=[(text, place) for place, (text, _, _) in enumerate(options)],
            value=None,
            layout=widgets.Layout(width="auto"),
        )
        feedback = widgets.HTML()

        def answered(change: Any) -> None:
            if change["new"] is None:
                return
            text, right, why = options[change["new"]]
            verdict = "Right." if right else "Not quite."
            feedback.value = f"<strong>{verdict}</strong> {html.escape(why)}"
            if not record("ticket", id=unit, question=number, answer=text, right=bool(right)):
                feedback.value += f" <em>{NOT_STORED}</em>"

        radio.observe(answered, "value")
        title = widgets.HTML(f"<strong>{number}.</strong> {html.escape(question['question'])}")
        return widgets.VBox([title, radio, feedback])

    return widgets.VBox([one(n, q) for n, q in enumerate(questions, 1)])
