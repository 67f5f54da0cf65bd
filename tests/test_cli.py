"""The `course` command."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from course_lib import cli, doctor, journal
from course_lib.checks.results import CheckResult, PartResult
from course_lib.grading import checking

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("command", ["lab", "doctor", "check", "progress"])
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0 and command in capsys.readouterr().out


def test_no_command_is_a_wrong_call(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([])
    assert stop.value.code == 2 and "usage: course" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "terminal", "platform", "expected"),
    [
        ({"DISPLAY": ":0"}, True, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True, "linux", True),
        ({}, True, "linux", False),
        ({"DISPLAY": ":0"}, False, "linux", False),
        ({"DISPLAY": ":0", "CI": "true"}, True, "linux", False),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "1"}, True, "linux", False),
        ({}, True, "darwin", True),
    ],
)
def test_where_a_browser_is_opened(environment, terminal, platform, expected):
    assert cli.has_screen(environment, terminal, platform) is expected


def test_lab_command_asks_for_root_and_no_browser_only_when_needed():
    plain = cli.lab_command(cli.START, ROOT, headless=False, as_root=False)
    assert "--no-browser" not in plain and "--allow-root" not in plain
    full = cli.lab_command(cli.START, ROOT, headless=True, as_root=True)
    assert set(full) - set(plain) == {"--no-browser", "--allow-root"}
    assert any(option.endswith("/lab/tree/notebooks/00_start_here.ipynb") for option in plain)


def test_lab_refuses_a_notebook_that_is_not_there(capsys, monkeypatch):
    monkeypatch.setattr(os, "execv", lambda *command: pytest.fail("JupyterLab was started"))
    assert cli.main(["lab", "notebooks/none.ipynb"]) == 2
    assert "no notebook notebooks/none.ipynb" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="stops JupyterLab with a POSIX signal")
def test_lab_without_a_screen_prints_an_address_that_answers(tmp_path):
    """What `make lab` does on a server: no browser, an address with a token."""
    folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    environment = os.environ | {f"JUPYTER_{name}": str(tmp_path / name) for name in folders}
    environment |= {"CI": "true", "PYTHONUNBUFFERED": "1"}
    log = tmp_path / "log"
    with log.open("w") as stream:
        lab = subprocess.Popen(
            [sys.executable, "-m", "course_lib.cli", "lab"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = wait_for_address(log, lab)
        assert "/lab/tree/notebooks/00_start_here.ipynb?token=" in address
        with urlopen(address, timeout=60) as page:
            assert page.status == 200
            settings = page.read().decode()
        # Students see none of the menus and pages that nbgrader adds for instructors.
        assert '"disabledExtensions": ["@jupyter/nbgrader"]' in settings
        with pytest.raises(HTTPError, match="404"):
            urlopen(address.replace("/lab/tree/notebooks/00_start_here.ipynb", "/formgrader"))
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(30)


def wait_for_address(log: Path, lab: subprocess.Popen, seconds: float = 60) -> str:
    for _ in range(int(seconds / 0.2)):
        if found := re.search(r"http://(?:127\.0\.0\.1|localhost):\S+", log.read_text()):
            return found.group()
        assert lab.poll() is None, log.read_text()
        time.sleep(0.2)
    pytest.fail(f"no address after {seconds} s:\n{log.read_text()}")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("warning", 0), ("problem", 1)])
def test_doctor_exit_status(monkeypatch, capsys, status, code):
    finding = doctor.Finding("memory", status, "as found", "next step")
    monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Findings([finding]))
    assert cli.main(["doctor"]) == code
    assert "memory: as found" in capsys.readouterr().out


def test_check_of_a_missing_file_says_so(capsys):
    assert cli.main(["check", "exercises/none.ipynb"]) == 2
    assert "none.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 1)])
def test_check_prints_and_records_the_report_and_its_status_says_whether_all_is_well(
    monkeypatch, capsys, tmp_path, ok, code
):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))

    class Report:
        def __init__(self):
            self.ok = ok
            self.results = (CheckResult("01.3", "accuracy", "ok", (PartResult("part", 3, 7),)),)

        def __str__(self):
            return "3 of 7 points"

    monkeypatch.setattr(checking, "check_notebook", lambda path: Report())
    assert cli.main(["check", "exercises/any.ipynb"]) == code
    assert "3 of 7 points" in capsys.readouterr().out
    assert [event["earned"] for event in journal.events("check")] == [3]


def test_progress_prints_units_calibration_and_where_the_file_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    assert cli.main(["progress"]) == 0
    out = capsys.readouterr().out
    assert (
        re.search(r"01 Behaviour +0 of 7", out) and "Predictions with an outcome so far: 0" in out
    )
    assert f"File: {journal.path()}" in out


@pytest.mark.parametrize(("name", "shown"), [("grading", False), ("memory", True)])
def test_lab_speaks_of_what_lessons_need_only(monkeypatch, capsys, name, shown):
    finding = doctor.Finding(name, "warning", "as found", "next step")
    monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Findings([finding]))
    monkeypatch.setattr(os, "execv", lambda *command: pytest.fail("JupyterLab was started"))
    cli.main(["lab", "notebooks/none.ipynb"])
    out = capsys.readouterr().out
    assert ("next step" in out) is shown and ("ready for the course" in out) is not shown


def test_settings_of_lab_name_every_extension_of_nbgrader():
    """What an installed nbgrader switches on, our settings switch off, and nothing else."""
    etc = Path(sys.prefix) / "etc" / "jupyter"
    theirs = json.loads((etc / "jupyter_server_config.d" / "nbgrader.json").read_text())
    ours = cli.JUPYTER_SETTINGS / "jupyter_server_config.d" / "nbgrader.json"
    switched = json.loads(ours.read_text())["ServerApp"]["jpserver_extensions"]
    assert set(switched) == set(theirs["ServerApp"]["jpserver_extensions"])
    assert not any(switched.values())


def test_help_is_quick_because_torch_stays_out():
    source = "import sys, course_lib.cli as c; c.build_parser(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", source], cwd=ROOT).returncode == 0
