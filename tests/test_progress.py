"""Progress: nothing is lost, stored notebooks stay the same, forms work without a front end."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from budgets import within_budget

from course_lib import journal, progress
from course_lib.progress.forms import WIDGET

TICKET = [
    {
        "question": "What does <BOS> do?",
        "options": [
            ("it lets the first word be scored", True, "The first word gets a condition."),
            ("it ends the sentence", False, "That would be an end mark & comes last."),
        ],
    }
]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "deep" / "home"))


def bundle(form) -> dict:
    return form._repr_mimebundle_()


def test_prediction_is_stored_and_revealed():
    progress.record_prediction("p", 0.4)
    progress.record_prediction("p", 0.6)
    shown = progress.reveal("p", 0.91234)
    assert str(shown) == "your prediction: 0.6\nwhat came out: 0.9123"
    assert journal.events("outcome")[0]["outcome"] == 0.91234
    assert progress.prediction("other") is None


def test_reveal_without_prediction_says_so():
    assert "no prediction was stored" in str(progress.reveal("nothing", 1))
    assert "no prediction was stored" in progress.reveal("nothing", 1)._repr_html_()


def test_ranking_is_shown_in_order_and_escaped():
    progress.record_prediction("r", ["a<b", "c"])
    page = progress.reveal("r", ["c", "a<b"])._repr_html_()
    assert "a&lt;b &gt; c" in page


def test_damaged_line_is_set_aside_once_and_the_rest_is_read():
    journal.record("note", number=5)
    with open(journal.path(), "ab") as file:
        file.write(b'{"event": "note", "time": 1, "numb')  # a kernel killed while writing
    journal.record("note", number=7)
    before = journal.path().read_bytes()
    with pytest.warns(journal.ProgressWarning, match="1 damaged.*progress-damaged.txt"):
        assert [e["number"] for e in journal.events()] == [5, 7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [e["number"] for e in journal.events()] == [5, 7]
    assert journal.damaged_file().read_text() == '{"event": "note", "time": 1, "numb\n'
    assert journal.path().read_bytes() == before
    assert "progress-damaged.txt" in str(progress.progress_report())


def test_damage_is_named_also_where_no_copy_can_be_made():
    journal.record("note", number=5)
    journal.damaged_file().mkdir()
    with open(journal.path(), "ab") as file:
        file.write(b"{")
    with pytest.warns(journal.ProgressWarning, match="no copy could be made"):
        assert len(journal.events()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"[1, 2]",
        b"3",
        b'"text"',
        b"\xff\xfe\xe4",
        b"[" * 100_000,
        b'{"event": "x"}',
        b'{"event": "x", "time": "yesterday"}',
        b'{"event": ["x"], "time": 1}',
        b'{"event": "x", "time": 1' + b"0" * 400 + b"}",
        b'{"event": "check", "time": 1, "id": "01.1", "earned": "all", "points": 7}',
        b'{"event": "ticket", "time": 1, "id": "01"}',
        b'{"event": "pr\xe4diction", "time": 1, "id": "01", "value": 1}',
    ],
    ids=lambda line: str(line[:40]),
)
def test_lines_that_are_no_events_do_not_stop_reading(line):
    journal.record("note", number=1)
    with open(journal.path(), "ab") as file:
        file.write(line + b"\n")
    with pytest.warns(journal.ProgressWarning):
        assert len(journal.events()) == 1
    assert progress.progress_report().rows


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
def test_a_file_that_an_editor_stored_in_another_encoding_is_read(encoding):
    journal.record("note", text="größer als 1")
    text = journal.path().read_text("ascii").replace("\n", "\r\n")
    journal.path().write_bytes(text.encode(encoding))
    journal.record("note", text="after")
    assert [e["text"] for e in journal.events()] == ["größer als 1", "after"]


def test_a_file_filled_up_with_zeros_by_a_crash_is_read():
    journal.record("note", number=1)
    with open(journal.path(), "ab") as file:
        file.write(bytes(5000))
    journal.record("note", number=2)
    assert [e["number"] for e in journal.events()] == [1, 2]


WRITER = """
from course_lib import journal
import sys
for number in range(200):
    journal.record("note", id=f"{sys.argv[1]}-{number}", filler="x" * 500)
"""


def test_two_notebooks_can_write_at_once():
    """Two processes that know nothing of each other, as two kernels."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert len({event["id"] for event in journal.events()}) == 400


def _write_until_killed(first: int, acknowledge: int) -> None:
    for number in range(first, first + 40):
        if journal.record("note", id=str(number), filler="x" * 100_000):
            os.write(acknowledge, f"{number}\n".encode())
    time.sleep(60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_kernel_killed_while_writing_loses_nothing_already_recorded():
    """Fifty kernels die at a random moment of writing; what `record` confirmed must be there."""
    context, pause = multiprocessing.get_context("fork"), random.Random(0)
    confirmed = set()
    for turn in range(50):
        reading, writing = os.pipe()
        kernel = context.Process(target=_write_until_killed, args=(100 * turn, writing))
        kernel.start()
        os.close(writing)
        received = os.read(reading, 10_000)  # it is in the middle of its work now
        time.sleep(pause.uniform(0, 0.003))
        os.kill(kernel.pid, signal.SIGKILL)
        kernel.join()
        while more := os.read(reading, 10_000):
            received += more
        os.close(reading)
        confirmed |= set(received.decode().split("\n")[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the torn lines, if any
        found = [event["id"] for event in journal.events()]
    assert len(confirmed) >= 50 and confirmed <= set(found)
    assert len(found) == len(set(found)) <= len(confirmed) + 50


def test_a_home_that_cannot_be_written_warns_and_goes_on(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    with pytest.warns(journal.ProgressWarning, match="COURSE_HOME"):
        assert not progress.record_prediction("p", 1)
    with pytest.warns(journal.ProgressWarning, match="cannot be read"):
        assert progress.prediction("p") is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_warns_and_goes_on():
    journal.home().mkdir(parents=True)
    journal.path().symlink_to("/dev/full")
    with pytest.warns(journal.ProgressWarning, match="No space left"):
        assert not progress.record_prediction("p", 1)


def test_a_disk_that_fills_up_within_a_line_does_not_confirm_it(monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:20]))
    with pytest.warns(journal.ProgressWarning, match="No space left"):
        assert not progress.record_prediction("p", 1)


def test_a_hundred_thousand_events_are_read_in_less_than_a_second():
    journal.record("check", id="01.3", earned=3, points=7, status="wrong")
    line = journal.path().read_bytes()
    journal.path().write_bytes(line * 100_000)
    started = time.process_time()
    assert len(journal.events()) == 100_000
    within_budget("reading a hundred thousand events", time.process_time() - started, 1)


def test_arrays_and_tensors_are_stored_as_numbers():
    journal.record("note", number=np.float32(0.5), several=np.arange(2))
    assert journal.events()[0] | {"number": 0.5, "several": [0, 1]} == journal.events()[0]


def test_only_the_student_reads_the_file():
    journal.record("note")
    assert os.name == "nt" or journal.path().stat().st_mode & 0o077 == 0


def test_default_home_is_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert journal.home() == tmp_path / ".course"


def test_where_the_home_folder_is_not_there_the_course_folder_is_used(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "none"))
    assert journal.home() == Path(journal.__file__).resolve().parents[1] / ".course"


def test_without_a_home_folder_the_course_folder_is_used(monkeypatch):
    def homeless(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert journal.home() == Path(journal.__file__).resolve().parents[1] / ".course"


@pytest.mark.parametrize(
    ("kind", "choices", "answer"),
    [("number", None, 0.25), ("choice", ["a", "b"], "b"), ("ranking", ["a", "b"], ["b", "a"])],
)
def test_form_stores_what_was_entered(kind, choices, answer):
    form = progress.predict("f", "Which?", choices=choices, kind=kind)
    _, *fields, button, status = form.box.children
    if kind != "number":
        sure = fields.pop()
        assert sure.description == "how sure?"
        sure.value = 80
        button.click()
        assert "answer first" in status.value and progress.prediction("f") is None
    for field, value in zip(fields, answer if kind == "ranking" else [answer], strict=True):
        field.value = value
    button.click()
    assert progress.prediction("f") == answer and "Stored" in status.value
    (entry,) = journal.events("prediction")
    assert entry["choices"] == choices
    assert entry["confidence"] == (None if kind == "number" else 80)


def test_form_says_so_when_nothing_was_stored(monkeypatch):
    monkeypatch.setattr("course_lib.progress.questions.record", lambda *arguments, **fields: False)
    _, field, button, status = progress.predict("f", "How much?").box.children
    button.click()
    assert status.value.startswith("Not stored") and "course doctor" in status.value
    _, radio, feedback = progress.exit_ticket("01", TICKET).box.children[0].children
    radio.value = 0
    assert "Right." in feedback.value and "Not stored" in feedback.value


def test_a_confidence_is_a_percentage():
    with pytest.raises(ValueError, match="between 0 and 100"):
        progress.record_prediction("p", "a", confidence=101)


def test_a_ranking_uses_each_option_once():
    *_, first, second, _, button, status = progress.predict(
        "f", "?", ["a", "b"], "ranking"
    ).box.children
    first.value = second.value = "a"
    button.click()
    assert progress.prediction("f") is None and "each option once" in status.value


def test_stored_form_does_not_depend_on_the_progress_file():
    def stored():
        forms = (
            progress.predict("f", "Which <one>?", ["a", "b"]),
            progress.exit_ticket("01", TICKET),
        )
        return [{k: v for k, v in bundle(form).items() if k != WIDGET} for form in forms]

    before = stored()
    progress.record_prediction("f", "a")
    journal.record("ticket", id="01", question=1, answer="x", right=True)
    assert stored() == before
    assert "Which &lt;one&gt;?" in before[0]["text/html"]
    assert "record_prediction('f', 'a')" in before[0]["text/plain"]


def test_live_form_and_fallback_travel_in_one_bundle():
    data = bundle(progress.predict("f", "How much?", unit="nats"))
    assert {WIDGET, "text/html", "text/plain"} <= set(data)
    assert "nats" in data["text/plain"]


def test_without_a_live_widget_the_fallback_stays(monkeypatch):
    form = progress.predict("f", "How much?")
    monkeypatch.setattr(type(form), "box", property(lambda self: 1 / 0))
    assert set(bundle(form)) == {"text/html", "text/plain"}


def test_exit_ticket_explains_every_option():
    form = progress.exit_ticket("01", TICKET)
    page = bundle(form)["text/html"]
    assert page.count("<details>") == 2 and "comes last" in page and "&lt;BOS&gt;" in page
    assert "comes last" not in str(form)
    _, radio, feedback = form.box.children[0].children
    radio.value = 1
    assert "Not quite" in feedback.value and "&amp; comes last" in feedback.value
    radio.value = 0
    assert "Right." in feedback.value
    assert [e["right"] for e in journal.events("ticket")] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "essay"}, "Unknown kind"),
        ({"kind": "choice"}, "needs choices"),
        ({"kind": "ranking", "choices": []}, "needs choices"),
    ],
)
def test_predict_rejects_what_it_cannot_show(arguments, message):
    with pytest.raises(ValueError, match=message):
        progress.predict("f", "?", **arguments)


def test_exit_ticket_needs_one_right_option_and_explanations():
    two = [{"question": "?", "options": [("a", True, "x"), ("b", True, "y")]}]
    silent = [{"question": "?", "options": [("a", True, "x"), ("b", False, "")]}]
    for questions, message in ((two, "one right"), (silent, "explanation")):
        with pytest.raises(ValueError, match=message):
            progress.exit_ticket("01", questions)


def units() -> dict[str, dict]:
    return {row["unit"]: row for row in progress.unit_summary()}


@pytest.mark.parametrize("later", [(0, "error"), (2, "wrong"), (0, "not attempted")])
def test_a_check_that_fails_later_takes_nothing_away(later):
    for earned, status in ((1, "wrong"), (6, "ok"), later):
        journal.record("check", id="04.1", earned=earned, points=6, status=status)
    unit = units()["04"]
    assert (unit["attempted"], unit["passed"], unit["earned"]) == (1, 1, 6)


def test_report_counts_the_best_check_and_the_first_answer():
    from course_lib.checks import check, exercises

    check("01.1", exercises)  # wrong
    # A check that fails later takes nothing away; there is no 01.9.
    for id, earned in (("01.3", 0), ("01.3", 7), ("01.3", 2), ("01.9", 5)):
        journal.record("check", id=id, earned=earned, points=7, status="ok")
    journal.record("check", id="01.2", earned=0, points=7, status="not attempted")
    progress.record_prediction("01-order", ["a"])
    progress.record_prediction("00-keys", 3)
    for question, right in ((1, False), (1, True), (2, True)):
        journal.record("ticket", id="01", question=question, answer="x", right=right)
    assert list(units()) == list(progress.UNITS)
    unit = units()["01"]
    assert (unit["attempted"], unit["passed"], unit["earned"]) == (2, 1, 7)
    assert unit["exercises"] == len(exercises("01"))
    assert unit["points"] == sum(e.visible_points for e in exercises("01").values())
    assert (unit["predictions"], unit["answers"], unit["right"]) == (1, 2, 1)
    report = progress.progress_report()
    assert re.search(r"01 Behaviour +2 of 7 +1 of 7 +7 of \d+ +1 +1 of 2 right +0\n", str(report))
    assert '<th scope="row">all</th>' in report._repr_html_()


def test_a_check_is_recorded_with_its_status():
    from course_lib.checks import check

    def next_token_logprobs(logits, ids):
        raise NotImplementedError()

    check("01.1", next_token_logprobs)
    assert journal.events("check")[0]["status"] == "not attempted"
    assert units()["01"]["attempted"] == 0


def test_progress_does_not_depend_on_the_process_or_the_name_of_the_notebook(tmp_path):
    """A kernel restarts, the notebook is renamed and moved: the ids stay, and so do the rows."""
    source = "from course_lib import journal, progress; progress.record_prediction('01-margin', 1)"
    source += "; journal.record('check', id='01.3', earned=7, points=7, status='ok')"
    for name in ("01_behaviour.py", "my copy (2).py"):
        (tmp_path / name).write_text(source)
        subprocess.run([sys.executable, name], cwd=tmp_path, check=True, env=with_course())
    assert (units()["01"]["passed"], units()["01"]["predictions"]) == (1, 1)


def with_course() -> dict[str, str]:
    root = str(Path(journal.__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": paths}


def at(*times: float, unit: str = "01") -> list[dict]:
    return [{"time": float(time), "id": f"{unit}.1"} for time in times]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], {}),
        (at(0), {}),
        (at(0, 300, 900), {"01": 15.0}),
        (at(0, 60, 60 + 601, 60 + 661), {"01": 2.0}),  # a break of more than ten minutes
        (at(1000, 1060, 0, 60), {"01": 2.0}),  # the clock was set back
        (at(0, 60) + at(120, unit="02") + at(180), {"01": 2.0, "02": 1.0}),  # two at once
        (at(0, float("nan"), 60), {}),
        ([{"time": 0, "id": ""}, {"time": 60, "id": "demo"}], {"other": 1.0}),
    ],
)
def test_minutes_follow_from_the_times_of_the_events(entries, expected):
    assert progress.minutes(entries) == expected


@pytest.mark.parametrize(
    ("id", "unit"), [("01.3", "01"), ("00-keys", "00"), ("07", "07"), ("123", "other")]
)
def test_unit_of_an_id(id, unit):
    assert progress.unit_of(id) == unit


def test_units_are_those_of_the_map_in_the_first_notebook():
    root = Path(journal.__file__).resolve().parents[1]
    notebook = json.loads((root / "notebooks" / "00_start_here.ipynb").read_text("utf-8"))
    text = "".join("".join(cell["source"]) for cell in notebook["cells"])
    named = dict(re.findall(r"^\| (0\d) ([^|]+?) \|", text, re.MULTILINE))
    assert named == {unit: name for unit, name in progress.UNITS.items() if unit != "00"}


def test_an_old_file_with_minutes_noted_by_hand_is_still_read():
    journal.record("minutes", minutes=12)
    journal.record("check", id="01.3", earned=7, points=7)
    assert units()["01"]["passed"] == 1 and "other" in units()
