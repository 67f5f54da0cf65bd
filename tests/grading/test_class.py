"""From a folder of submissions to points, pages and a gradebook, as an instructor would do it."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from course_lib import cli
from course_lib.checks import exercises
from course_lib.checks.drawing import Draw
from course_lib.checks.exercise import Case, Exercise, Outcome, Part
from course_lib.grading import (
    gradebook,
    handing,
    isolation,
    marking,
    reports,
    sandbox,
)
from course_lib.grading import run as run_of_class
from course_lib.grading.answers import load_answers, read_answers
from course_lib.grading.classroom import ClassError, Classroom
from course_lib.grading.collect import read_roster, write_json
from course_lib.grading.graft import graft, imported_modules
from course_lib.grading.likeness import functions_in

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_behaviour"
SCRIPT = "<script>alert(1)</script>"


def run(*arguments: str | Path) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def room(tmp_path_factory, submission, graded) -> Classroom:
    """A class of five, collected and graded through the commands."""
    folder = tmp_path_factory.mktemp("class")
    written = f"{SCRIPT} The [lead](javascript:alert(1)) is ![p](http://x.org/p.png) small: $x^2$."
    books = {
        "ada": submission(),
        "bob": submission(answer_01_3=f"def minimal_pair_accuracy(*a): raise TypeError('{SCRIPT}')",
                          answer_01_8=written),
        "eve": submission(answer_01_6="import os; os._exit(3)"),
    }  # fmt: skip
    for student, book in books.items():
        write_json(folder / "in" / student / f"{NAME}.ipynb", book)
    (folder / "in" / "cut").mkdir()
    (folder / "in" / "cut" / f"{NAME}.ipynb").write_text('{"cells"')
    (folder / "roster.csv").write_text("id,name\nada,Ada\nbob,=Bob()\neve,Eve\ncut,Cut\nnone,Nun\n")
    (folder / "class.toml").write_text(
        "[due]\n01 = 2000-01-01T12:00:00Z\n[extensions.01]\nada = 2100-01-01T00:00:00Z\n"
        "[late]\npercent_per_day = 1\nmost_percent = 20\n[limits]\n"
        "call = 20\ncell = 30\ntotal = 90\n"
        "memory = 1073741824\ndisk = 16777216\nprinted = 1048576\n"
    )
    assert run("collect", "01", folder / "in", "--class", folder) == 1  # one is missing
    assert run("grade", "01", "--class", folder) == 0
    return Classroom(folder)


@pytest.fixture
def box(graded, submission):
    """The sandbox that all share, with the time of a new submission."""
    graded(submission(), "01.6")
    return marking._kept.sandbox


def rows(room: Classroom) -> dict[str, dict[str, str]]:
    with (room.folder / "grades" / "01.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_table_of_the_class(room):
    table = rows(room)
    found = {s: (r["status"], r["automatic"], r["penalty_percent"]) for s, r in table.items()}
    assert found == {
        "ada": ("ok", "90", "0.0"),
        "bob": ("partial", "80", "20.0"),
        "eve": ("died", "80", "20.0"),
        "cut": ("unreadable", "0", "20.0"),
        "none": ("missing", "", ""),
    }
    assert table["bob"]["final"] == "64.0" and table["bob"]["name"] == "'=Bob()"
    assert table["ada"]["to_do"] == "read answer-01-8"
    assert table["cut"]["to_do"] == "ask for a readable file"
    assert {row["maximum"] for row in table.values()} == {"100"}


def test_results_say_how_they_came_about(room):
    result = room.result("01", "eve")
    assert {"format", "unit", "student", "seed", "isolation", "limits", "attempts", "oddities",
            "unanswered", "written", "exercises", "points", "earned", "status", "message",
            "seconds", "inputs", "received", "sha256"} == set(result)  # fmt: skip
    assert result["isolation"] == "bwrap" and result["format"] == marking.FORMAT
    exercise = next(e for e in result["exercises"] if e["id"] == "01.6")
    assert set(exercise) == {"id", "title", "points", "earned", "status", "message", "seconds",
                             "parts"}  # fmt: skip
    assert exercise["status"] == "died" and "Your cell was stopped" in exercise["message"]
    assert {"name", "held_out", "points", "earned", "message"} == set(exercise["parts"][0])
    assert sum(part["held_out"] for part in exercise["parts"]) == 2
    assert room.result("01", "none") is None


def test_a_second_run_has_nothing_to_do(room, capsys):
    before = {p: p.stat().st_mtime_ns for p in (room.folder / "results/01").iterdir()}
    assert run("grade", "01", "--class", room.folder, "--no-gradebook") == 0
    assert "nothing new" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (room.folder / "results/01").iterdir()} == before


def test_one_exercise_of_one_student_again(room):
    path = room.folder / "results/01/bob.json"
    stored = path.read_text("utf-8")
    spoilt = json.loads(stored)
    for exercise in spoilt["exercises"][:3]:
        exercise["earned"], exercise["title"] = 0, "spoilt"
    write_json(path, spoilt)
    room.result("01", "bob")
    options = ["--student", "bob", "--exercise", "01.1", "--exercise", "01.3", "--no-gradebook"]
    options += ["--jobs", "0"]
    assert run("grade", "01", "--class", room.folder, *options) == 0
    now = room.result("01", "bob")
    titles = [exercise["title"] for exercise in now["exercises"]]
    assert [title == "spoilt" for title in titles] == [False, True] + [False] * 5
    assert (now["earned"], now["points"], now["status"]) == (65, 90, "partial")
    path.write_text(stored, "utf-8")


def test_whoever_is_named_must_have_handed_in(room, capsys):
    assert run("grade", "01", "--class", room.folder, "--student", "none") == 2
    assert "Nothing was collected from none" in capsys.readouterr().err


def test_a_fault_of_ours_is_tried_again_and_never_scored(room, monkeypatch, tmp_path):
    monkeypatch.setattr(isolation, "runtime_paths", lambda: ["/usr/lib"])
    job = next(run_of_class.jobs_for(room, "01", "bwrap", "", ["ada"], []))
    marking.discard_sandbox()
    result = marking.grade_submission(job | {"only": ["01.3"]})
    assert (result["status"], result["earned"], result["attempts"]) == ("infrastructure", None, 3)
    assert "did not start" in result["message"]
    path = room.folder / "results/01/ada.json"
    stored = path.read_text("utf-8")
    write_json(path, result | {"inputs": job["inputs"], "received": job["received"]})
    [row] = [r for r in reports.table_of(room, "01") if r["student"] == "ada"]
    assert row["to_do"].startswith("grade again") and row["final"] == ""
    again = [j["student"] for j in run_of_class.jobs_for(room, "01", "bwrap", "", [], [])]
    assert again == ["ada"]
    path.write_text(stored, "utf-8")


def test_a_fault_in_a_check_is_reported_to_the_instructor(box, submission):
    case = exercises("01")["01.3"].parts[0].cases[0]
    fails = replace(case, right=Outcome(-1.0))
    faulty = Case("01", Draw("no_such_builder"), [1], Outcome(1.0))
    parts = (Part("a", 1, "because", (fails,)), Part("b", 2, "never", (faulty,)))
    released = json.loads((ROOT / "exercises" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
    exercise = Exercise("01.3", "t", "minimal_pair_accuracy", 3, parts)
    student = marking.Submission(box, graft(released, submission()).cells)
    result = marking.grade_exercise(student, exercise)
    assert (result["status"], result["earned"]) == ("infrastructure", None)
    assert "'b' itself failed: AttributeError" in result["message"]
    assert result["parts"][0]["message"].startswith("because")


def test_answers_that_cannot_be_loaded_are_a_fault_of_ours(graded, submission):
    result = graded(submission(), answers={"ex01_1.py": "1 / 0"})
    assert (result["status"], result["earned"]) == ("infrastructure", None)
    assert "ZeroDivisionError" in result["message"]


# --- functions that the checks hand over ---------------------------------------------------------


def test_checks_may_hand_over_functions_and_models(box):
    import torch

    from course_lib import load_model

    lm = load_model("course-ngram")
    asked = []

    def score(tokens):
        asked.append(tokens)
        if len(tokens) > 3:
            raise ValueError("at most three")
        return float(sum(tokens))

    def gradient(points):
        return 2 * points

    box.start()
    box.run_cell(
        "def erase(score, gradient, x):\n"
        "    try: score([1] * 9)\n"
        "    except ValueError as error: told = str(error)\n"
        "    return score([1, 2]), gradient(x), told, gradient(points=x)\n"
        "def loaded(lm): return lm.name, lm.encode('The keys are old.')\n"
        "def wrong(score): return score(object())"
    )
    x = torch.tensor([[1.0, 2.0]])
    reply, data = box.call("erase", (score, gradient, x), {})
    got = marking.wire.decode(reply["value"], data)
    assert got[0] == 3.0 and torch.equal(got[1], 2 * x) and torch.equal(got[3], 2 * x)
    assert got[2] == "at most three" and asked == [[1] * 9, [1, 2]]
    reply, data = box.call("loaded", (lm,), {})
    got = marking.wire.decode(reply["value"], data)
    assert got == (lm.name, lm.encode("The keys are old."))
    reply, _ = box.call("wrong", (score,), {})
    assert reply["error"]["type"] == "TypeError"


def test_a_notebook_that_nests_deeply_leaves_the_others_alone(bwrap, submission, tmp_path):
    """In a class graded in two processes: what is sent to them is nested no more."""
    right, last = submission(), submission(answer_01_6="import os; os._exit(3)")
    places = {"seven": ("700", right), "ada": ("0", right), "hundred": ("100_000", right)}
    places["last"] = ("0", last)
    for student, (depth, book) in places.items():
        path = tmp_path / "in" / student / f"{NAME}.ipynb"
        path.parent.mkdir(parents=True)
        data = json.dumps(book)
        path.write_text(data[:-1] + ', "x": ' + "[" * int(depth) + "1" + "]" * int(depth) + "}")
    (tmp_path / "roster.csv").write_text("id\n" + "\n".join(places) + "\n")
    assert run("collect", "01", tmp_path / "in", "--class", tmp_path) == 0
    options = ("--jobs", "2", "--no-gradebook")
    assert run("grade", "01", "--class", tmp_path, *options) == 0
    found = {s: (r["status"], r["automatic"]) for s, r in rows(Classroom(tmp_path)).items()}
    assert found == {"seven": ("ok", "90"), "ada": ("ok", "90"), "last": ("died", "80"),
                     "hundred": ("unreadable", "0")}  # fmt: skip


# --- pages -------------------------------------------------------------------------------------


def test_feedback_shows_messages_and_no_source(room):
    assert run("feedback", "01", "--class", room.folder) == 0
    pages = {p.stem: p.read_text("utf-8") for p in (room.folder / "feedback/01").glob("*.html")}
    assert sorted(pages) == ["ada", "bob", "cut", "eve"]
    files = (ROOT / "solutions" / NAME / "answers").glob("*.py")
    hidden = [line for path in files for line in path.read_text("utf-8").splitlines()]
    code = [line.strip() for line in hidden if "return" in line and len(line) > 40]
    assert len(code) > 10
    for page in pages.values():
        assert not [line for line in code if line in page]
        assert "<script" not in page and "default-src &#x27;none&#x27;" not in page
        assert "default-src 'none'" in page and "http" not in page.replace("http-equiv", "")
    assert "&lt;script&gt;" in pages["bob"] and "TypeError" in pages["bob"]
    assert "nan scores" in pages["bob"] and "held-out" in pages["bob"]
    assert "20 percent less" in pages["eve"] and "Your cell was stopped" in pages["eve"]
    assert "not JSON" in pages["cut"]


def test_report_on_the_class_has_no_names(room):
    page = (room.folder / "grades" / "01.html").read_text("utf-8")
    for row in read_roster(room.folder / "roster.csv"):
        assert f">{row['id']}<" not in page
    assert "80 to 90 %" in page and "minimal-pair accuracy" in page and "died" in page


# --- the gradebook -----------------------------------------------------------------------------


def test_points_go_to_the_gradebook_and_a_persons_points_come_back(room):
    api = pytest.importorskip("nbgrader.api")
    url = f"sqlite:///{room.folder / 'gradebook.db'}"
    with api.Gradebook(url) as book:
        found = {
            s.student.id: (s.score, s.max_score, s.needs_manual_grade)
            for s in book.assignment_submissions(NAME)
        }
        assert found == {
            "ada": (90, 100, True),
            "bob": (80, 100, True),
            "eve": (80, 100, True),
            "cut": (0, 100, False),
        }
        book.find_grade("answer-01-8", NAME, NAME, "ada").manual_score = 7.5
        book.find_comment("answer-01-8", NAME, NAME, "ada").manual_comment = f"Clear. {SCRIPT}"
        book.find_grade("check-01-6", NAME, NAME, "eve").manual_score = 4
        book.db.commit()
    assert run("report", "01", "--class", room.folder) == 0
    table = rows(room)
    assert (table["ada"]["written"], table["ada"]["final"], table["ada"]["to_do"]) == (
        "7.5",
        "97.5",
        "",
    )
    assert table["eve"]["automatic"] == "84.0"
    assert run("feedback", "01", "--class", room.folder) == 0
    page = (room.folder / "feedback/01/ada.html").read_text("utf-8")
    assert "7.5" in page and "Clear." in page and "<script" not in page
    gradebook.write_gradebook(room, "01", room.results("01"))  # a person's points stay
    assert gradebook.read_by_hand(room, "01")["ada"]["answer-01-8"].points == 7.5


def test_what_the_formgrader_shows_cannot_act(room):
    path = room.folder / "autograded" / "bob" / NAME / f"{NAME}.ipynb"
    book = json.loads(path.read_text("utf-8"))
    answer = next(cell for cell in book["cells"] if cell["id"] == "answer-01-8")["source"]
    assert "<" not in answer and "](" not in answer and "//" not in answer
    assert "lead" in answer
    outputs = [cell.get("outputs") for cell in book["cells"] if cell["id"] == "check-01-3"]
    assert "TypeError" in "".join(outputs[0][0]["text"])
    pytest.importorskip("nbgrader")
    import nbformat

    nbformat.validate(nbformat.read(path, 4))


@pytest.fixture
def formgrader(room, tmp_path):
    """JupyterLab in the folder of the class: its address and its token."""
    pytest.importorskip("nbgrader")
    folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    environment = os.environ | {f"JUPYTER_{name}": str(tmp_path / name) for name in folders}
    log = tmp_path / "log"
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--port=0"]
    with log.open("w") as stream:
        lab = subprocess.Popen(command, cwd=room.folder, env=environment, stdout=stream,
                               stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)  # fmt: skip
    try:
        pattern = re.compile(r"(http://127\.0\.0\.1:\d+)/lab\?token=(\w+)")
        deadline = time.monotonic() + 60
        while not (found := pattern.search(log.read_text())):
            assert lab.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield found.groups()
    finally:
        lab.terminate()
        lab.wait()


def test_a_written_answer_is_graded_in_the_formgrader(room, formgrader, browser):
    address, token = formgrader
    page = browser.new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a student's script ran: {dialog.message}"))
    page.goto(f"{address}/formgrader/gradebook?token={token}")
    page.get_by_role("link", name=NAME).first.click()
    page.get_by_role("link", name=NAME).first.click()
    page.get_by_text("Submission #1").wait_for()
    with gradebook._open(room) as book:
        student = book.find_submission_notebook(NAME, NAME, "bob").id
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/formgrader/submissions/{student}")
    # A score typed before the page has fetched the stored ones is not saved, but overwritten.
    page.wait_for_function(
        "() => { try { return formgrader.grades.loaded && formgrader.comments.loaded }"
        " catch { return false } }"
    )
    assert "The [lead] (javascript:alert(1))" in page.inner_text("body")
    page.locator("mjx-container").first.wait_for(state="attached")  # formulas, without a network
    assert len(asked) > 5 and [url for url in asked if not url.startswith((address, "data:"))] == []
    points, comment = page.locator("input#answer-01-8"), page.locator("#answer-01-8-comment")
    for place, text in ((points, "6"), (comment, "Name the interval of the difference.")):
        with page.expect_response(lambda response: response.request.method == "PUT"):
            place.fill(text)
            place.blur()
    page.close()
    assert run("report", "01", "--class", room.folder) == 0
    assert rows(room)["bob"]["written"] == "6.0" and rows(room)["bob"]["to_do"] == ""
    assert run("feedback", "01", "--class", room.folder) == 0
    text = (room.folder / "feedback/01/bob.html").read_text("utf-8")
    assert "Name the interval of the difference." in text


@pytest.mark.parametrize(
    "text",
    [
        "<img alt=x onerror=alert(1)>", "[a](javascript:alert(1))", "[a](JavaScript\\:alert(1))",
        "[a](&#106;avascript&colon;alert(1))", "<https://x.org>", "![](//x.org/p.png)",
        "[a]: data:text/html,x", "$\\href{javascript:alert(1)}{x}$", "```{=html}\n<b>\n```",
    ],
)  # fmt: skip
def test_markdown_of_students_is_made_harmless(text):
    pytest.importorskip("nbconvert")
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    page = markdown2html_mistune(gradebook.harmless(text)).lower()
    for danger in ("<img", "<b>", "<a", "href", "src=", "<script"):
        assert danger not in page, page


def test_plain_prose_stays_readable():
    text = "At 10:30, **.90** against .88: the interval [.88, .92] says that `p > q` holds."
    assert gradebook.harmless(text) == text


# --- small rules -------------------------------------------------------------------------------


def test_seeds_follow_from_key_unit_and_student(tmp_path):
    a, b = Classroom(tmp_path / "a"), Classroom(tmp_path / "b")
    for room in (a, b):
        room.folder.mkdir()
    seeds = {room.seed(unit, s) for room in (a, b) for unit in ("01", "02") for s in ("x", "y")}
    assert len(seeds) == 8 and a.seed("01", "x") == Classroom(a.folder).seed("01", "x")
    assert (a.folder / "key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("received", "days", "cost"),
    [
        ("2026-11-20T23:00:00+00:00", 0, 0),
        ("2026-11-20T23:29:00+00:00", 0, 0),
        ("2026-11-20T23:31:00+00:00", 1, 10),
        ("2026-11-22T00:00:00+00:00", 2, 20),
        ("2026-12-20T00:00:00+00:00", 30, 50),
    ],
)
def test_late_policy(tmp_path, received, days, cost):
    (tmp_path / "class.toml").write_text(
        "[due]\n01 = 2026-11-20T23:00:00Z\n"
        "[late]\ngrace_minutes = 30\npercent_per_day = 10\nmost_percent = 50\n"
        "[extensions.01]\neve = 2027-01-01T00:00:00Z\n"
    )
    room = Classroom(tmp_path)
    assert room.late("01", "ada", received) == (days, cost)
    assert room.late("01", "eve", received) == room.late("02", "ada", received) == (0, 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[limits]\ncalls = 3", "calls"), ("[late", "class.toml"), ("[limits]\nmemory = 1", "")],
)
def test_class_toml_is_checked(tmp_path, text, message):
    (tmp_path / "class.toml").write_text(text)
    room = Classroom(tmp_path)
    if message:
        with pytest.raises(ClassError, match=message):
            room.limits  # noqa: B018
    else:
        assert room.limits["memory"] == 1 and room.limits["call"] == 20


def test_what_is_missing_is_said(tmp_path, capsys):
    assert run("grade", "01", "--class", tmp_path) == 2
    assert "Nothing was collected for unit 01: course collect 01" in capsys.readouterr().err
    assert run("collect", "01", tmp_path, "--class", tmp_path) == 2
    assert "There is no roster" in capsys.readouterr().err
    assert run("grade", "77", "--class", tmp_path) == 2
    assert "no assignment 77" in capsys.readouterr().err
    with pytest.raises(ClassError, match="without the answers"):
        Classroom(tmp_path, handing_course(tmp_path)).answers("01")


def test_no_isolation_needs_a_second_word(tmp_path, capsys):
    assert run("grade", "01", "--class", tmp_path, "--isolation", "none") == 2
    assert "--i-trust-these-submissions" in capsys.readouterr().err


def test_without_isolation_the_same_code_grades(submission):
    job = {"unit": "01", "student": "a", "seed": 1, "submitted": submission(), "only": ["01.3"]}
    job |= {"released": submission(), "isolation": "none", "limits": marking.default_limits()}
    job["answers"] = read_answers(ROOT / "solutions" / NAME / "answers")
    result = marking.grade_submission(job)
    marking.discard_sandbox()
    assert (result["status"], result["earned"], result["isolation"]) == ("ok", 10, "none")


def test_container_has_no_network_no_rights_and_limits():
    command = isolation.container_command("image", "name", isolation.Limits())
    assert {"--network=none", "--read-only", "--cap-drop=ALL", "--user=65534:65534",
            "--security-opt=no-new-privileges", "--pids-limit=64"} <= set(command)  # fmt: skip
    assert command[-1] == "image" and not [c for c in command if c.startswith(("-v", "--volume"))]


def test_the_nursery_knows_what_the_assignment_imports(submission):
    assert {"torch", "numpy", "math"} <= set(imported_modules(submission()))


def test_a_course_in_a_folder_that_submissions_find_empty_does_without_a_nursery(monkeypatch):
    assert sandbox.Sandbox("bwrap").nursery is not isolation.is_covered(str(ROOT))
    monkeypatch.setattr(sandbox, "runtime_paths", lambda: ["/usr/lib", "/tmp/course/course_lib"])
    assert not sandbox.Sandbox("bwrap").nursery


# --- what goes to students and comes back ------------------------------------------------------


def handing_course(tmp_path: Path) -> Path:
    """The course with assignment 01 and without solutions, as links."""
    course = tmp_path / "course"
    (course / "exercises").mkdir(parents=True)
    (course / "exercises" / NAME).symlink_to(ROOT / "exercises" / NAME)
    return course


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """The folder that students get."""
    out = tmp_path_factory.mktemp("release")
    course = out / "source"
    for folder in ("exercises", "solutions"):
        (course / folder).mkdir(parents=True)
        (course / folder / NAME).symlink_to(ROOT / folder / NAME)
    for path in ROOT.iterdir():
        if not (course / path.name).exists() and not path.name.startswith("."):
            (course / path.name).symlink_to(path)
    archive = handing.make_release(Classroom(out, course), ["01"], out)
    assert archive.name == "course-01.zip" and archive.stat().st_size < 40 * 2**20
    return out / "course-01"


def test_release_has_what_students_need_and_no_more(released):
    top = {path.name for path in released.iterdir()}
    assert {"course_lib", "exercises", "notebooks", "Makefile", "README.md"} <= top
    assert not top & {"solutions", "tests", "class", "nbgrader_config.py"}
    assert [p.name for p in (released / "exercises").iterdir()] == [NAME]
    assert not list(released.rglob("__pycache__")) and not list(released.rglob("answers"))
    assert (released / "course_lib/assets/course-lm/model.safetensors").is_file()
    assert handing.leaks(ROOT / "no solutions here", released) == []


def one_answer() -> str:
    """The source of an answer with another name."""
    sources = read_answers(ROOT / "solutions" / NAME / "answers").values()
    function = next(f for source in sources for f in functions_in(source))
    function.name, function.decorator_list = "renamed", []
    return ast.unparse(function)


def one_held_out_message() -> str:
    answers = load_answers(read_answers(ROOT / "solutions" / NAME / "answers"))
    known = (mistake for one in answers.values() for mistake in one.mistakes)
    return next(m.message for m in known if m.held_out and len(m.message) >= handing.LONG)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("course_lib/extra.py", one_answer()),
        ("README.md", one_held_out_message()),
        ("notebooks/n.ipynb", "points_won = (good > bad).double() + tie_value * (good == bad)"
         ".double()"),
        ("exercises/01_behaviour/rubric.md", "x"),
        ("solutions/x", "x"),
        ("notes.md", "- *Silent pairs are useless.* They are the cleanest: frequency can explain "
         "nothing there."),
    ],
)  # fmt: skip
def test_a_leak_is_found(tmp_path, place, text):
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text(text)
    assert handing.leaks(ROOT, tmp_path)


def test_a_release_with_a_leak_is_not_made(released, tmp_path):
    course = released.parent / "source"
    (course / "exercises" / "09_leak").mkdir(exist_ok=True)
    leaking = (ROOT / "solutions" / NAME / f"{NAME}.ipynb").read_text("utf-8")
    (course / "exercises" / "09_leak" / "09_leak.ipynb").write_text(leaking, "utf-8")
    with pytest.raises(ClassError, match="Not released"):
        handing.make_release(Classroom(tmp_path, course), ["09"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bundle_from_released_folder(released, submission, tmp_path):
    """In a process of its own, which sees nothing but the release."""
    book = submission(answer_01_2=next(
        "".join(c["source"])
        for c in json.loads((released / "exercises" / NAME / f"{NAME}.ipynb").read_text())["cells"]
        if c["id"] == "answer-01-2"
    ))  # fmt: skip
    book["cells"].append({"cell_type": "code", "source": "helper = 1", "metadata": {}, "id": "x"})
    write_json(released / "exercises" / NAME / f"{NAME}.ipynb", book)
    done = subprocess.run(
        [sys.executable, "-m", "course_lib.cli", "submit", "01", "--out", str(tmp_path / "out")],
        cwd=released, env={"PYTHONPATH": str(released), "PATH": ""}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "answer-01-2 is not answered yet" in done.stdout
    assert "1 code cells outside the answers" in done.stdout
    assert "Held-out checks run at grading." in done.stdout and "passed" not in done.stdout
    [bundle] = (tmp_path / "out").iterdir()
    receipt = done.stdout.split("sha256 of the notebook): ")[1].split()[0]
    (tmp_path / "in" / "ada").mkdir(parents=True)
    bundle.rename(tmp_path / "in" / "ada" / bundle.name)
    (tmp_path / "roster.csv").write_text("id\nada\n")
    assert run("collect", "01", tmp_path / "in", "--class", tmp_path) == 0
    record = json.loads((tmp_path / "collected/01/ada.json").read_text("utf-8"))
    mine = json.loads((ROOT / "exercises" / NAME / f"{NAME}.ipynb").read_text("utf-8"))
    assert record["sha256"] == receipt and record["flags"] == []
    assert graft(mine, record["notebook"]) == graft(mine, book)
    assert datetime.fromisoformat(record["received"]).tzinfo is not None


def test_bundle_refuses_nothing_that_is_there(released, tmp_path):
    path = released / "exercises" / NAME / f"{NAME}.ipynb"
    before = path.read_bytes()
    path.write_text("{")
    try:
        bundle = handing.make_bundle("01", released, tmp_path)
    finally:
        path.write_bytes(before)
    assert bundle.path.is_file() and "cannot be graded" in str(bundle)
    with pytest.raises(ClassError):
        handing.make_bundle("88", released, tmp_path)
