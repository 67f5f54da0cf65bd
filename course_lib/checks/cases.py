"""The stored cases: ``cases/NN.json`` as exercises.

``make exercises`` writes these files from ``solutions/NN_NAME/answers/``
(``tools/stored_cases.py``). They hold seeds, the right numbers, and the marks of known mistakes
under their messages; no code.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from course_lib.checks.drawing import Draw
from course_lib.checks.exercise import Case, Exercise, Outcome, Part
from course_lib.checks.reading import Mark, Plain

FOLDER = Path(__file__).parent / "cases"


@cache
def stored_exercises(unit: str) -> dict[str, Exercise]:
    """The exercises of a unit by id, with their visible parts.

    Raises
    ------
    FileNotFoundError : no cases are stored for this unit
    """
    data = json.loads((FOLDER / f"{unit}.json").read_text("utf-8"))
    return {entry["id"]: exercise_of(unit, entry) for entry in data}


def exercise_of(unit: str, data: dict[str, Any]) -> Exercise:
    """An exercise from its entry in the file."""
    messages = data["messages"]

    def case(entry: dict[str, Any]) -> Case:
        right = Outcome(_decoded(entry.get("right")), tuple(entry.get("raises", ())))
        marks = [None if m is None else Mark(m[0], tuple(map(tuple, m[1]))) for m in entry["marks"]]
        return Case(unit, Draw(**entry["draw"]), entry["seed"], right, marks)

    parts = tuple(
        Part(p["name"], p["points"], p["rule"], tuple(map(case, p["cases"])), messages, p["hint"])
        for p in data["parts"]
    )
    return Exercise(data["id"], data["title"], data["function"], data["points"], parts)


def _decoded(data: Any) -> Plain:
    if isinstance(data, list):
        return [_decoded(item) for item in data]
    if not isinstance(data, dict):
        return data
    if "shape" in data:
        return np.array(data["values"], dtype=np.float64).reshape(data["shape"])
    if "tuple" in data:
        return tuple(_decoded(item) for item in data["tuple"])
    return {key: _decoded(item) for key, item in data["dict"].items()}
