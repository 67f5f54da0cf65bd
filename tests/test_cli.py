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
        # Nothing asks over the notebook whether it may fetch news.
        switched_off = re.search(r'"disabledExtensions": \[(.*?)\]', settings)[1]
        news = "@jupyterlab/apputils-extension:announcements"
        assert switched_off == f'"@jupyter/nbgrader", "{news}"'
        first = "/lab/tree/notebooks/00_start_here.ipynb"
        with pytest.raises(HTTPError, match="404"):
            urlopen(address.replace(first, "/formgrader"))
        # The pages of the course open as pages, not as their source in an editor.
        settings = "/lab/api/settings/@jupyterlab/docmanager-extension:plugin"
        with urlopen(address.replace(first, settings), timeout=60) as answer:
            viewers = json.load(answer)["schema"]["properties"]["defaultViewers"]["default"]
        assert viewers == {"markdown": "Markdown Preview"}
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
    monkeypatch.setattr(doctor, "diagnose", lambda extras: doctor.Findings([finding]))
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
    assert cli.main(["check", "01"]) == code
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


@pytest.mark.parametrize("named", ["1", "04", "exercises/04_circuits", "04_circuits.ipynb"])
def test_a_unit_or_a_path_names_a_notebook_from_any_folder(named, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT / "exercises" / "04_circuits" if "." in named else tmp_path)
    found = checking.notebook_of(named, ROOT)
    assert found.is_file() and found.name[:2] == named.removeprefix("exercises/")[:2].zfill(2)


@pytest.mark.parametrize(("named", "told"), [("9", "There are: 01, 02"), ("77", "assignment 77")])
def test_a_unit_that_is_not_there_is_named_with_those_that_are(named, told, capsys):
    assert cli.main(["check", named]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("unit", ["exercises/01_behaviour", "*", "one", "001"])
def test_submit_asks_for_a_unit(unit, capsys, tmp_path):
    assert cli.main(["submit", unit, "--out", str(tmp_path / "out")]) == 2
    assert "course submit 01" in capsys.readouterr().err and not any(tmp_path.iterdir())


@pytest.mark.parametrize("unit", ["01", "4"])
def test_submit_works_from_a_clone(unit, capsys, tmp_path):
    assert cli.main(["submit", unit, "--out", str(tmp_path)]) == 0
    (bundle,) = tmp_path.iterdir()
    assert bundle.suffix == ".zip" and bundle.name.startswith(unit.zfill(2))
    said = capsys.readouterr().out
    assert "is not answered yet" in said and "cannot be graded" not in said
    assert re.search(r"Receipt .*[0-9a-f]{64}", said)


@pytest.mark.parametrize(("status", "shown"), [("ok", False), ("warning", True)])
def test_lab_speaks_of_what_is_to_repair(monkeypatch, capsys, status, shown):
    finding = doctor.Finding("memory", status, "as found", "next step")
    monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Findings([finding]))
    monkeypatch.setattr(os, "execv", lambda *command: pytest.fail("JupyterLab was started"))
    cli.main(["lab", "notebooks/none.ipynb"])
    out = capsys.readouterr().out
    assert ("next step" in out) is shown and ("ready for the course" in out) is not shown


def test_lab_does_not_open_where_no_notebook_can_run(monkeypatch, capsys):
    finding = doctor.Finding(doctor.KERNEL, doctor.RED, "as found", "next step")
    monkeypatch.setattr(doctor, "diagnose", lambda: doctor.Findings([finding]))
    monkeypatch.setattr(os, "execv", lambda *command: pytest.fail("JupyterLab was started"))
    assert cli.main(["lab"]) == 1
    said = capsys.readouterr()
    assert "next step" in said.out and "not started" in said.err


def test_the_terminal_of_lab_knows_the_command_course():
    given = {"PATH": os.pathsep.join(["/usr/bin", "/bin"]), "HOME": "/home/ada"}
    path = cli.lab_environment(given)["PATH"].split(os.pathsep)
    assert path == [str(Path(sys.executable).parent), "/usr/bin", "/bin"]
    # A login shell would set the PATH anew; with a command of ours there is none.
    command = cli.lab_command(cli.START, ROOT, headless=True, as_root=False)
    assert any("shell_command" in option and "-l" not in option.split("=")[1] for option in command)


def test_a_user_without_a_home_gets_a_place_for_jupyter(monkeypatch, tmp_path):
    for name in cli.JUPYTER_FOLDERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.place_for_jupyter() is None
    monkeypatch.setenv("HOME", "/proc/no-home")
    place = cli.place_for_jupyter()
    assert place.is_dir() and os.access(place, os.W_OK)
    changed = cli.lab_environment({"IPYTHONDIR": "mine", "PATH": ""}, place)
    assert changed["IPYTHONDIR"] == "mine"
    assert Path(changed["JUPYTER_RUNTIME_DIR"]).parent == place
    place.rmdir()


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
