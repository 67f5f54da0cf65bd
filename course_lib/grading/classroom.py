"""A class on disk.

A class is a folder: ``roster.csv``, ``class.toml`` (dates, late policy, limits; all optional), a
secret ``key``, and what the commands write: ``collected/``, ``results/``, ``feedback/`` and more.
How it is graded stands in ``run.py``.
"""

from __future__ import annotations

import hmac
import json
import math
import os
import re
import secrets
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from course_lib.grading.answers import read_answers
from course_lib.grading.collect import CollectError, read_roster
from course_lib.grading.isolation import PACKAGE
from course_lib.grading.marking import default_limits
from course_lib.grading.settings import ClassError, read_settings

DAY = 24 * 3600


class Classroom:
    """The folder of a class, together with the folder of the course."""

    def __init__(self, folder: Path, course: Path = PACKAGE.parent) -> None:
        self.folder, self.course = folder, course

    @cached_property
    def settings(self) -> dict[str, Any]:
        units = [p.parent.name[:2] for p in self.course.glob("exercises/*/*.ipynb")]
        known = (self.folder / "roster.csv").is_file()
        students = [row["id"] for row in self.roster] if known else []
        path = self.folder / "class.toml"
        return read_settings(path, sorted(set(units)), students, default_limits())

    @cached_property
    def roster(self) -> list[dict[str, str]]:
        try:
            return read_roster(self.folder / "roster.csv")
        except CollectError as error:
            raise ClassError(str(error)) from None

    @property
    def limits(self) -> dict[str, Any]:
        return default_limits() | self.settings.get("limits", {})

    def assignment(self, unit: str) -> str:
        """The name of a unit's assignment, for example ``01_behaviour``."""
        found = sorted(self.course.glob(f"exercises/{unit}_*/{unit}_*.ipynb"))
        if not found:
            raise ClassError(f"There is no assignment {unit} in {self.course / 'exercises'}.")
        return found[0].stem

    def released(self, unit: str) -> bytes:
        name = self.assignment(unit)
        return (self.course / "exercises" / name / f"{name}.ipynb").read_bytes()

    def answers(self, unit: str) -> dict[str, str]:
        """The texts of the unit's answers files by name, which must be here to grade."""
        folder = self.course / "solutions" / self.assignment(unit) / "answers"
        if not (texts := read_answers(folder)):
            raise ClassError(f"{folder} is empty: nothing can be graded without the answers.")
        return texts

    def seed(self, unit: str, student: str) -> int:
        """The seed of a student's random inputs: it follows from the class's key and the id."""
        path = self.folder / "key"
        if not path.is_file():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))
        if not re.fullmatch(r"[0-9a-f]{64}\s*", key := path.read_text("utf-8", "replace")):
            raise ClassError(
                f"{path} does not hold the key of this class: 64 digits 0-9a-f. Get it back from a "
                "copy; without it, delete the file, and everyone is graded again on new inputs."
            )
        digest = hmac.new(bytes.fromhex(key), f"{unit} {student}".encode(), "sha256")
        return int.from_bytes(digest.digest()[:6])

    def folder_of(self, what: str, unit: str) -> Path:
        return self.folder / what / unit

    def result(self, unit: str, student: str) -> dict[str, Any] | None:
        return _read(self.folder_of("results", unit) / f"{student}.json")

    def collected(self, unit: str, student: str) -> dict[str, Any] | None:
        return _read(self.folder_of("collected", unit) / f"{student}.json")

    def results(self, unit: str) -> list[dict[str, Any]]:
        found = (self.result(unit, row["id"]) for row in self.roster)
        return [result for result in found if result is not None]

    def late(self, unit: str, student: str, received: str) -> tuple[int, float]:
        """Days after the date due, begun ones counting, and the percentage that they cost."""
        due = self.settings.get("extensions", {}).get(unit, {}).get(student)
        due = due or self.settings.get("due", {}).get(unit)
        if due is None or not received:
            return 0, 0.0
        policy = self.settings.get("late", {})
        due = due if due.tzinfo else due.astimezone()
        over = (datetime.fromisoformat(received) - due).total_seconds()
        over -= 60 * policy.get("grace_minutes", 0)
        days = max(0, math.ceil(over / DAY))
        cost = policy.get("percent_per_day", 0) * days
        return days, float(min(cost, policy.get("most_percent", 100)))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text("utf-8")) if path.is_file() else None
    except ValueError:
        raise ClassError(f"{path} is damaged: delete it, then collect and grade again.") from None
