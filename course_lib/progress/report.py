"""What you have done so far, unit by unit, counted from the journal alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from course_lib.journal import damaged_file, events
from course_lib.tables import Table

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

    The best check of an exercise counts for its points: one that fails later, perhaps because
    something new is being tried, takes nothing away. Of an exit ticket the *first* answer to
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
        best = {e["id"]: e for e in sorted(checks, key=lambda e: e["earned"])}
        tickets = [e for e in own if e["event"] == "ticket"]
        first = {str(e["question"]): bool(e["right"]) for e in reversed(tickets)}
        rows.append(
            {
                "unit": unit,
                "exercises": len(known),
                "attempted": len({e["id"] for e in checks if e.get("status") != "not attempted"}),
                "passed": sum(e["earned"] >= e["points"] for e in best.values()),
                "earned": sum(e["earned"] for e in best.values()),
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
    >>> from course_lib.progress import record_prediction
    >>> record_prediction("00-keys", 40)
    True
    >>> progress_report().rows[0]
    ['00 Start here', '-', '-', '-', 1, '-', 0]
    """
    summary = unit_summary()
    counts = [name for name in summary[0] if name != "unit"]
    total = {"unit": "all"} | {name: sum(row[name] for row in summary) for name in counts}
    note = (
        "Points: visible checks, best run; held-out checks come at grading. Exit ticket: first "
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
