"""What the tests of the grader share: submissions made from the solution, and one warm sandbox."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from course_lib.grading import marking
from course_lib.grading.answers import read_answers

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_behaviour"
RELEASED = json.loads((ROOT / "exercises" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
SOLUTION = json.loads((ROOT / "solutions" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
KEY = read_answers(ROOT / "solutions" / NAME / "answers")
ANSWERS = {
    cell["id"]: "".join(cell["source"])
    for cell in SOLUTION["cells"]
    if cell["id"].startswith("answer-")
}
# Sizes are small, so that an attack on them is over soon.
LIMITS = {"call": 20, "cell": 30, "total": 90, "memory": 2**30, "disk": 2**24, "printed": 2**20}


@pytest.fixture(scope="session")
def bwrap() -> str:
    """bubblewrap that works here; without it the tests are skipped, and the summary says so."""
    path = shutil.which("bwrap")
    trial = [str(path), "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"]
    if path is None or subprocess.run(trial, capture_output=True).returncode:
        warnings.warn("bubblewrap is missing: NO ATTACK ON THE GRADER WAS TRIED.", stacklevel=1)
        pytest.skip("BUBBLEWRAP DOES NOT WORK HERE, so no attack was tried: install `bubblewrap`")
    return path


def right(**changed: str) -> dict[str, Any]:
    """A right submission in which some answers are replaced."""
    book = copy.deepcopy(RELEASED)
    for cell in book["cells"]:
        cell["source"] = ANSWERS.get(cell["id"], cell["source"])
        cell["source"] = changed.get(cell["id"].replace("-", "_"), cell["source"])
    return book


@pytest.fixture(scope="session")
def submission() -> Callable[..., dict[str, Any]]:
    return right


@pytest.fixture(scope="session")
def graded(bwrap) -> Iterator[Callable[..., dict[str, Any]]]:
    """A function that grades a submission; all share one sandbox, as those of a class do."""

    def grade(submitted: Any, *only: str, limits: dict | None = None, **more: Any) -> dict:
        job = {"unit": "01", "student": "ada", "seed": 7, "released": RELEASED, "only": only}
        job |= {"submitted": submitted, "answers": KEY, "isolation": "bwrap"}
        job["image"] = "course-grading"
        return marking.grade_submission(job | {"limits": LIMITS | (limits or {})} | more)

    yield grade
    marking.discard_sandbox()
