"""Predictions, check results and exit tickets, kept in one local file.

Everything stays on this machine: ``$COURSE_HOME/progress.jsonl``, by default in ``~/.course``.
The file is a journal: each event is one JSON line, appended with a single write, so two notebooks
can write at once and a kernel that is killed loses at most the line it was writing. The journal is
never rewritten. A damaged line is copied to ``progress-damaged.txt`` and named in a warning; the
lines around it stay readable. Events carry the ids of units, exercises and questions, never file
names, so a notebook may be renamed.

In a notebook::

    predict("01.p1", "Which is more probable?", choices=["the keys are", "the keys is"])
    ...
    reveal("01.p1", "the keys are")
"""

from __future__ import annotations

import errno
import html
import json
import os
import re
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

KINDS = ("number", "choice", "ranking")
CONFIDENCES = (20, 40, 60, 80, 95)  # percent, what the form offers
UNITS = {
    "00": "Start here",
    "01": "Behaviour",
    "02": "Attribution",
    "03": "Probing",
    "04": "Circuits",
    "05": "Lens",
    "06": "Sparse autoencoders",
    "07": "Capstone",
}
PAUSE = 600  # seconds: a longer gap between two events is a break, not work
NEEDED = {
    "prediction": ("id", "value"),
    "outcome": ("id", "outcome"),
    "check": ("id", "earned", "points"),
    "ticket": ("id", "question", "right"),
}


class ProgressWarning(UserWarning):
    """The progress file cannot be written, or a line in it is damaged."""


def home() -> Path:
    """Folder of the progress file: ``$COURSE_HOME``, else ``~/.course``.

    A user without a home folder, as in some containers, gets ``.course`` in the course folder.
    """
    try:
        return Path(os.environ.get("COURSE_HOME") or "~/.course").expanduser()
    except RuntimeError:
        return Path(__file__).resolve().parent.parent / ".course"


def journal() -> Path:
    """Path of the journal; it need not exist yet."""
    return home() / "progress.jsonl"


def record(event: str, **fields: Any) -> bool:
    """Append one event; True once it is in the file.

    A folder that cannot be written, or a full disk, gives a warning and False, never an error.

    Parameters
    ----------
    event : "prediction", "outcome", "check" or "ticket"
    fields : anything JSON can hold, arrays and tensors too; ``id`` says what the event is about
    """
    line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, default=_plain)
    # One write to a file opened for appending is not torn apart by another process. The line
    # break in front keeps a line that was cut short from swallowing this one.
    data = f"\n{line}\n".encode()
    try:
        journal().parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(journal(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(handle, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        _warn(
            f"Progress was not saved ({error.strerror}). Free some space, or set COURSE_HOME to a "
            "folder you can write to."
        )
        return False
    return True


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _warn(text: str) -> None:
    warnings.warn(text, ProgressWarning, stacklevel=3)


def events(event: str | None = None) -> list[dict[str, Any]]:
    """All events in the order of writing, or those of one kind.

    Damaged lines are set aside with a warning. Reads 100,000 events in well under a second.
    """
    try:
        lines = journal().read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        _warn(f"The progress file cannot be read ({error.strerror}). `course doctor` may know why.")
        return []
    found, damaged = [], []
    for line in lines:
        # We write plain ASCII. Without byte order mark and zero bytes it reads the same after an
        # editor has stored it as UTF-8 or UTF-16, or after a crash has filled it up with zeros.
        text = line.replace(b"\0", b"").strip(b"\xef\xbb\xbf\xff\xfe \t")
        if not text:
            continue
        try:
            found.append(_parse(text))
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
            damaged.append(line)
    if damaged:
        _set_aside(damaged)
    return [entry for entry in found if event in (None, entry["event"])]


def _parse(text: bytes) -> dict[str, Any]:
    """One event; an exception if it lacks what the reports below count on."""
    entry = json.loads(text.decode("ascii"))
    for name in ("time", *NEEDED.get(entry["event"], ())):
        entry[name]  # noqa: B018  a KeyError if it is missing
    for name in ("time", "earned", "points"):
        float(entry.get(name, 0) + 0)
    entry["id"] = str(entry.get("id", ""))
    return entry


def damaged_file() -> Path:
    """Where damaged lines are copied to; it need not exist."""
    return home() / "progress-damaged.txt"


def _set_aside(damaged: list[bytes]) -> None:
    """Copy damaged lines, each once, to their own file and say so the first time."""
    place = damaged_file()
    try:
        known = set(place.read_bytes().split(b"\n")) if place.exists() else set()
        fresh = [line for line in dict.fromkeys(damaged) if line not in known]
        if not fresh:
            return
        with open(place, "ab") as file:
            file.write(b"".join(line + b"\n" for line in fresh))
        kept = f"a copy is in {place.name} beside it"
    except OSError as error:
        fresh, kept = damaged, f"they stay there, and no copy could be made ({error.strerror})"
    _warn(f"{len(fresh)} damaged line(s) in {journal().name}; {kept}. Everything else was read.")


# --- predictions ---------------------------------------------------------------------------


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


def record_check(result: Any) -> bool:
    """Store the outcome of one exercise, a :class:`course_lib.checks.CheckResult`."""
    return record(
        "check",
        id=result.exercise,
        earned=result.earned,
        points=result.points,
        status=result.status,
    )


def unit_of(id: str) -> str:
    """The unit in an id: "01" for "01.3", "01-margin" and "01"; "other" if there is none."""
    match = re.match(r"\d\d(?!\d)", id)
    return match.group() if match else "other"


def minutes(entries: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Minutes of work in each unit, from the times of the events alone.

    The time between two events belongs to the unit of the second one. A gap of more than ten
    minutes is a break and counts nothing, and so does a clock that was set back. Two notebooks at
    once are not counted twice. It is a lower bound: reading before the first event is not seen.
    """
    spent: dict[str, float] = {}
    for before, after in pairwise(entries):
        gap = after["time"] - before["time"]
        if 0 < gap <= PAUSE:
            unit = unit_of(after["id"])
            spent[unit] = spent.get(unit, 0.0) + gap / 60
    return spent


def unit_summary() -> list[dict[str, Any]]:
    """Counts for every unit of the course, and for "other" if there is something.

    The last check of an exercise counts for its points. Of an exit ticket the *first* answer to
    each question counts, because afterwards one opens the other options to read why.
    """
    from course_lib.checks import UNITS as WITH_CHECKS
    from course_lib.checks import exercises

    entries = events()
    spent = minutes(entries)
    found = {unit: [] for unit in UNITS}
    for entry in entries:
        found.setdefault(unit_of(entry["id"]), []).append(entry)
    rows = []
    for unit, own in found.items():
        known = exercises(unit) if unit in WITH_CHECKS else {}
        checks = [e for e in own if e["event"] == "check" and e["id"] in known]
        last = {e["id"]: e for e in checks}
        tickets = [e for e in own if e["event"] == "ticket"]
        first = {str(e["question"]): bool(e["right"]) for e in reversed(tickets)}
        rows.append(
            {
                "unit": unit,
                "exercises": len(known),
                "attempted": len({e["id"] for e in checks if e.get("status") != "not attempted"}),
                "passed": sum(e["earned"] >= e["points"] for e in last.values()),
                "earned": sum(e["earned"] for e in last.values()),
                "points": sum(exercise.visible_points for exercise in known.values()),
                "predictions": len({e["id"] for e in own if e["event"] == "prediction"}),
                "answers": len(first),
                "right": sum(first.values()),
                "minutes": spent.get(unit, 0.0),
            }
        )
    return rows


def progress_report() -> Any:
    """What you have done so far, one row a unit; prints as text, shows as a table in a notebook.

    Examples
    --------
    >>> import os, tempfile
    >>> os.environ["COURSE_HOME"] = tempfile.mkdtemp()
    >>> record_prediction("00-keys", 40)
    True
    >>> progress_report().rows[0]
    ['00 Start here', '-', '-', '-', 1, '-', 0]
    """
    from course_lib.display import Table

    summary = unit_summary()
    counts = [name for name in summary[0] if name != "unit"]
    total = {"unit": "all"} | {name: sum(row[name] for row in summary) for name in counts}
    note = (
        "Points: visible checks, last run; held-out checks come at grading. Exit ticket: first "
        "answers. Minutes: between events at most ten minutes apart, so rather too few."
    )
    if damaged_file().exists():
        note += f" Damaged lines of the progress file were set aside in {damaged_file().name}."
    return Table(
        ("unit", "attempted", "passed", "points", "predictions", "exit ticket", "minutes"),
        [_unit_row(row) for row in [*summary, total]],
        caption="Your progress, from the file on this computer",
        note=note,
    )


def _unit_row(row: dict[str, Any]) -> list[Any]:
    title = f"{row['unit']} {UNITS.get(row['unit'], '')}".strip()
    scores = [("attempted", "exercises"), ("passed", "exercises"), ("earned", "points")]
    cells = [f"{row[a]:g} of {row[b]}" if row["exercises"] else "-" for a, b in scores]
    ticket = f"{row['right']} of {row['answers']} right" if row["answers"] else "-"
    return [title, *cells, row["predictions"], ticket, round(row["minutes"])]
