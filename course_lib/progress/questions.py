"""What a lesson asks before it shows a result: predictions, and the exit ticket at the end.

In a notebook::

    predict("01.p1", "Which is more probable?", choices=["the keys are", "the keys is"])
    ...
    reveal("01.p1", "the keys are")

The answers go to the journal (:mod:`course_lib.journal`), a file on this computer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from course_lib.journal import events, record
from course_lib.progress.forms import prediction_form, ticket_form
from course_lib.tables import html_table

KINDS = ("number", "choice", "ranking")


def record_prediction(
    id: str, value: Any, confidence: float | None = None, choices: Sequence[str] | None = None
) -> bool:
    """Store a prediction; True once it is stored.

    Parameters
    ----------
    value : a number, a choice, or a list of choices in order
    confidence : how sure you are that it is right, in percent; only for choices and rankings
    choices : what there was to choose from; the form passes it on

    Raises
    ------
    ValueError : a confidence below 0 or above 100
    """
    if confidence is not None and not 0 <= confidence <= 100:
        raise ValueError(f"A confidence of {confidence} is not between 0 and 100 percent.")
    return record("prediction", id=id, value=value, confidence=confidence, choices=choices)


def prediction(id: str) -> Any:
    """The last stored prediction for ``id``, or ``None``."""
    stored = [entry["value"] for entry in events("prediction") if entry.get("id") == id]
    return stored[-1] if stored else None


def predict(
    id: str,
    question: str,
    choices: Sequence[str] | None = None,
    kind: str | None = None,
    unit: str | None = None,
) -> Any:
    """A small form that asks for a prediction and stores it.

    Parameters
    ----------
    id : for example ``"01.p1"``; ``reveal`` with the same id shows the prediction again
    question : one sentence
    choices : the options, needed for the kinds "choice" and "ranking"
    kind : "number", "choice" or "ranking"; by default "choice" if there are choices
    unit : unit of a number, for example "nats"

    Returns
    -------
    a displayable object; without a front end it shows the question as text and says how to
    answer with :func:`record_prediction`. Its stored form does not depend on the progress file.

    Raises
    ------
    ValueError : unknown kind, or choices missing
    """
    kind = kind or ("choice" if choices else "number")
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}. Use one of {', '.join(KINDS)}.")
    if kind != "number" and not choices:
        raise ValueError(f"The kind {kind!r} needs choices: pass choices=[...].")
    return prediction_form(id, question, list(choices or []), kind, unit, record_prediction)


@dataclass(frozen=True)
class Reveal:
    """A prediction beside what came out; shown as a small table."""

    id: str
    predicted: Any
    outcome: Any

    def _rows(self) -> list[tuple[str, str]]:
        missing = "no prediction was stored: predict first, then look"
        shown = missing if self.predicted is None else _text(self.predicted)
        return [("your prediction", shown), ("what came out", _text(self.outcome))]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table((), self._rows(), self.id, align=("", "left"))


def reveal(id: str, outcome: Any) -> Reveal:
    """Show the stored prediction beside the outcome, and store the outcome.

    Examples
    --------
    >>> import os, tempfile
    >>> os.environ["COURSE_HOME"] = tempfile.mkdtemp()
    >>> record_prediction("demo", 0.7)
    True
    >>> reveal("demo", 0.9213)
    your prediction: 0.7
    what came out: 0.9213
    """
    predicted = prediction(id)
    record("outcome", id=id, predicted=predicted, outcome=outcome)
    return Reveal(id, predicted, outcome)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return " > ".join(_text(v) for v in value)
    return str(value)


def exit_ticket(unit: str, questions: Sequence[dict[str, Any]]) -> Any:
    """The closing questions of a unit, with an explanation for every option.

    Parameters
    ----------
    unit : for example ``"01"``
    questions : each ``{"question": text, "options": [(text, right, explanation), ...]}``

    Returns
    -------
    a displayable object: buttons where there is a front end, folded HTML elsewhere

    Raises
    ------
    ValueError : a question has no right option, or an option has no explanation
    """
    for number, question in enumerate(questions, 1):
        options = question["options"]
        if sum(bool(right) for _, right, _ in options) != 1:
            raise ValueError(f"Question {number} needs exactly one right option.")
        if not all(explanation for _, _, explanation in options):
            raise ValueError(f"Question {number}: every option needs an explanation.")
    return ticket_form(unit, list(questions), record)
