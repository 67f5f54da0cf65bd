"""What goes from instructors to students and back: the release and the bundle to hand in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from course_lib.checks.results import HELD_OUT_NOTE
from course_lib.doctor.terminal import short
from course_lib.grading.answers import load_answers, read_answers
from course_lib.grading.checking import released_notebook
from course_lib.grading.classroom import ClassError, Classroom
from course_lib.grading.graft import Unreadable, graft, text_of
from course_lib.grading.intake import read_notebook
from course_lib.grading.isolation import PACKAGE
from course_lib.grading.likeness import functions_in, shape_of

# What a student needs beside the assignment, its walkthrough and the package to run `make lab`.
ALWAYS = (
    "README.md LICENSE LICENSE-text.md Makefile pyproject.toml requirements.lock environment.yml "
    "docs/images tools/find_python.sh tools/set_up.sh notebooks/00_start_here.ipynb course_lib"
).split()
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
LONG = 30  # a shorter text may stand elsewhere by chance


@dataclass(frozen=True)
class Bundle:
    """A file to hand in, its receipt, and what its author may want to know before."""

    path: Path
    receipt: str
    contents: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"Bundle: {short(self.path)}", *(f"  {line}" for line in self.contents)]
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
    data, warnings = notebook.read_bytes(), []
    book, problem = read_notebook(data)
    try:
        if book is None:
            raise Unreadable(problem)
        grafted = graft(released_notebook(unit), book)
        warnings += [f"{id} is not answered yet" for id in grafted.unanswered]
        warnings += grafted.oddities
    except Unreadable as error:
        warnings.append(f"this file cannot be graded. {error}")
    made = datetime.now().astimezone()
    about = {"unit": unit, "made": made.isoformat(), "sha256": hashlib.sha256(data).hexdigest()}
    path = out / f"{name}-{made:%Y%m%d-%H%M%S}.zip"
    _write_whole(path, {f"{name}.ipynb": data, "submission.json": json.dumps(about, indent=1)})
    contents = (f"{name}.ipynb, {len(data) // 1024} KiB", "submission.json: unit, time, receipt")
    return Bundle(path, about["sha256"], contents, tuple(warnings))


def _write_whole(path: Path, files: dict[str, bytes | str]) -> None:
    """A zip file, or none: on a full disk no half of one is left that looks like the whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
    if leaked := leaks(room.course, target):
        shutil.rmtree(target)
        raise ClassError("Not released, students would have seen: " + "; ".join(leaked[:5]))
    return Path(shutil.make_archive(str(target), "zip", out, target.name))


def leaks(course: Path, release: Path) -> list[str]:
    """What of solutions, answers, held-out checks and rubrics can be found in a folder."""
    texts = {}
    for path in sorted(release.rglob("*")):
        inside = path.relative_to(release)
        secret = inside.parts[0] == "solutions" or inside.parent.name == "answers"
        if secret or path.name == "rubric.md":
            return [str(inside)]
        if path.suffix in (".py", ".ipynb", ".md", ".toml", ".sh", ".json") and path.is_file():
            texts[inside] = path.read_text("utf-8")
    shapes, secrets = _secrets_of_answers(course)
    for path in course.glob("solutions/*/rubric.md"):
        secrets |= {line for line in path.read_text("utf-8").splitlines() if len(line) >= LONG}
    found = [f"{p}: {s[:60]}" for p, text in texts.items() for s in secrets if s in text]
    for path, text in texts.items():
        sources = [text] if path.suffix == ".py" else _code_of(text, path)
        functions = (function for source in sources for function in functions_in(source))
        found += [f"{path}: {f.name}" for f in functions if shape_of(f) in shapes]
    lines = set()
    for path in course.glob("solutions/*/*.ipynb"):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            for part in (text_of(cell) or "").split("### BEGIN SOLUTION")[1:]:
                body = part.split("### END SOLUTION")[0].splitlines()
                lines |= {json.dumps(s)[1:-1] for line in body if len(s := line.strip()) >= LONG}
    books = {p: text for p, text in texts.items() if p.suffix == ".ipynb"}
    return found + [f"{p}: {s[:60]}" for p, text in books.items() for s in lines if s in text]


def _code_of(text: str, path: Path) -> list[str]:
    """The code cells of a notebook; of another file nothing."""
    if path.suffix != ".ipynb":
        return []
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError, TypeError):  # a damaged one has no cells to run
        return []
    return [text_of(cell) or "" for cell in cells if cell["cell_type"] == "code"]


def _secrets_of_answers(course: Path) -> tuple[set[str], set[str]]:
    """The shapes of all answers, right and wrong, and the texts that only held-out checks say."""
    shapes, hidden, shown = set(), set(), set()
    for folder in course.glob("solutions/*/answers"):
        sources = read_answers(folder)
        shapes |= {shape_of(f) for source in sources.values() for f in functions_in(source)}
        for answers in load_answers(sources).values():
            for mistake in answers.mistakes:
                (hidden if mistake.held_out else shown).add(mistake.message)
            for part in answers.planned:
                notes = {part.name, part.rule, part.hint, *(draw.note for draw in part.draws)}
                (hidden if part.held_out else shown).update(notes)
    # What an observer of the inputs says stands beside it in the package, and is no secret.
    told = "".join(p.read_text("utf-8") for p in (PACKAGE / "checks" / "inputs").glob("*.py"))
    hidden = {text for text in hidden - shown if len(text) >= LONG and text not in told}
    secrets = {json.dumps(text)[1:-1] for text in hidden}
    return shapes, secrets
