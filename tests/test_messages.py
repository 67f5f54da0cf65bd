"""Every command ends in a message with a next step, whatever the machine refuses."""

import argparse
import errno
import io
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from course_lib import cli
from course_lib.doctor import terminal

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "lab": "run_lab", "doctor": "run_doctor", "check 01": "run_check", "progress": "run_progress",
    "features": "run_features", "submit 01": "run_submit", "release 01": "run_instructors_command",
    "collect 01 all.zip": "run_instructors_command", "grade 01": "run_instructors_command",
    "feedback 01": "run_instructors_command", "report 01": "run_instructors_command",
}  # fmt: skip
TROUBLES = {
    "read-only": (OSError(errno.EROFS, "Read-only file system", "handed-in"), 2, "handed-in (read"),
    "not ours": (PermissionError(errno.EACCES, "Permission denied", "class/key"), 2, "class/key"),
    "full": (OSError(errno.ENOSPC, "No space left on device"), 2, "Free some space"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded", "a.zip"), 2, "a.zip was not written"),
    "files": (OSError(errno.EMFILE, "Too many open files"), 2, "Too many open files"),
    "no number": (OSError("cannot find a writable directory"), 2, "writable directory"),
    "Ctrl-C": (KeyboardInterrupt(), 130, "Stopped"),
    "memory": (MemoryError(), 2, "memory is full"),
    "package": (ModuleNotFoundError("No module named 'torch'"), 2, "make lab"),
    "our mistake": (TypeError("unhashable type"), 2, "Please report it"),
}


def test_every_command_is_tried():
    (choices,) = (a.choices for a in cli.build_parser()._actions if a.choices)
    assert {command.split()[0] for command in COMMANDS} == set(choices)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("command", COMMANDS)
def test_trouble_in_a_command_becomes_a_message(command, trouble, monkeypatch, capsys):
    error, status, told = TROUBLES[trouble]

    def run(options):
        raise error

    monkeypatch.setattr(cli, COMMANDS[command], run)
    assert cli.main(command.split()) == status
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said and said.endswith("\n")
    assert len(said.strip().splitlines()) <= 2


def test_with_the_variable_for_it_the_traceback_is_shown(monkeypatch):
    monkeypatch.setenv(terminal.DEBUG, "1")
    monkeypatch.setattr(cli, "run_doctor", lambda options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


@pytest.mark.parametrize(("where", "option"), [("out", "--out"), ("folder", "--class"), ("", "")])
def test_a_refusal_names_the_option_that_leads_elsewhere(where, option):
    options = argparse.Namespace(**({where: None} if where else {}))
    said = terminal.explain(PermissionError(errno.EPERM, "Not permitted", "x"), options)
    assert option in said and ("copy the course" in said) == (not option)


def test_a_name_cannot_steer_the_terminal():
    said = terminal.explain(OSError(errno.EIO, "Input/output error", "a\x1b[2Jb\u202ec\n"))
    assert "a?[2Jb?c?" in said and "\x1b" not in said


def course_command(*arguments: str, **settings) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "course_lib.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, **settings)


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "shift_jis"])
def test_the_doctor_finds_signs_that_the_encoding_has(encoding, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('\\N{SNOWMAN} \\N{RIGHT ARROW}')")
    paths = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": paths}
    run = course_command("doctor", env=environment, stdout=subprocess.PIPE)
    said = run.stdout.decode(encoding)
    assert run.returncode == 1 and run.stderr == b""
    assert "x kernel: " in said or "\N{BALLOT X}" in said
    assert "+ memory" in said or "! memory" in said or "\N{CHECK MARK}" in said


@pytest.mark.parametrize(
    ("text", "plain"),
    [("✓ ok", "+ ok"), ("Übung – ‘é’", "Ubung - 'e'"), ("a → b", "a -> b"), ("日", "?"),
     ("caf\udce9", "caf?"), ("½ and 1²", "1/2 and 12")],
)  # fmt: skip
def test_what_ascii_lacks_is_written_with_its_nearest_letters(text, plain):
    assert text.encode("ascii", "course-ascii").decode() == plain


def test_a_reader_that_has_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        run = course_command("progress", stdout=pipe)
    assert run.returncode == terminal.CLOSED_PIPE and run.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["progress", "doctor"])
def test_output_to_a_full_disk_is_told_once(command):
    with open("/dev/full", "w") as full:
        run = course_command(command, stdout=full)
    assert run.returncode == 2 and run.stderr.decode().count("The disk is full") == 1
    assert b"Traceback" not in run.stderr and b"Exception ignored" not in run.stderr


def test_a_bundle_on_a_full_disk_leaves_nothing_behind(monkeypatch, capsys, tmp_path):
    import zipfile

    def full(archive, name, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    assert cli.main(["submit", "04", "--out", str(tmp_path)]) == 2
    assert "The disk is full" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def works(bwrap: str | None) -> bool:
    return bool(bwrap) and not subprocess.run([bwrap, "--ro-bind", "/", "/", "true"]).returncode


@pytest.mark.skipif(not works(shutil.which("bwrap")), reason="bubblewrap does not work here")
@pytest.mark.parametrize("command", ["submit 04", "submit 04 --out new/folder", "release 04"])
def test_a_read_only_folder_is_told_with_the_way_out(command):
    sealed = [shutil.which("bwrap"), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
              "--tmpfs", "/tmp", "--ro-bind", str(ROOT), str(ROOT)]  # fmt: skip
    run = subprocess.run(
        [*sealed, sys.executable, "-m", "course_lib.cli", *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "(read-only file system)" in run.stderr and "--out" in run.stderr


@pytest.mark.skipif(not works(shutil.which("bwrap")), reason="bubblewrap does not work here")
@pytest.mark.parametrize(
    ("command", "told"),
    [("submit 04", "handed-in (read-only file system)"), ("features", "--out"),
     ("features --out docs/x.html", "--out"), ("release 04", "--out"), ("check 04", "temporary"),
     ("collect 04 x.zip", "class/roster.csv"), ("progress", ""), ("doctor", "cannot be saved")],
)  # fmt: skip
def test_where_nothing_at_all_can_be_written_one_message_says_so(command, told):
    sealed = [shutil.which("bwrap"), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    course = [sys.executable, "-m", "course_lib.cli", *command.split()]
    run = subprocess.run([*sealed, *course], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode in (1, 2) and told in run.stdout + run.stderr
    assert "Traceback" not in run.stderr and "Please report" not in run.stdout + run.stderr


def test_a_warning_is_one_plain_line(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with warnings.catch_warnings():
        terminal.make_legible()
        warnings.warn("Progress was not saved.", UserWarning, stacklevel=1)
    assert written.getvalue() == "Warning: Progress was not saved.\n"
