"""``course check PATH``: what grading would say, with the inputs that students know.

It is the grader without its walls: the answer cells of the saved file go into the notebook that was
released, that runs in a fresh process which sees none of the course's own techniques, and the
visible checks call the functions in it from outside. A helper in another cell, or a name that only
the open notebook knows, is missing here as it will be then.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_lib.checks import exercises
from course_lib.checks.calling import STUB
from course_lib.checks.exercise import Exercise
from course_lib.checks.results import HELD_OUT_NOTE, CheckResult, PartResult
from course_lib.grading.graft import Unreadable, graft
from course_lib.grading.intake import read_notebook
from course_lib.grading.isolation import PACKAGE, Limits
from course_lib.grading.marking import Submission, grade_exercise
from course_lib.grading.sandbox import Sandbox, SandboxError

RELEASED = PACKAGE / "checks" / "released"
# On a student's own machine: only what would freeze it is stopped.
LIMITS = Limits(memory=2**33, disk=2**33, processes=2**16)


class NotebookError(ValueError):
    """The notebook cannot be found, read or run; the message says what to do."""


@dataclass(frozen=True)
class Report:
    """The results of one notebook; ``print`` shows each exercise and the sum of points.

    ``oddities`` is what looks unusual in the file, as the grader would note it.
    """

    notebook: Path
    results: tuple[CheckResult, ...]
    oddities: tuple[str, ...] = ()

    @property
    def earned(self) -> int:
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> int:
        return sum(result.points for result in self.results)

    @property
    def ok(self) -> bool:
        """Every part that was run holds."""
        return all(result.ok for result in self.results)

    def __str__(self) -> str:
        lines = [str(self.notebook), *(f"Note: {oddity}" for oddity in self.oddities)]
        for result in self.results:
            text = str(result).splitlines()[:-1]  # the note on held-out checks comes once, below
            lines += text if result.status in ("wrong", "error") else text[:1]
        lines.append(f"Points from visible checks: {self.earned} of {self.points}.")
        if held_out := sum(result.held_out for result in self.results):
            lines.append(f"{HELD_OUT_NOTE} They decide {held_out} more points.")
        return "\n".join([*lines, "Written answers are read by a person."])


def find_notebook(path: Path) -> Path:
    """The notebook itself, or the only one in a folder.

    Raises
    ------
    NotebookError : nothing there, or several
    """
    found = sorted(path.glob("*.ipynb")) if path.is_dir() else [path] * path.is_file()
    if len(found) > 1:
        raise NotebookError(f"There are several notebooks in {path}: name one of them.")
    if not found:
        what = "notebook in the folder" if path.is_dir() else "file"
        raise NotebookError(f"There is no {what} {path}. Try: course check 01")
    return found[0]


def notebook_of(named: str, course: Path) -> Path:
    """The notebook that a student means: by its unit, ``01``, or by a path.

    A path is looked for where one stands, then in the folder of the course, where one may be as
    well: a terminal opened beside a notebook starts in the notebook's folder.

    Raises
    ------
    NotebookError : there is none, or several
    """
    if re.fullmatch(r"\d{1,2}", named) and not Path(named).exists():
        unit = named.zfill(2)
        found = sorted(course.glob(f"exercises/{unit}_*/{unit}_*.ipynb"))
        if not found:
            units = sorted(path.name[:2] for path in course.glob("exercises/[0-9][0-9]_*"))
            raise NotebookError(f"There is no assignment {unit}. There are: {', '.join(units)}.")
        named = os.path.relpath(found[0])
    elif not Path(named).exists() and (course / named).exists():
        named = os.path.relpath(course / named)
    return find_notebook(Path(named))


def unit_of(notebook: Path) -> str:
    """The unit from the name, for example "01" from ``01_behaviour.ipynb``."""
    for name in (notebook.name, notebook.resolve().parent.name):
        if match := re.match(r"(\d\d)_", name):
            return match.group(1)
    raise NotebookError(
        f"The name of {notebook.name} does not start with a unit such as 01_: rename it back."
    )


def released_notebook(unit: str) -> dict[str, Any]:
    """The assignment of a unit as students receive it.

    Raises
    ------
    NotebookError : there is none
    """
    for path in RELEASED.glob(f"{unit}_*.ipynb"):
        return json.loads(path.read_text("utf-8"))
    raise NotebookError(f"There is no assignment {unit}.")


def check_notebook(notebook: Path, *, call: float = 60, total: float = 300) -> Report:
    """Graft, run and check a notebook as the grader does, on its visible checks.

    Parameters
    ----------
    notebook : an ``.ipynb`` file, or a folder that holds exactly one
    call, total : seconds for one call of a function, and in all

    Raises
    ------
    NotebookError : not a notebook of an assignment, or its process could not be started
    """
    notebook = find_notebook(notebook)
    unit = unit_of(notebook)
    released = released_notebook(unit)
    try:
        book, problem = read_notebook(notebook.read_bytes())
        if book is None:
            raise Unreadable(problem)
        grafted = graft(released, book)
    except (OSError, Unreadable) as error:
        raise NotebookError(
            f"{notebook.name} is not a readable notebook ({error}). Open it in JupyterLab, save "
            "it, and try again."
        ) from None
    limits = replace(LIMITS, call=call, total=total)
    sandbox = Sandbox("none", limits)
    submission = Submission(sandbox, grafted.cells)
    try:
        results = tuple(_result(submission, exercise) for exercise in exercises(unit).values())
    except SandboxError as error:
        raise NotebookError(f"{notebook.name} could not be run: {error}") from None
    finally:
        sandbox.close()
    return Report(notebook, results, grafted.oddities)


def _result(submission: Submission, exercise: Exercise) -> CheckResult:
    """What the grader says of one exercise, in the form in which ``check`` says it."""
    graded = grade_exercise(submission, exercise)
    if graded["status"] == "infrastructure":
        raise NotebookError(f"{exercise.id}: {graded['message']}. Please report this.")
    parts = tuple(
        PartResult(part["name"], part["earned"], part["points"], part["message"])
        for part in graded["parts"]
    )
    status = {"ok": "ok", "partial": "wrong"}.get(graded["status"], "error")
    if all(part.earned == part.points for part in parts):
        status = "ok"
    elif all(part.message == STUB for part in parts):
        status = "not attempted"
    return CheckResult(exercise.id, exercise.title, status, parts, exercise.held_out_points)
