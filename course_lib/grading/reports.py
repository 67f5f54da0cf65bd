"""The one writer: results to a table, a page of feedback for each student, a report on the class.

Feedback shows names, points and messages of held-out checks, never their source. All pages are
plain HTML that loads nothing and runs nothing.
"""

from __future__ import annotations

import csv
import html
import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from course_lib.grading.classroom import Classroom
from course_lib.grading.collect import write_private
from course_lib.grading.gradebook import ByHand, read_by_hand
from course_lib.tables import html_table

COLUMNS = (
    "student name status received late_days penalty_percent automatic written "
    "points maximum final to_do flags".split()
)
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; width: 100% }} caption {{ text-align: left; font-weight: bold }}
td, th {{ border: 1px solid #767676; padding: .3em .5em; text-align: left; vertical-align: top }}
td {{ white-space: pre-wrap }}</style></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""
MEANING = {
    "ok": "every check holds",
    "partial": "some checks do not hold",
    "output": "stopped: too much output",
    "memory": "stopped: too much memory",
    "time": "stopped: too much time",
    "died": "stopped: the process ended",
    "unreadable": "the file could not be read",
    "infrastructure": "not graded yet: a fault on our side",
    "missing": "nothing was handed in",
}


def table_of(room: Classroom, unit: str) -> list[dict[str, Any]]:
    """One row for every student of the roster; ``to_do`` says what a person still has to do."""
    by_hand = read_by_hand(room, unit)
    worth = _worth(room, unit)
    rows = []
    for person in room.roster:
        row = dict.fromkeys(COLUMNS, "") | {"student": person["id"], "status": "missing"}
        row |= {"name": person.get("name", ""), "maximum": sum(worth.values()), "final": 0}
        result = room.result(unit, person["id"])
        if result is not None:
            row |= _row(room, unit, result, by_hand.get(person["id"], {}), worth)
        rows.append(row)
    return rows


def _worth(room: Classroom, unit: str) -> dict[str, float]:
    """Points of every graded cell by grade id, as we released them."""
    marks = [c["metadata"].get("nbgrader", {}) for c in json.loads(room.released(unit))["cells"]]
    return {mark["grade_id"]: mark["points"] for mark in marks if mark.get("grade")}


def _row(
    room: Classroom, unit: str, result: dict[str, Any], by_hand: dict[str, ByHand], worth: dict
) -> dict[str, Any]:
    to_do = []
    earned = {"check-" + e["id"].replace(".", "-"): e["earned"] for e in result["exercises"]}
    # Points that a person gave go before ours, for code as well.
    unknown = None if result["status"] == "infrastructure" else 0
    scores = {id: earned.get(id, unknown) for id in worth if id.startswith("check-")}
    scores |= {i: h.points for i, h in by_hand.items() if i in scores and h.points is not None}
    taken = room.collected(unit, result["student"]) or {}
    newer = "sha256" in result and taken.get("sha256", result["sha256"]) != result["sha256"]
    if again := None in scores.values() or newer:
        to_do.append("grade again: another file was collected since" if newer else "grade again")
    written = 0.0
    for id, points in worth.items():
        if id in scores or not points or id not in result["written"]:
            continue
        given = by_hand.get(id, ByHand()).points
        if given is None and id not in result["unanswered"]:
            to_do.append(f"read {id}")
        written += given or 0
    automatic = sum(score or 0 for score in scores.values())
    days, cost = room.late(unit, result["student"], result["received"])
    if result["status"] == "unreadable":
        to_do.append("ask for a readable file")
    final = "" if again else round((automatic + written) * (1 - cost / 100), 2)
    row = {"status": result["status"], "received": result["received"], "late_days": days}
    row |= {"penalty_percent": cost, "automatic": automatic, "written": written, "final": final}
    row |= {"points": automatic + written, "to_do": "; ".join(to_do)}
    return row | {"flags": "; ".join(result["oddities"])}


def write_csv(room: Classroom, unit: str) -> Path:
    """``grades/UNIT.csv``. A cell that a spreadsheet would take for a formula is made text."""
    path, rows = room.folder / "grades" / f"{unit}.csv", table_of(room, unit)

    def write(file: Any) -> None:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _no_formula(value) for key, value in row.items()})

    write_private(path, write, newline="")
    return path


def _no_formula(value: Any) -> Any:
    risky = isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r")
    return f"'{value}" if risky else value


def _table(caption: str, head: tuple[str, ...], rows: list[tuple]) -> str:
    return html_table(head, rows, caption, heads=None) + "<p></p>"


def write_feedback(room: Classroom, unit: str) -> list[Path]:
    """``feedback/UNIT/STUDENT.html`` for everyone who handed something in."""
    by_hand, written = read_by_hand(room, unit), []
    for row in table_of(room, unit):
        result = room.result(unit, row["student"])
        if result is None:
            continue
        summary = [
            ("state", f"{result['status']}: {MEANING[result['status']]} {result['message']}"),
            ("received", row["received"]),
            ("late", f"{row['late_days']} days, {row['penalty_percent']:g} percent less"),
            ("points", f"{row['points']:g} of {row['maximum']:g}, counted {row['final']}"),
            ("still to come", row["to_do"] or "nothing"),
        ]
        body = [_table("Summary", ("", ""), summary)]
        for exercise in result["exercises"]:
            lines = [
                ("held-out" if p["held_out"] else "visible", p["name"],
                 f"{'?' if p['earned'] is None else p['earned']}/{p['points']}", p["message"])
                for p in exercise["parts"]
            ]  # fmt: skip
            earned = "?" if exercise["earned"] is None else exercise["earned"]
            caption = f"{exercise['id']} {exercise['title']}: {earned} of {exercise['points']}"
            body.append(_table(caption, ("kind", "check", "points", "why"), lines))
        said = [
            (id, "not read yet" if h.points is None else f"{h.points:g}", h.comment)
            for id, h in by_hand.get(row["student"], {}).items()
            if h.comment or h.points is not None or id in result["written"]
        ]
        if said:
            body.append(_table("Given by a person", ("cell", "points", "comment"), said))
        if result["oddities"]:
            body.append(_table("Noticed in the file", ("",), [(o,) for o in result["oddities"]]))
        path = room.folder_of("feedback", unit) / f"{row['student']}.html"
        written.append(_write_page(path, f"Assignment {unit}: {row['student']}", body))
    return written


def write_report(room: Classroom, unit: str) -> Path:
    """``grades/UNIT.html``: the class as a whole, without names."""
    rows = [row for row in table_of(room, unit) if row["status"] != "missing"]
    results = [room.result(unit, row["student"]) for row in rows]
    shares = [100 * row["points"] / row["maximum"] for row in rows]
    bins = Counter(min(int(share // 10), 9) for share in shares)
    spread = [
        (f"{10 * n} to {10 * n + 10} %", bins[n], "\N{FULL BLOCK}" * bins[n]) for n in range(10)
    ]
    spread += [("median", f"{statistics.median(shares):.0f} %", "")] if shares else []
    states = Counter(row["status"] for row in table_of(room, unit)).items()
    failed: Counter[tuple] = Counter()
    exercises: dict[str, list[float]] = {}
    for exercise in (e for result in results for e in result["exercises"]):
        key = f"{exercise['id']} {exercise['title']}"
        exercises.setdefault(key, []).append((exercise["earned"] or 0) / exercise["points"])
        for part in exercise["parts"]:
            if part["earned"] is not None and part["earned"] < part["points"]:
                failed[key, part["name"], part["message"].split(". ")[0][:160]] += 1
    means = [(key, f"{100 * statistics.mean(v):.0f} %") for key, v in exercises.items()]
    body = [
        _table("Points, automatic and written", ("points", "students", ""), spread),
        _table("States", ("state", "students"), [(f"{s}: {MEANING[s]}", n) for s, n in states]),
        _table("Exercises", ("exercise", "mean share of the points"), means),
        _table("Most frequent reasons for lost points", ("exercise", "check", "why", "students"),
               [(*key, count) for key, count in failed.most_common(20)]),
    ]  # fmt: skip
    path = room.folder / "grades" / f"{unit}.html"
    return _write_page(path, f"Assignment {unit}: the class", body)


def _write_page(path: Path, title: str, body: list[str]) -> Path:
    page = PAGE.format(title=html.escape(title), body="\n".join(body))
    write_private(path, lambda file: file.write(page))
    return path
