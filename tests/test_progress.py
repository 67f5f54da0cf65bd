"""Progress: nothing is lost, stored notebooks stay the same, forms work without a front end."""

from __future__ import annotations

import json
import multiprocessing
import re

import pytest

from course_lib import progress
from course_lib.widgets.classroom import WIDGET

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
    assert progress.events("outcome")[0]["outcome"] == 0.91234
    assert progress.prediction("other") is None


def test_reveal_without_prediction_says_so():
    assert "no prediction was stored" in str(progress.reveal("nothing", 1))
    assert "no prediction was stored" in progress.reveal("nothing", 1)._repr_html_()


def test_ranking_is_shown_in_order_and_escaped():
    progress.record_prediction("r", ["a<b", "c"])
    page = progress.reveal("r", ["c", "a<b"])._repr_html_()
    assert "a&lt;b &gt; c" in page


def test_damaged_line_is_set_aside_and_the_rest_is_read():
    progress.record("minutes", minutes=5)
    with open(progress.journal(), "ab") as file:
        file.write(b'{"event": "minutes", "time": 1, "minu')  # a kernel killed while writing
    progress.record("minutes", minutes=7)
    with pytest.warns(progress.ProgressWarning, match="1 damaged"):
        assert [e["minutes"] for e in progress.events()] == [5, 7]
    kept = progress.home() / "progress-damaged.txt"
    with pytest.warns(progress.ProgressWarning):
        progress.events()
    assert kept.read_text() == '{"event": "minutes", "time": 1, "minu\n'


@pytest.mark.parametrize("line", [b"[1, 2]", b"3", b'"text"', b"\xff\xfe", b'{"event": "x"}'])
def test_lines_that_are_no_events_do_not_stop_reading(line):
    progress.record("minutes", minutes=1)
    with open(progress.journal(), "ab") as file:
        file.write(line + b"\n")
    with pytest.warns(progress.ProgressWarning):
        assert len(progress.events()) == 1


def _write(worker: int) -> None:
    for number in range(200):
        progress.record("minutes", id=f"{worker}-{number}", minutes=1, filler="x" * 500)


def test_two_notebooks_can_write_at_once():
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(n,)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len({event["id"] for event in progress.events()}) == 600


def test_a_home_that_cannot_be_written_warns_and_goes_on(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "file"))
    with pytest.warns(progress.ProgressWarning, match="COURSE_HOME"):
        progress.record_prediction("p", 1)


def test_default_home_is_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("COURSE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert progress.home() == tmp_path / ".course"


@pytest.mark.parametrize(
    ("kind", "choices", "answer"),
    [("number", None, 0.25), ("choice", ["a", "b"], "b"), ("ranking", ["a", "b"], ["b", "a"])],
)
def test_form_stores_what_was_entered(kind, choices, answer):
    form = progress.predict("f", "Which?", choices=choices, kind=kind)
    _, *fields, button, status = form.box.children
    if kind != "number":
        button.click()
        assert "answer first" in status.value and progress.prediction("f") is None
    for field, value in zip(fields, answer if kind == "ranking" else [answer], strict=True):
        field.value = value
    button.click()
    assert progress.prediction("f") == answer and "Stored" in status.value


def test_a_ranking_uses_each_option_once():
    *_, first, second, button, status = progress.predict(
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
    progress.record("ticket", id="01", question=1, answer="x", right=True)
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
    assert [e["right"] for e in progress.events("ticket")] == [False, True]


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


def test_report_counts_the_last_check_and_the_last_answer():
    from course_lib.checks import check

    check("01.3", len)
    progress.record("check", id="01.3", earned=7, points=7)
    progress.record_prediction("p", 1)
    for right in (False, True):
        progress.record("ticket", id="01", question=1, answer="x", right=right)
    progress.record("minutes", minutes=12.4)
    report = progress.progress_report()
    assert "01.3: 7 of 7 visible points" in report
    assert "predictions stored: 1" in report
    assert re.search(r"answers: 1, of which 1 right", report) and "minutes noted: 12" in report
    assert json.loads(progress.journal().read_text().split("\n")[1])["event"] == "check"
