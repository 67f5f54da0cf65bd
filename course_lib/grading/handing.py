"""What goes from instructors to students and back: the release and the bundle to hand in."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from course_lib.checks.results import HELD_OUT_NOTE
from course_lib.grading.classroom import ClassError, Classroom
from course_lib.grading.graft import graft, text_of

# What a student needs beside the assignment, its walkthrough and the package to run `make lab`.
ALWAYS = (
    "README.md LICENSE LICENSE-text.md Makefile pyproject.toml requirements.lock environment.yml "
    "docs/images tools/find_python.sh notebooks/00_start_here.ipynb course_lib"
).split()
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
CLEAN = "clean"  # folder beside an assignment with the notebook as it was released
LONG = 30  # a shorter text may stand elsewhere by chance


@dataclass(frozen=True)
class Bundle:
    """A file to hand in, its receipt, and what its author may want to know before."""

    path: Path
    receipt: str
    contents: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"Bundle: {self.path}", *(f"  {line}" for line in self.contents)]
        lines += [f"Warning: {warning}" for warning in self.warnings]
        lines += [f"Receipt (sha256 of the notebook): {self.receipt}", "Hand in this one file."]
        return "\n".join([*lines, HELD_OUT_NOTE])


def make_bundle(unit: str, course: Path, out: Path) -> Bundle:
    """Pack a student's notebook of a unit. Nothing is refused except a file that is not there.

    Raises
    ------
    ClassError : there is no notebook of this unit
    """
    room = Classroom(out, course)
    name = room.assignment(unit)
    notebook = course / "exercises" / name / f"{name}.ipynb"
    clean = notebook.parent / CLEAN / notebook.name
    data, warnings = notebook.read_bytes(), []
    try:
        released = json.loads(clean.read_text("utf-8")) if clean.is_file() else None
        grafted = graft(released or json.loads(data), json.loads(data))
        if released is None:
            warnings.append(f"there is no {clean}: what is not answered cannot be seen")
        else:
            warnings += [f"{id} is not answered yet" for id in grafted.unanswered]
        warnings += grafted.oddities
    except ValueError as error:
        warnings.append(f"this file cannot be graded ({error}): save it in JupyterLab again")
    made = datetime.now().astimezone()
    about = {"unit": unit, "made": made.isoformat(), "sha256": hashlib.sha256(data).hexdigest()}
    path = out / f"{name}-{made:%Y%m%d-%H%M%S}.zip"
    out.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.ipynb", data)
        archive.writestr("submission.json", json.dumps(about, indent=1))
    contents = (f"{name}.ipynb, {len(data) // 1024} KiB", "submission.json: unit, time, receipt")
    return Bundle(path, about["sha256"], contents, tuple(warnings))


def make_release(room: Classroom, units: list[str], out: Path) -> Path:
    """A zip file with what students receive, searched for everything they must not receive.

    Raises
    ------
    ClassError : a solution, a held-out check or a rubric would have been in it
    """
    names = [room.assignment(unit) for unit in units]
    if (target := out / f"course-{'-'.join(units)}").exists():
        shutil.rmtree(target)
    books = [f"exercises/{name}/{name}.ipynb" for name in names]
    walks = [
        str(p.relative_to(room.course)) for u in units for p in room.course.glob(f"notebooks/{u}_*")
    ]
    for item in [*ALWAYS, *walks, *books]:
        source, place = room.course / item, target / item
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=LEFT_OUT)
        elif source.is_file():
            shutil.copyfile(source, place)
    for book in books:
        clean = (target / book).parent / CLEAN
        clean.mkdir()
        shutil.copyfile(target / book, clean / Path(book).name)
    if leaked := leaks(room.course, target):
        shutil.rmtree(target)
        raise ClassError("Not released, students would have seen: " + "; ".join(leaked[:5]))
    return Path(shutil.make_archive(str(target), "zip", out, target.name))


def leaks(course: Path, release: Path) -> list[str]:
    """What of solutions, held-out checks and rubrics can be found in a folder."""
    texts = {}
    for path in sorted(release.rglob("*")):
        inside = path.relative_to(release)
        if path.name in ("hidden_checks.py", "rubric.md") or inside.parts[0] == "solutions":
            return [str(inside)]
        if path.suffix in (".py", ".ipynb", ".md", ".toml", ".sh", ".json") and path.is_file():
            texts[inside] = path.read_text("utf-8")
    secrets = set()
    for path in course.glob("solutions/*/hidden_checks.py"):
        tree = ast.parse(path.read_text("utf-8"))
        secrets |= {f"def {n.name}(" for n in tree.body if isinstance(n, ast.FunctionDef)}
        strings = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
        secrets |= {s for s in strings if isinstance(s, str) and len(s) >= LONG}
    for path in course.glob("solutions/*/rubric.md"):
        secrets |= {line for line in path.read_text("utf-8").splitlines() if len(line) >= LONG}
    found = [f"{p}: {s[:60]}" for p, text in texts.items() for s in secrets if s in text]
    answers = set()
    for path in course.glob("solutions/*/*.ipynb"):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            for part in (text_of(cell) or "").split("### BEGIN SOLUTION")[1:]:
                lines = part.split("### END SOLUTION")[0].splitlines()
                answers |= {json.dumps(s)[1:-1] for line in lines if len(s := line.strip()) >= LONG}
    books = {p: text for p, text in texts.items() if p.suffix == ".ipynb"}
    found += [f"{p}: {s[:60]}" for p, text in books.items() for s in answers if s in text]
    return found
