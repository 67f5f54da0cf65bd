"""Results into nbgrader's gradebook, and what a person gave there back out of it.

Only this file knows nbgrader. Its formgrader shows the written answers; it never runs anything.
The notebooks it shows are ours with the student's text in them, and that text is made harmless
first: a page of the formgrader is open in the instructor's browser, with the instructor's rights.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from course_lib.grading.classroom import ClassError, Classroom
from course_lib.grading.collect import write_json, write_private
from course_lib.grading.graft import Unreadable, graft

CONFIG = """# Written by `course grade`: start `jupyter lab` here and open the formgrader.
import os

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "interpretability"
c.CourseDirectory.root = {root!r}
# The formgrader's pages take their MathJax from here and not from the network.
path = [{pages!r}, *filter(None, [os.environ.get("JUPYTER_PATH")])]
os.environ["JUPYTER_PATH"] = os.pathsep.join(dict.fromkeys(path))
"""
MATHJAX = Path("lectures/template/slides_local/static/tex-svg-full.js")
# nbconvert's macro of this name loads a script from a foreign host. The extensions that can act on
# the page (links, styles, loading more) are not switched on. The formgrader waits for "End".
MACRO = """{%- macro mathjax(url="") -%}{% raw %}
<script>
window.MathJax = {
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]], processEscapes: true,
        packages: ["base", "ams", "newcommand"]},
  options: {enableMenu: false},
};
</script>
<script>SOURCE</script>
<script>
MathJax.Hub = {Startup: {signal: {Interest: (told) =>
  Promise.resolve(MathJax.startup && MathJax.startup.promise).then(() => told("End"))}}};
</script>
{% endraw %}{%- endmacro %}
"""


@dataclass(frozen=True)
class ByHand:
    """What a person gave for one cell in the formgrader: points, if any, and a comment."""

    points: float | None = None
    comment: str = ""


def _open(room: Classroom) -> Any:
    try:
        from nbgrader.api import Gradebook
    except ImportError:
        raise ClassError(
            "The gradebook needs nbgrader: pip install 'course-lib[grading]'"
        ) from None
    # nbgrader starts the program `alembic`, which lies beside this Python.
    path = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), path])
    database = (room.folder / "gradebook.db").resolve()
    database.touch(mode=0o600)
    database.chmod(0o600)
    try:
        return Gradebook(f"sqlite:///{database}")
    finally:
        os.environ["PATH"] = path


def write_gradebook(room: Classroom, unit: str, results: list[dict[str, Any]]) -> None:
    """Put results into the gradebook, and the notebooks the formgrader shows beside it.

    Points a person gave stay. Written answers that nobody has read are marked for reading.
    """
    name, released = room.assignment(unit), json.loads(room.released(unit))
    _write_config(room)
    # The formgrader lists the assignments it finds here; without the solutions, which it needs not.
    write_json(room.folder / "source" / name / f"{name}.ipynb", released)
    marked = [cell for cell in released["cells"] if "nbgrader" in cell["metadata"]]
    people = {row["id"]: row for row in room.roster}
    with _open(room) as book, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbgrader's own, about the order of its statements
        book.update_or_create_assignment(name)
        book.update_or_create_notebook(name, name)
        for cell in marked:
            mark = cell["metadata"]["nbgrader"]
            where, kind = (mark["grade_id"], name, name), cell["cell_type"]
            if mark["grade"]:
                book.update_or_create_grade_cell(*where, max_score=mark["points"], cell_type=kind)
            if mark["solution"]:
                book.update_or_create_solution_cell(*where)
            source = "".join(cell["source"])
            book.update_or_create_source_cell(*where, cell_type=kind, source=source)
        for result in results:
            student = result["student"]
            book.update_or_create_student(student, last_name=people.get(student, {}).get("name"))
            time = datetime.fromisoformat(result["received"])
            book.update_or_create_submission(name, student, timestamp=time)
            _write_points(book, name, result, marked)
            _write_notebook(room, unit, name, student, released, result)
        book.db.commit()


def _write_config(room: Classroom) -> None:
    """nbgrader's settings, unless an instructor wrote some; and MathJax, if the course has it."""
    config, pages = room.folder / "nbgrader_config.py", room.folder / "formgrader"
    own = CONFIG.splitlines()[0]
    if not config.is_file() or config.read_text("utf-8").startswith(own):
        places = {"root": str(room.folder.resolve()), "pages": str(pages.resolve())}
        config.write_text(CONFIG.format(**places), "utf-8")
        config.chmod(0o600)
    script = room.course / MATHJAX
    source = script.read_text("utf-8") if script.is_file() else ""
    macro = pages / "nbconvert" / "templates" / "formgrade" / "mathjax.html.j2"
    write_private(macro, lambda file: file.write(MACRO.replace("SOURCE", source)))


def _write_points(book: Any, name: str, result: dict[str, Any], marked: list[dict]) -> None:
    earned = {"check-" + e["id"].replace(".", "-"): e["earned"] for e in result["exercises"]}
    for cell in marked:
        mark = cell["metadata"]["nbgrader"]
        if not mark["grade"]:
            continue
        id, unreadable = mark["grade_id"], result["status"] == "unreadable"
        grade = book.find_grade(id, name, name, result["student"])
        if mark["solution"]:
            empty = unreadable or id in result["unanswered"] or not mark["points"]
            grade.auto_score = 0 if empty else None
        else:
            grade.auto_score = 0 if unreadable else earned.get(id)
        grade.needs_manual_grade = grade.auto_score is None and grade.manual_score is None


def _write_notebook(
    room: Classroom, unit: str, name: str, student: str, released: dict, result: dict
) -> None:
    try:
        book = graft(released, (room.collected(unit, student) or {}).get("notebook")).notebook
    except Unreadable:
        book = copy.deepcopy(released)
    told = {"check-" + e["id"].replace(".", "-"): e for e in result["exercises"]}
    for cell in book["cells"]:
        id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if cell["cell_type"] == "markdown" and id in result["written"]:
            cell["source"] = harmless("".join(cell["source"]))
        elif id in told:
            lines = [f"{p['earned']}/{p['points']} {p['name']} {p['message']}".strip() + "\n"
                     for p in told[id]["parts"]]  # fmt: skip
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": lines}]
    write_json(room.folder / "autograded" / student / name / f"{name}.ipynb", book)


def harmless(text: str) -> str:
    """Markdown in which no tag, link, image or command of MathJax that can act is left.

    >>> harmless("a <b onclick=x> ![p](https://here.org/p.png)")
    'a &lt;b onclick=x> ![p] (https:/ /here.org/p.png)'
    """
    text = text.encode("utf-8", "replace").decode("utf-8")  # half a character ends the formgrader
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("//", "/ /")
    text = text.replace("](", "] (").replace("]:", "] :")
    acts = r"\\(href|url|style|class|cssId|require|unicode|data|mmlToken|html\w*)\b"
    return re.sub(acts, r"\\text", text)


def read_by_hand(room: Classroom, unit: str) -> dict[str, dict[str, ByHand]]:
    """What people gave in the formgrader, by student and grade id; empty without a gradebook."""
    if not (room.folder / "gradebook.db").is_file():
        return {}
    from nbgrader.api import MissingEntry

    name, found = room.assignment(unit), {}
    with _open(room) as book:
        try:
            submissions = book.assignment_submissions(name)
        except MissingEntry:
            return {}
        for submission in submissions:
            for notebook in submission.notebooks:
                cells = {
                    comment.name: ByHand(None, comment.comment or "")
                    for comment in notebook.comments
                }
                for grade in notebook.grades:
                    comment = cells.get(grade.name, ByHand()).comment
                    cells[grade.name] = ByHand(grade.manual_score, comment)
                found[submission.student.id] = cells
    return found
