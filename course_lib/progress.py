"""Predictions, check results and exit tickets, kept in one local file.

Everything stays on this machine: ``$COURSE_HOME/progress.jsonl``, by default in ``~/.course``.
The file is a journal: each event is one JSON line, appended with a single write, so two notebooks
can write at once and a kernel that is killed loses at most its own last line. A damaged line is
copied to ``progress-damaged.txt`` and named in a warning; the lines around it stay readable.

In a notebook::

    predict("01.p1", "Which is more probable?", choices=["the keys are", "the keys is"])
    ...
    reveal("01.p1", "the keys are")
"""

from __future__ import annotations

import html
import json
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("number", "choice", "ranking")


class ProgressWarning(UserWarning):
    """The progress file cannot be written, or a line in it is damaged."""


def home() -> Path:
    """Folder of the progress file: ``$COURSE_HOME``, else ``~/.course``."""
    return Path(os.environ.get("COURSE_HOME") or Path.home() / ".course")


def journal() -> Path:
    """Path of the journal; it need not exist yet."""
    return home() / "progress.jsonl"


def record(event: str, **fields: Any) -> None:
    """Append one event. A folder that cannot be written gives a warning, never an error.

    Parameters
    ----------
    event : "prediction", "outcome", "check", "ticket" or "minutes"
    fields : anything JSON can hold; ``id`` says what the event is about
    """
    line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, default=str)
    try:
        journal().parent.mkdir(parents=True, exist_ok=True)
        # One write to a file opened for appending is not torn apart by another process. The line
        # break in front keeps a line that was cut short from swallowing this one.
        handle = os.open(journal(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"\n{line}\n".encode())
        finally:
            os.close(handle)
    except OSError as error:
        warnings.warn(
            f"Progress was not saved ({error}). Set COURSE_HOME to a folder you can write to.",
            ProgressWarning,
            stacklevel=2,
        )


def events(event: str | None = None) -> list[dict[str, Any]]:
    """All events in order, or those of one kind. Damaged lines are set aside with a warning."""
    try:
        lines = journal().read_bytes().splitlines()
    except FileNotFoundError:
        return []
    found, damaged = [], []
    for line in lines:
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            entry["event"], entry["time"]  # noqa: B018  every event has both
            found.append(entry)
        except (ValueError, TypeError, KeyError):
            damaged.append(line)
    if damaged:
        _set_aside(damaged)
    return [entry for entry in found if event in (None, entry["event"])]


def _set_aside(damaged: list[bytes]) -> None:
    """Copy damaged lines, each once, to their own file and say where they are."""
    place = home() / "progress-damaged.txt"
    known = place.read_bytes().splitlines() if place.exists() else []
    fresh = [line for line in dict.fromkeys(damaged) if line not in known]
    if fresh:
        with open(place, "ab") as file:
            file.write(b"".join(line + b"\n" for line in fresh))
    warnings.warn(
        f"{len(damaged)} damaged line(s) in {journal().name}; a copy is in {place.name} beside it. "
        "Everything else was read.",
        ProgressWarning,
        stacklevel=3,
    )


# --- predictions ---------------------------------------------------------------------------


def record_prediction(id: str, value: Any) -> None:
    """Store a prediction: a number, a choice, or a list of choices in order."""
    record("prediction", id=id, value=value)


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
    from course_lib.widgets.classroom import prediction_form

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
        rows = "".join(
            f"<tr><th scope='row'>{name}</th><td style='text-align:left'>{html.escape(value)}"
            "</td></tr>"
            for name, value in self._rows()
        )
        return f"<table><caption>{html.escape(self.id)}</caption><tbody>{rows}</tbody></table>"


def reveal(id: str, outcome: Any) -> Reveal:
    """Show the stored prediction beside the outcome, and store the outcome.

    Examples
    --------
    >>> import os, tempfile
    >>> os.environ["COURSE_HOME"] = tempfile.mkdtemp()
    >>> record_prediction("demo", 0.7)
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


# --- exit tickets and the report -----------------------------------------------------------


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
    from course_lib.widgets.classroom import ticket_form

    for number, question in enumerate(questions, 1):
        options = question["options"]
        if sum(bool(right) for _, right, _ in options) != 1:
            raise ValueError(f"Question {number} needs exactly one right option.")
        if not all(explanation for _, _, explanation in options):
            raise ValueError(f"Question {number}: every option needs an explanation.")
    return ticket_form(unit, list(questions), record)


def progress_report() -> str:
    """A text summary: last points of each exercise, predictions, exit tickets, minutes."""
    checks = {entry["id"]: entry for entry in events("check")}
    tickets = {(entry["id"], entry["question"]): entry for entry in events("ticket")}
    minutes = sum(float(entry.get("minutes", 0)) for entry in events("minutes"))
    lines = [
        f"{id}: {entry['earned']} of {entry['points']} visible points (last check)"
        for id, entry in sorted(checks.items())
    ]
    lines.append(f"predictions stored: {len({e['id'] for e in events('prediction')})}")
    right = sum(bool(entry["right"]) for entry in tickets.values())
    lines.append(f"exit ticket answers: {len(tickets)}, of which {right} right")
    lines.append(f"minutes noted: {minutes:.0f}")
    return "\n".join(lines)
