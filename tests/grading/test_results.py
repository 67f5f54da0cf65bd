"""A result is replaced by a complete one of the same submission only, unseen by others."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor

import pytest

from course_lib import cli
from course_lib.grading import gradebook, reports
from course_lib.grading import run as run_of_class
from course_lib.grading.classroom import ClassError, Classroom
from tests.grading.books import NAME, book

IDS = ["01.1", "01.2", "01.3"]


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


class Grader:
    """In place of the sandbox: gives every exercise what ``score`` says, or fails."""

    score, broken = 1, False

    def __call__(self, job):
        if self.broken:
            lost = {"status": "infrastructure", "earned": None, "message": "no daemon"}
            return self.whole(job, []) | lost
        return self.whole(job, [id for id in IDS if id in (job["only"] or IDS)])

    def whole(self, job, ids):
        exercises = [
            {"id": id, "title": id, "points": 9, "earned": self.score, "status": "partial",
             "message": "", "seconds": 0, "parts": []} for id in ids
        ]  # fmt: skip
        earned = self.score * len(ids)
        result = {"unit": job["unit"], "student": job["student"], "status": "partial"}
        result |= {"earned": earned, "points": 27, "exercises": exercises, "oddities": ["odd"]}
        return result | {"message": "", "written": {}, "unanswered": []}


@pytest.fixture
def grader(monkeypatch):
    stand_in = Grader()
    monkeypatch.setattr(run_of_class, "grade_submission", stand_in)
    monkeypatch.setattr(shutil, "which", lambda program: program)
    return stand_in


@pytest.fixture
def room(tmp_path, grader):
    """Ada and Bob, collected and graded with one point for each exercise."""
    (tmp_path / "roster.csv").write_text("id\nada\nbob\n")
    hand_in(tmp_path, "ada", "first")
    hand_in(tmp_path, "bob", "first")
    assert grade(tmp_path) == 0
    return Classroom(tmp_path)


def hand_in(folder, student: str, text: str, when: float = 1e9) -> None:
    path = folder / "in" / student / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(book(text, 3))
    os.utime(path, (when, when))
    run("collect", "01", folder / "in", "--class", folder)


def grade(folder, *options: str) -> int:
    return run("grade", "01", "--class", folder, "--jobs", "0", "--no-gradebook", *options)


def scores(room: Classroom, student: str = "ada") -> list[int]:
    return [exercise["earned"] for exercise in room.result("01", student)["exercises"]]


def row(room: Classroom, student: str = "ada") -> dict:
    return next(row for row in reports.table_of(room, "01") if row["student"] == student)


def test_one_exercise_again_leaves_the_others(room, grader):
    grader.score = 5
    assert grade(room.folder, "--student", "ada", "--exercise", "01.1") == 0
    assert scores(room) == [5, 1, 1] and scores(room, "bob") == [1, 1, 1]


def test_one_exercise_of_a_new_notebook_is_no_result_without_the_others(room, grader):
    hand_in(room.folder, "ada", "second", 1.1e9)
    grader.score = 5
    assert grade(room.folder, "--student", "ada", "--exercise", "01.1") == 0
    assert scores(room) == [5, 5, 5]
    assert room.result("01", "ada")["sha256"] == room.collected("01", "ada")["sha256"]
    (room.folder / "class.toml").write_text("[limits]\ncall = 7\n")
    grader.score = 6
    assert grade(room.folder, "--student", "ada", "--exercise", "01.2") == 0
    assert scores(room) == [6, 6, 6]


@pytest.mark.parametrize("wrong", ["1.6", "01.9", "02.1", "1", ""])
def test_an_exercise_that_is_none_changes_nothing(room, grader, wrong, capsys):
    grader.score = 5
    assert grade(room.folder, "--exercise", wrong) == 2
    assert "there are 01.1, 01.2" in capsys.readouterr().err
    assert scores(room) == scores(room, "bob") == [1, 1, 1]


@pytest.mark.parametrize(
    "options", [["--student", "ada"], ["--student", "ada", "--exercise", "01.2"], []]
)
def test_a_fault_of_ours_does_not_take_the_place_of_scores(room, grader, options, capsys):
    grader.broken = True
    if not options:
        (room.folder / "class.toml").write_text("[limits]\ncall = 7\n")
    grade(room.folder, *options)
    assert "ada: no daemon (the earlier result stays)" in capsys.readouterr().err
    assert scores(room) == [1, 1, 1] and row(room)["status"] == "partial"


def test_scores_of_an_earlier_notebook_are_not_those_of_a_later_one(room, grader):
    hand_in(room.folder, "ada", "second", 1.1e9)
    assert row(room)["to_do"].startswith("grade again: another file") and row(room)["final"] == ""
    grader.broken = True
    assert grade(room.folder) == 1
    assert row(room)["to_do"].startswith("grade again") and row(room, "bob")["to_do"] == ""
    grader.broken = False
    assert grade(room.folder) == 0 and row(room)["final"] == 3


def test_a_fault_of_ours_without_scores_is_kept_as_one(tmp_path, grader):
    (tmp_path / "roster.csv").write_text("id\nada\n")
    hand_in(tmp_path, "ada", "first")
    grader.broken = True
    assert grade(tmp_path) == 1
    assert Classroom(tmp_path).result("01", "ada")["status"] == "infrastructure"


def test_what_contradicts_the_platform_is_shown(room):
    path = room.folder / "collected/01/ada.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": ["says unit 02"]}))
    assert grade(room.folder, "--student", "ada") == 0
    assert row(room)["flags"] == "says unit 02; odd"


@pytest.mark.parametrize(
    ("isolation", "told"), [("bwrap", "bubblewrap is not"), ("container", "docker nor podman is")]
)
def test_a_missing_program_is_said_once(room, monkeypatch, capsys, isolation, told):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    before = room.result("01", "ada")
    assert grade(room.folder, "--student", "ada", "--isolation", isolation) == 2
    said = capsys.readouterr().err
    assert (
        said.count(f"{told} installed") == 1 and "docs/grading.md" in said and "Errno" not in said
    )
    assert room.result("01", "ada") == before


@pytest.mark.parametrize("deaths", [0, 1, 2, 3])
def test_few_notebooks_are_held_and_a_process_that_dies_is_replaced(monkeypatch, deaths):
    left, asked, done = ["7"] * deaths, [], []

    def grading(job):
        if job["student"] in left:
            left.remove(job["student"])
            raise BrokenExecutor
        return {"graded": job["student"]}

    def jobs():
        for n in range(40):
            asked.append(n)
            assert len(asked) - len(done) <= 5
            yield {"student": str(n)}

    monkeypatch.setattr(run_of_class, "grade_submission", grading)
    monkeypatch.setattr(
        run_of_class, "ProcessPoolExecutor", lambda workers, *a, **k: ThreadPoolExecutor(workers)
    )
    try:
        for job, result in run_of_class._here(jobs(), 2):
            assert result["graded"] == job["student"]
            done.append(job["student"])
    except ClassError as error:
        assert deaths == 3 and "7" in str(error) and len(done) < 12
    else:
        assert deaths < 3 and sorted(done, key=int) == [str(n) for n in range(40)]


@pytest.mark.parametrize("what", ["results/01/ada.json", "collected/01/ada.json"])
def test_a_damaged_file_of_the_class_is_named(room, what, capsys):
    (room.folder / what).write_text('{"student"')
    assert grade(room.folder) == 2
    assert f"{what} is damaged" in capsys.readouterr().err


def test_a_full_disk_ends_in_a_message(room, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    for command in ("collect", "grade", "feedback", "report"):
        more = [room.folder / "in"] if command == "collect" else []
        more += ["--jobs", "0", "--student", "ada"] if command == "grade" else []
        assert run(command, "01", *more, "--class", room.folder) == 2
        assert "The disk is full" in capsys.readouterr().err
    assert not list(room.folder.rglob("*.part")) and scores(room) == [1, 1, 1]


def test_nothing_of_a_class_is_for_others(room):
    pytest.importorskip("nbgrader")
    mask = os.umask(0)
    try:
        gradebook.write_gradebook(room, "01", room.results("01"))
        assert run("report", "01", "--class", room.folder) == 0
        assert run("feedback", "01", "--class", room.folder) == 0
        room.seed("01", "ada")
    finally:
        os.umask(mask)
    ours = [p for p in room.folder.rglob("*") if p.name != "roster.csv"
            and p.relative_to(room.folder).parts[0] != "in"]  # fmt: skip
    assert len(ours) > 20
    assert [p for p in ours if p.stat().st_mode & 0o077] == []


def test_the_formgrader_loads_nothing_from_elsewhere(room):
    pytest.importorskip("nbgrader")
    gradebook.write_gradebook(room, "01", room.results("01"))
    config = room.folder / "nbgrader_config.py"
    assert "JUPYTER_PATH" in config.read_text("utf-8")
    [macro] = (room.folder / "formgrader").rglob("*.j2")
    head = macro.read_text("utf-8")[:600]
    assert 'packages: ["base", "ams", "newcommand"]' in head and "http" not in head
    config.write_text("# an instructor's own\n")
    gradebook.write_gradebook(room, "01", room.results("01"))
    assert config.read_text("utf-8") == "# an instructor's own\n"


def test_half_a_character_in_an_answer_does_not_reach_the_formgrader():
    for text in ("a \ud83d b", "\udfff"):
        gradebook.harmless(text).encode("utf-8")
