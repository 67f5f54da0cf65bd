"""class.toml: whatever has no effect, or cannot be meant, is said with its line and the choice."""

from __future__ import annotations

import pytest

from course_lib import cli
from course_lib.grading.classroom import ClassError, Classroom

FAULTS = {
    "[due]\n01 = 2026-11-20": "line 2: [due] 01 must be a date with a time",
    "[due]\n01 = '2026-11-20T23:59:00'": "line 2: [due] 01 must be a date with a time",
    "[due]\n1 = 2026-11-20T23:59:00Z": "line 2: [due] 1 is not known",
    "[due]\n71 = 2026-11-20T23:59:00Z": "known: 01",
    "[dew]\n01 = 2026-11-20T23:59:00Z": "line 1: [dew] is no table of class.toml; did you mean due",
    "due = 2026-11-20T23:59:00Z": "line 1: [due] must be a table",
    "[late]\npercent_pro_day = 5": "did you mean percent_per_day",
    "[late]\n\npercent_per_day = 500": "line 3: [late] percent_per_day must be a number from 0",
    "[late]\npercent_per_day = true": "must be a number",
    "[late]\npercent_per_day = nan": "must be a number",
    "[late]\ngrace_minutes = -1": "grace_minutes",
    "[late]\ngrace_minutes = '15'": "not '15'",
    "[extensions]\nada = 2026-11-20T23:59:00Z": "ada is not known; known: 01",
    "[extensions.01]\nadda = 2026-11-20T23:59:00Z": "did you mean ada? Known: ada, bob",
    "[extensions.01]\nada = 2026-11-20": "line 2: [extensions] ada must be a date with a time",
    "[limits]\ncall = 0": "call must be a number and positive",
    "[limits]\nmemory = 1.5": "a whole number",
    "[limits]\nmemory = '2 GiB'": "memory",
    "[limits]\ncalls = 3": "did you mean call",
    "[late": "class.toml",
}


@pytest.fixture
def room(tmp_path):
    (tmp_path / "roster.csv").write_text("id\nada\nbob\n")
    return Classroom(tmp_path)


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_named(room, text):
    (room.folder / "class.toml").write_text(text)
    with pytest.raises(ClassError) as caught:
        room.limits  # noqa: B018
    assert FAULTS[text] in str(caught.value) and "\n" not in str(caught.value)


def test_all_faults_come_at_once_and_before_any_work(room, capsys):
    (room.folder / "class.toml").write_text("[late]\nx = 1\n[due]\n01 = 1\n[limits]\ncall = 'a'\n")
    for command in (["collect", "01", str(room.folder)], ["grade", "01"], ["report", "01"]):
        assert cli.main([*command, "--class", str(room.folder)]) == 2
        told = capsys.readouterr().err.splitlines()
        assert [line.split(", ")[1].split(":")[0] for line in told] == [
            "line 2",
            "line 4",
            "line 6",
        ]
    assert not (room.folder / "grades").exists() and not (room.folder / "collected").exists()


def test_the_file_of_the_guide_is_accepted(room):
    (room.folder / "class.toml").write_text(
        "[due]\n01 = 2026-11-20T23:59:00+01:00\n02 = 2026-11-27T23:59:00\n[late]\n"
        "grace_minutes = 15\npercent_per_day = 2.5\nmost_percent = 50\n[extensions.01]\n"
        "ada = 2026-11-27T23:59:00+01:00\n[limits]\ncall = 20\nmemory = 2147483648\n"
    )
    assert room.limits["memory"] == 2**31 and room.settings["late"]["percent_per_day"] == 2.5


@pytest.mark.parametrize("key", ["", "0" * 63, "not a key", "0" * 64 + "x"])
def test_a_damaged_key_is_not_used(room, key):
    (room.folder / "key").write_text(key)
    with pytest.raises(ClassError, match="64 digits"):
        room.seed("01", "ada")
