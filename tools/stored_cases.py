"""Write the stored cases of the visible checks from the answers (part of ``make exercises``).

A file is replaced only where it no longer says the same: processors round differently, and the same
answers must leave the same file.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from course_lib.checks.cases import FOLDER
from course_lib.checks.drawing import Draw
from course_lib.checks.exercise import Case, Exercise, Part
from course_lib.checks.reading import Plain
from course_lib.grading.answers import Answers, load_answers, read_answers

DIGITS = 12  # significant digits of what is stored
NEAR = 1e-6  # relative: two processors differ by less, two answers by more


def units(course: Path) -> list[str]:
    """The units that have answers, for example ``["01", "02"]``."""
    return sorted({path.parents[1].name[:2] for path in course.glob("solutions/*/answers/ex*.py")})


def cases_of(course: Path, unit: str) -> list[dict[str, Any]]:
    """What belongs into the file of a unit, computed from its answers. Takes some seconds."""
    (folder,) = course.glob(f"solutions/{unit}_*/answers")
    answers = load_answers(read_answers(folder))
    # Through JSON, so that it compares with what is read from a file.
    return json.loads(json.dumps([as_data(stored(one)) for one in answers.values()]))


def stored(answers: Answers) -> Exercise:
    """What students receive: the visible parts without the mistakes that are held out."""
    exercise = answers.exercise()
    shown = [i for i, mistake in enumerate(answers.mistakes) if not mistake.held_out]

    def shown_case(case: Case) -> Case:
        return replace(case, marks=[case.marks[i] for i in shown])

    def shown_part(part: Part) -> Part:
        messages = [part.messages[i] for i in shown]
        return replace(part, cases=tuple(map(shown_case, part.cases)), messages=messages)

    return replace(exercise, parts=tuple(map(shown_part, exercise.parts)))


def as_data(exercise: Exercise) -> dict[str, Any]:
    """The entry of an exercise in the file; ``exercise_of`` is the inverse."""

    def case(case: Case) -> dict[str, Any]:
        marks = [None if m is None else [m.kind, _rounded(m.sums)] for m in case.marks]
        right = (
            {"raises": list(case.right.raised)}
            if case.right.raised
            else {"right": _encoded(case.right.value)}
        )
        return {"draw": _draw(case.draw), "seed": case.seed, **right, "marks": marks}

    parts = [
        {
            "name": part.name,
            "points": part.points,
            "rule": part.rule,
            "hint": part.hint,
            "cases": [case(c) for c in part.cases],
        }
        for part in exercise.parts
    ]
    about = {name: getattr(exercise, name) for name in ("id", "title", "function", "points")}
    return about | {"messages": list(exercise.parts[0].messages), "parts": parts}


def _draw(draw: Draw) -> dict[str, Any]:
    """Plain data without what is left at its default; ``Draw(**data)`` is the inverse."""
    defaults = asdict(Draw(""))
    return {name: value for name, value in asdict(draw).items() if value != defaults[name]}


def _encoded(value: Plain) -> Any:
    if isinstance(value, np.ndarray):
        return {"shape": list(value.shape), "values": _rounded(value.ravel().tolist())}
    if isinstance(value, tuple):
        return {"tuple": [_encoded(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": {key: _encoded(item) for key, item in value.items()}}
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return _rounded(value)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def same(mine: Any, theirs: Any) -> bool:
    """Whether two entries say the same, numbers up to rounding.

    >>> same({"a": [1.0, "x"]}, {"a": [1.0 + 1e-9, "x"]}), same([1.0], [1.1])
    (True, False)
    """
    if isinstance(mine, list) and isinstance(theirs, list):
        if mine and all(isinstance(x, float) for x in [*mine, *theirs]):
            size = max(map(abs, filter(math.isfinite, [*mine, *theirs])), default=0.0)
            pairs = zip(mine, theirs, strict=False)
            near = (a == b or abs(a - b) <= NEAR * size or a != a != b for a, b in pairs)
            return len(mine) == len(theirs) and all(near)
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(same(mine[k], theirs[k]) for k in mine)
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=NEAR, abs_tol=NEAR)
    return mine == theirs


def store(course: Path, chosen: list[str]) -> list[Path]:
    """Bring the files of some units up to date; the paths of those that had to change."""
    changed = []
    for unit in chosen:
        path, data = FOLDER / f"{unit}.json", cases_of(course, unit)
        if not path.is_file() or not same(json.loads(path.read_text("utf-8")), data):
            path.write_text(_text(data), "utf-8")
            changed.append(path)
    return changed


def _text(data: list[dict[str, Any]]) -> str:
    """JSON with a line for each case, so that a change shows where it is."""
    entries = []
    for entry in data:
        parts = []
        for part in entry["parts"]:
            cases = ",\n   ".join(json.dumps(case) for case in part["cases"])
            about = {name: value for name, value in part.items() if name != "cases"}
            parts.append(f'{json.dumps(about)[:-1]},\n  "cases": [\n   {cases}]}}')
        about = {name: value for name, value in entry.items() if name != "parts"}
        joined = ",\n ".join(parts)
        entries.append(f'{json.dumps(about)[:-1]},\n "parts": [\n {joined}]}}')
    return "[\n" + ",\n".join(entries) + "\n]\n"


def main(arguments: list[str]) -> int:
    """``python tools/stored_cases.py [UNIT ...]`` in the folder of the course."""
    for path in store(Path.cwd(), arguments or units(Path.cwd())):
        print(path.relative_to(Path.cwd()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
