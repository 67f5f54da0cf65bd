"""The gate of the assignments: what students get, what they must not get, and what it is worth."""

from __future__ import annotations

import ast
import copy
import itertools
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from course_lib.checks import UNITS, exercises
from course_lib.grading import checking
from course_lib.grading.answers import load_answers, read_answers
from course_lib.grading.likeness import functions_in, shape_of
from course_lib.grading.marking import default_limits, discard_sandbox, grade_submission

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.parent.name for path in (ROOT / "solutions").glob("*/*.ipynb"))
HAS_MODEL = (ROOT / "course_lib" / "assets" / "course-lm" / "model.safetensors").is_file()
LINE = 30  # shorter lines can be alike by chance


def cells(folder: str, name: str) -> list[dict]:
    return json.loads((ROOT / folder / name / f"{name}.ipynb").read_text("utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def released_text() -> str:
    files = (path for path in (ROOT / "exercises").rglob("*") if path.is_file())
    return "\n".join(path.read_text("utf-8") for path in files)


def library_text() -> str:
    return "\n".join(path.read_text("utf-8") for path in (ROOT / "course_lib").rglob("*.py"))


def solutions_of(name: str) -> list[list[str]]:
    """The lines between the markers, one list for each answer."""
    pattern = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.S)
    parts = [part for cell in cells("solutions", name) for part in pattern.findall(source(cell))]
    return [[line.strip() for line in part.splitlines() if line.strip()] for part in parts]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_every_unit_with_checks_has_an_assignment():
    assert [checking.unit_of(Path(f"{name}.ipynb")) for name in NAMES] == sorted(UNITS)


def test_regeneration_gives_the_same_bytes(tmp_path):
    pytest.importorskip("nbgrader")
    from make_exercises import build

    built = {p.relative_to(tmp_path): p.read_bytes() for p in build(ROOT, tmp_path)}
    release = ROOT / "exercises"
    stored = {p.relative_to(release): p.read_bytes() for p in release.rglob("*") if p.is_file()}
    # The keys too: a rubric or a file of held-out checks in exercises/ would be one too many.
    assert stored.keys() == built.keys()
    assert [str(name) for name in built if stored[name] != built[name]] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_solution_text_is_released(name):
    answers = solutions_of(name)
    lines = [line for answer in answers for line in answer if len(line) >= LINE]
    assert len(answers) >= 8 and len(lines) >= 20
    text = squeezed(released_text())
    assert [line for line in lines if squeezed(line) in text] == []
    # A single line of the library may be the same idiom; two in a row would be the answer.
    code = squeezed(library_text())
    pairs = [f"{a} {b}" for answer in answers for a, b in itertools.pairwise(answer)]
    assert [pair for pair in pairs if len(pair) >= LINE and squeezed(pair) in code] == []
    assert "SOLUTION" not in released_text()


def shapes_below(folder: str) -> dict[str, str]:
    """Every longer function in the modules and code cells of a folder, by its shape."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix == ".py":
            texts = [path.read_text("utf-8")]
        elif path.suffix == ".ipynb":
            book = json.loads(path.read_text("utf-8"))
            texts = [source(cell) for cell in book["cells"] if cell["cell_type"] == "code"]
        else:
            continue
        for text in texts:
            found |= {
                shape_of(f): f"{path.relative_to(ROOT)}: {f.name}" for f in functions_in(text)
            }
    return found


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_stands_in_anything_that_students_receive(name):
    answers = {
        shape_of(function): function.name
        for text in read_answers(ROOT / "solutions" / name / "answers").values()
        for function in functions_in(text)
    }
    assert len(answers) >= 20
    for folder in ("course_lib", "exercises", "notebooks", "lectures"):
        students = shapes_below(folder)
        same = {answers[shape]: students[shape] for shape in answers.keys() & students.keys()}
        assert same == {}


@pytest.mark.parametrize("name", NAMES)
def test_what_only_held_out_checks_say_is_not_released(name):
    answers = load_answers(read_answers(ROOT / "solutions" / name / "answers")).values()
    known = [mistake for one in answers for mistake in one.mistakes]
    messages = {m.message for m in known if m.held_out}
    messages -= {m.message for m in known if not m.held_out}
    observers = ROOT / "course_lib" / "checks" / "inputs"  # they say what they see
    told = "".join(path.read_text("utf-8") for path in observers.glob("*.py"))
    messages = {message for message in messages if message not in told}
    text = released_text() + library_text()
    for path in (ROOT / "course_lib" / "checks" / "cases").glob("*.json"):
        text += path.read_text("utf-8")
    assert [m for m in messages if m in text or json.dumps(m)[1:-1] in text] == []


def test_the_copies_in_the_package_are_the_assignments():
    copies = {path.name: path.read_bytes() for path in checking.RELEASED.glob("*.ipynb")}
    books = {path.name: path.read_bytes() for path in (ROOT / "exercises").glob("*/*.ipynb")}
    assert copies == books


@pytest.mark.parametrize("name", NAMES)
def test_rubric_stays_with_the_instructors(name):
    rubric = (ROOT / "solutions" / name / "rubric.md").read_text("utf-8")
    assert all(heading in rubric for heading in ("Exemplar levels", "Known misconceptions"))
    assert all(f"**{level} (" in rubric for level in ("Good", "Middle", "Weak"))
    lines = [line.strip() for line in rubric.splitlines() if len(line.strip()) >= LINE]
    assert [line for line in lines if line in released_text()] == []


@pytest.mark.parametrize("folder", ["solutions", "exercises"])
@pytest.mark.parametrize("name", NAMES)
def test_nbgrader_metadata_is_valid(folder, name):
    validator = pytest.importorskip("nbgrader.nbgraderformat").MetadataValidator
    validator().validate_nb(nbformat.read(ROOT / folder / name / f"{name}.ipynb", 4))
    marked = [c["metadata"]["nbgrader"] for c in cells(folder, name) if "nbgrader" in c["metadata"]]
    assert sum(m.get("points", 0) for m in marked if m["grade"]) == 100
    ids = [c["id"] for c in cells(folder, name)]
    assert len(set(ids)) == len(ids) and len({m["grade_id"] for m in marked}) == len(marked)
    checks = [m for m in marked if m["grade"] and not m["solution"]]
    assert checks and all(m["locked"] for m in checks)


@pytest.mark.parametrize("name", NAMES)
def test_notebook_and_checks_agree(name):
    unit = exercises(checking.unit_of(Path(f"{name}.ipynb")))
    found = {c["id"]: c for c in cells("exercises", name)}
    minutes = 0
    for id, exercise in unit.items():
        key = id.replace(".", "-")
        text, answer = source(found[f"text-{key}"]), source(found[f"answer-{key}"])
        assert text.startswith(f"## Exercise {id}: ")
        stated = re.search(r"Difficulty ([1-5]) of 5 · about (\d+) minutes · (\d+) points", text)
        assert int(stated.group(3)) == exercise.points
        minutes += int(stated.group(2))
        assert found[f"check-{key}"]["metadata"]["nbgrader"]["points"] == exercise.points
        assert source(found[f"check-{key}"]) == f'check("{id}", {exercise.function})'
        hints = re.findall(r"<summary>Hint \d: (.*?)</summary>", text)
        assert hints == ["a question", "an idea", "a sketch"]
        function = ast.parse(answer).body[0]
        assert function.name == exercise.function and function.returns is not None
        assert all(argument.annotation for argument in function.args.args)
        assert {"Parameters", "Returns"} <= set(ast.get_docstring(function).split())
        assert ast.unparse(function.body[-1]) == "raise NotImplementedError()"
    assert 5 <= len(unit) <= 7 and 100 <= minutes <= 180


# --- what they are worth -------------------------------------------------------------------


def notebook(folder: str, name: str) -> Path:
    return ROOT / folder / name / f"{name}.ipynb"


def graded(name: str, folder: str) -> dict:
    """What the grader gives for a notebook, with the inputs of some student."""
    book = json.loads(notebook(folder, name).read_text("utf-8"))
    job = {"unit": name[:2], "student": "any", "seed": 3, "isolation": "none"}
    job |= {"released": checking.released_notebook(name[:2]), "submitted": book}
    job |= {"answers": read_answers(ROOT / "solutions" / name / "answers")}
    result = grade_submission(job | {"limits": default_limits()})
    discard_sandbox()
    return result


@pytest.mark.parametrize("name", NAMES)
def test_solution_gets_full_marks(name):
    report = checking.check_notebook(notebook("solutions", name))
    assert report.ok, str(report)
    result = graded(name, "solutions")
    said = [part for e in result["exercises"] for part in e["parts"] if part["message"]]
    assert (result["status"], result["earned"], result["points"]) == ("ok", 90, 90), said


@pytest.mark.parametrize("name", NAMES)
def test_blank_assignment_gets_nothing(name):
    report = checking.check_notebook(notebook("exercises", name))
    assert report.earned == 0 < report.points
    assert {result.status for result in report.results} == {"not attempted"}
    result = graded(name, "exercises")
    assert (result["earned"], result["points"]) == (0, 90)


def execute(path: Path) -> list[tuple[str, dict]]:
    """Run a notebook in a kernel; (cell id, output) for all that came out."""
    book = nbformat.read(path, 4)
    if not HAS_MODEL:  # before `make models`, the closing cells cannot run
        book.cells = [c for c in book.cells if "needs-model" not in c.metadata.get("tags", [])]
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        book, timeout=400, kernel_name="python3", allow_errors=True, resources=where
    ).execute()
    return [(cell.id, output) for cell in book.cells for output in cell.get("outputs", [])]


def errors_of(outputs: list[tuple[str, dict]]) -> list[tuple[str, str]]:
    return [(id, output.ename) for id, output in outputs if output.output_type == "error"]


NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")


def same_line(claimed: str, printed: str) -> bool:
    """Equal words, and numbers that differ by what another processor may change."""
    words = [NUMBER.sub("#", line).split() for line in (claimed, printed)]
    numbers = [[float(n) for n in NUMBER.findall(line)] for line in (claimed, printed)]
    return words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], abs=0.11)


def test_lines_are_compared_by_their_numbers():
    assert same_line("age  +9.5  9  m -1.0", "age +9.6 9 m -1.0")
    for other in ("age +9.7 9 m -1.0", "sex +9.5 9 m -1.0", "age +9.5 8 m -1.0", "age +9.5 9"):
        assert not same_line("age  +9.5  9  m -1.0", other)


@pytest.mark.parametrize("name", NAMES)
def test_solution_runs_in_a_kernel_and_prints_what_the_rubric_says(name):
    outputs = execute(notebook("solutions", name))
    assert errors_of(outputs) == []
    rubric = (ROOT / "solutions" / name / "rubric.md").read_text("utf-8")
    claimed = "\n".join(re.findall(r"```text\n(.*?)```", rubric, re.S)).splitlines()
    printed = "".join(output.get("text", "") for _, output in outputs).splitlines()
    assert [a for a in claimed if HAS_MODEL and not any(same_line(a, b) for b in printed)] == []


@pytest.mark.parametrize("name", NAMES)
def test_blank_assignment_stops_only_where_an_answer_is_missing(name):
    errors = errors_of(execute(notebook("exercises", name)))
    assert {error for _, error in errors} <= {"NotImplementedError"}
    assert [id for id, _ in errors if not id.startswith("use-")] == []
    assert bool(errors) == HAS_MODEL


# --- notebooks as students leave them ------------------------------------------------------


@pytest.fixture
def submission(tmp_path):
    """A function that writes the solution notebook with one answer replaced."""
    original = json.loads(notebook("solutions", "01_behaviour").read_text("utf-8"))

    def write(answer: str | None, code: str = "") -> Path:
        book = copy.deepcopy(original)
        for cell in book["cells"]:
            if cell["id"] == answer:
                cell["source"] = code
        path = tmp_path / "01_behaviour.ipynb"
        path.write_text(json.dumps(book), "utf-8")
        return path

    return write


def statuses(report: checking.Report) -> dict[str, str]:
    return {result.exercise: result.status for result in report.results}


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        ("def minimal_pair_accuracy(good, bad:", "wrong", "SyntaxError"),
        ("raise SystemExit", "wrong", "no function minimal_pair_accuracy"),
        ("def my_name(good, bad, ties): return 1", "wrong", "no function"),
        ("def minimal_pair_accuracy(*a): return 1 / 0", "wrong", "ZeroDivisionError"),
        ("minimal_pair_accuracy = 3", "wrong", "must be a function"),
        ("import os; os._exit(7)", "error", "Your cell was stopped"),
        ("def minimal_pair_accuracy(*a):\n    while True: pass", "error", "longer than"),
    ],
)
def test_one_broken_answer_leaves_the_others_alone(submission, code, status, message):
    report = checking.check_notebook(submission("answer-01-3", code), call=5)
    found = statuses(report)
    assert found.pop("01.3") == status and set(found.values()) == {"ok"}
    assert message in report.results[2].message and message in str(report)
    assert report.earned == report.points - 7


def test_what_stands_in_other_cells_is_not_run_and_said(submission):
    """As in grading: a helper in a cell of its own is missing there, too."""
    code = "def region_surprisals(*a): return helper(*a)"
    path = submission("answer-01-6", code)
    book = json.loads(path.read_text("utf-8"))
    cell = {"cell_type": "code", "id": "mine", "metadata": {}, "outputs": []}
    book["cells"].insert(1, cell | {"source": "def helper(*a): ...", "execution_count": None})
    path.write_text(json.dumps(book), "utf-8")
    report = checking.check_notebook(path)
    assert "NameError" in report.results[5].message
    assert "1 code cells outside the answers were added or changed; not graded" in str(report)


def test_a_wrapper_of_the_library_is_refused_with_the_reason(submission):
    code = "from course_lib.behaviour import score_suite as region_surprisals"
    report = checking.check_notebook(submission("answer-01-6", code))
    assert report.results[5].earned == 0
    assert "asks you to write it yourself" in report.results[5].message


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}'])
def test_damaged_file_is_named(tmp_path, text):
    path = tmp_path / "01_behaviour.ipynb"
    path.write_text(text)
    with pytest.raises(checking.NotebookError, match="not a readable notebook"):
        checking.check_notebook(path)


def test_command_line(submission, tmp_path, capsys):
    from course_lib import cli

    submission("answer-01-6", "def region_surprisals(*a): raise NotImplementedError()")
    assert cli.main(["check", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "01.6 surprisal of regions: not attempted yet, 0 of 7 points" in text
    assert "Points from visible checks: 54 of 61." in text
    assert "Held-out checks run at grading. They decide 29 more points." in text
    assert "passed" not in text
    assert cli.main(["check", str(tmp_path / "nowhere")]) == 2
    (tmp_path / "empty").mkdir()
    assert cli.main(["check", str(tmp_path / "empty")]) == 2
    (tmp_path / "notes.ipynb").write_text("{}")
    assert cli.main(["check", str(tmp_path / "notes.ipynb")]) == 2
    assert cli.main(["check", str(submission(None))]) == 0


def test_course_check_takes_a_folder(submission, tmp_path, capsys):
    from course_lib import cli

    submission(None)
    assert cli.main(["check", str(tmp_path)]) == 0
    assert "Points from visible checks: 61 of 61." in capsys.readouterr().out
    (tmp_path / "01_copy.ipynb").write_text("{}")
    assert cli.main(["check", str(tmp_path)]) == 2
    assert "several notebooks" in capsys.readouterr().err


def test_a_missing_marker_stops_the_generator(tmp_path):
    pytest.importorskip("nbgrader")
    from make_exercises import ExerciseError, build

    folder = tmp_path / "solutions" / "01_behaviour"
    folder.mkdir(parents=True)
    text = notebook("solutions", "01_behaviour").read_text("utf-8")
    (folder / "01_behaviour.ipynb").write_text(text.replace("### END SOLUTION", "", 1), "utf-8")
    (tmp_path / "nbgrader_config.py").write_text((ROOT / "nbgrader_config.py").read_text())
    with pytest.raises(ExerciseError, match="solution"):
        build(tmp_path, tmp_path / "exercises")
    assert not (tmp_path / "exercises").exists()


@pytest.mark.parametrize("name", NAMES)
def test_each_assignment_ends_with_how_to_hand_it_in(name):
    last = cells("exercises", name)[-1]
    assert last["cell_type"] == "markdown" and "nbgrader" not in last["metadata"]
    text, unit = source(last), name[:2]
    assert f"`course check {unit}`" in text and f"`course submit {unit}`" in text
    assert f"`exercises/{name}/{name}.ipynb`" in text and "receipt" in text
