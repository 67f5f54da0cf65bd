"""The `course` command: open the course, look at the machine, check a notebook, see progress.

Every sub-command imports what it needs itself, so that `course --help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

START = "notebooks/00_start_here.ipynb"
# Settings of Jupyter that hold in `course lab` only: without the menus and pages that nbgrader
# adds for instructors. They have them in a plain `jupyter lab`.
JUPYTER_SETTINGS = Path(__file__).resolve().parent / "jupyter"
# Where Jupyter, its kernels and matplotlib write; each below the home folder unless it is named.
JUPYTER_FOLDERS = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (0: well, 1: not well, 2: not done).

    Whatever goes wrong ends in a message, and with COURSE_DEBUG=1 in a traceback.
    """
    from course_lib.doctor import terminal

    terminal.make_legible()
    options = build_parser().parse_args(arguments)
    try:
        status = options.run(options)
        return terminal.finish(options, None) or status
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get(terminal.DEBUG):
            raise
        return terminal.finish(options, error)


def build_parser() -> argparse.ArgumentParser:
    """The parser; each sub-command sets `run` to the function that does the work."""
    parser = argparse.ArgumentParser(prog="course", description="Interpretability, hands on.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    lab = commands.add_parser(
        "lab", help="look at the machine, then open JupyterLab as students see it"
    )
    lab.add_argument("notebook", nargs="?", default=START, help=f"default: {START}")
    lab.add_argument("--no-browser", action="store_true", help="print the address instead")
    lab.set_defaults(run=run_lab)

    doctor = commands.add_parser("doctor", help="say what this machine lacks, and how to fix it")
    extras = "look at the model hub and at the sandbox for grading as well; no lesson needs them"
    doctor.add_argument("--all", action="store_true", help=extras)
    doctor.set_defaults(run=run_doctor)

    check = commands.add_parser("check", help="run the visible checks of an assignment")
    check.add_argument("notebook", metavar="UNIT", help="for instance 01; or a notebook, a folder")
    check.set_defaults(run=run_check)

    progress = commands.add_parser("progress", help="what you have done so far")
    progress.set_defaults(run=run_progress)

    features = commands.add_parser("features", help="write a page of the features of course-sae")
    features.add_argument("--out", type=Path, default=Path("features.html"))
    features.add_argument("--texts", type=int, default=500, help="texts to read; default: 500")
    features.set_defaults(run=run_features)

    submit = commands.add_parser("submit", help="make the file to hand in, with a receipt")
    submit.add_argument("unit", help="for instance 01")
    submit.add_argument("--out", type=Path, help="default: handed-in, in the folder of the course")
    submit.set_defaults(run=run_submit)
    _add_instructors_commands(commands)
    return parser


def _add_instructors_commands(commands: argparse._SubParsersAction) -> None:
    """Release, collect, grade, feed back, report; docs/grading.md says how they go together."""
    helps = {
        "release": "for instructors: build what students receive",
        "collect": "for instructors: take in what students handed in",
        "grade": "for instructors: grade what was collected, each in a sandbox",
        "feedback": "for instructors: write a page of feedback for each student",
        "report": "for instructors: write the table of points and the report on the class",
    }
    made = {name: commands.add_parser(name, help=text) for name, text in helps.items()}
    for name, parser in made.items():
        parser.add_argument("unit", nargs="+" if name == "release" else None, help="such as 01")
        parser.add_argument("--class", dest="folder", type=Path, default=Path("class"),
                            help="folder of the class; default: class")  # fmt: skip
        parser.set_defaults(run=run_instructors_command, command=name)
    made["release"].add_argument("--out", type=Path, default=Path("build/release"))
    made["collect"].add_argument("source", type=Path, help="a folder, or a platform's zip file")
    grade = made["grade"]
    grade.add_argument("--jobs", type=int, default=1, help="processes to use; default: 1")
    grade.add_argument("--scheduler", default="", help="a Dask cluster instead: tcp://...")
    grade.add_argument("--student", action="append", default=[], help="grade this one again")
    grade.add_argument("--exercise", action="append", default=[], help="grade only this one again")
    grade.add_argument("--isolation", choices=("bwrap", "container", "none"), default="bwrap")
    grade.add_argument("--image", default="course-grading", help="for --isolation container")
    grade.add_argument("--i-trust-these-submissions", action="store_true", dest="trusted",
                       help="needed for --isolation none: their code runs as you")  # fmt: skip
    grade.add_argument("--no-gradebook", action="store_true", help="do without nbgrader")


def run_lab(options: argparse.Namespace) -> int:
    """Print what the doctor would repair, then run JupyterLab until it is stopped."""
    from course_lib import doctor

    to_repair = doctor.Findings(f for f in doctor.diagnose() if f.status != doctor.GREEN)
    print(to_repair or "This machine is ready for the course.", flush=True)
    if any(f.name == doctor.KERNEL and f.status == doctor.RED for f in to_repair):
        print("No notebook can run, so JupyterLab was not started.", file=sys.stderr)
        return 1
    if not (doctor.COURSE / options.notebook).is_file():
        print(f"There is no notebook {options.notebook} in the course folder.", file=sys.stderr)
        return 2
    headless = options.no_browser or not has_screen(os.environ, sys.stdout.isatty(), sys.platform)
    command = lab_command(options.notebook, doctor.COURSE, headless, is_root())
    os.environ |= lab_environment(os.environ, place_for_jupyter())
    if headless:
        print("JupyterLab prints an address with a token below. Open it in a browser.", flush=True)
    if os.name == "posix":
        os.execv(command[0], command)  # signals, Ctrl-C among them, then reach JupyterLab itself
    return subprocess.call(command)


def lab_command(notebook: str, root: Path, headless: bool, as_root: bool) -> list[str]:
    """The command that opens `notebook` (a path below `root`) in JupyterLab."""
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={root}"]
    command += [f"--LabApp.default_url=/lab/tree/{notebook}"]
    # Only warnings, so that the address stands out; it is printed in any case.
    command += ["--ServerApp.log_level=WARN"]
    # The course needs no network: JupyterLab neither looks for newer versions of itself
    # nor (see labconfig) asks whether it may fetch news.
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    # A login shell, which JupyterLab takes where it has no terminal, would forget our PATH.
    shell = os.environ.get("SHELL") or shutil.which("bash") or shutil.which("sh")
    if os.name == "posix" and shell:
        settings = {"shell_command": [shell]}
        command.append(f"--ServerApp.terminado_settings={settings}")
    if headless:
        command.append("--no-browser")
    if as_root:
        command.append("--allow-root")
    return command


def settings_path(environment: Mapping[str, str]) -> str:
    """JUPYTER_CONFIG_PATH with our settings in front, where they win.

    >>> settings_path({"JUPYTER_CONFIG_PATH": "theirs"}).split(os.pathsep)[1:]
    ['theirs']
    """
    theirs = environment.get("JUPYTER_CONFIG_PATH")
    return os.pathsep.join(filter(None, [str(JUPYTER_SETTINGS), theirs]))


def lab_environment(environment: Mapping[str, str], place: Path | None = None) -> dict[str, str]:
    """The variables that JupyterLab gets: our settings, and `course` on the PATH of its terminal.

    With `place`, Jupyter's own folders are below it, unless a variable names them already.
    """
    path = [str(Path(sys.executable).parent), environment.get("PATH")]
    changed = {name: str(place / name.lower()) for name in JUPYTER_FOLDERS if place}
    changed |= {name: environment[name] for name in changed if name in environment}
    changed["JUPYTER_CONFIG_PATH"] = settings_path(environment)
    return changed | {"PATH": os.pathsep.join(filter(None, path))}


def place_for_jupyter() -> Path | None:
    """A temporary folder for a user who may not write where Jupyter does; else None."""
    from jupyter_core.paths import jupyter_config_dir, jupyter_data_dir, jupyter_runtime_dir

    from course_lib.doctor.course import write_problem

    folders = (jupyter_config_dir(), jupyter_data_dir(), jupyter_runtime_dir())
    if not any(write_problem(Path(folder)) for folder in folders):
        return None
    return Path(tempfile.mkdtemp(prefix="course-jupyter-"))


def has_screen(environment: Mapping[str, str], terminal: bool, platform: str) -> bool:
    """Whether opening a browser makes sense here.

    >>> has_screen({"DISPLAY": ":0"}, terminal=True, platform="linux")
    True
    >>> has_screen({}, terminal=True, platform="linux")
    False
    """
    if not terminal or environment.get("CI") or environment.get("SSH_CONNECTION"):
        return False
    if platform.startswith("linux"):
        return bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
    return True


def is_root() -> bool:
    """Whether we are the administrator, as in many containers; JupyterLab must be told."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def run_doctor(options: argparse.Namespace) -> int:
    """Print every finding; the exit status is 1 if one of them is a problem."""
    from course_lib import doctor

    findings = doctor.diagnose(extras=options.all)
    print(findings)
    return int(findings.status == doctor.RED)


def run_check(options: argparse.Namespace) -> int:
    """Check one notebook as it will be graded, on the visible checks, and print the points.

    The exit status is 1 while a check fails, so that scripts can rely on it.
    """
    from course_lib import doctor, journal
    from course_lib.grading import checking

    tempfile.gettempdir()  # without one no model loads, and a check would take the blame
    try:
        notebook = checking.notebook_of(options.notebook, doctor.COURSE)
        report = checking.check_notebook(notebook)
    except checking.NotebookError as error:
        print(error, file=sys.stderr)
        return 2
    for result in report.results:
        journal.record_check(result)
    print(report)
    return int(not report.ok)


def run_progress(options: argparse.Namespace) -> int:
    """Print the progress of each unit, how good the predictions were, and where this is kept."""
    from course_lib import journal
    from course_lib.progress import progress_report
    from course_lib.progress.calibration import calibration

    print(progress_report(), calibration(), f"File: {journal.path()}", sep="\n\n")
    return 0


def run_features(options: argparse.Namespace) -> int:
    """Read generated texts with course-lm and write what each feature of course-sae reacts to."""
    from itertools import islice

    from course_lib.models.loading import load_model
    from course_lib.sae import generated_documents, index_features, load_sae, write_page

    if options.texts < 1 or not options.out.parent.is_dir():
        print("Give at least one text, and a file in a folder that exists.", file=sys.stderr)
        return 2
    open(options.out, "a").close()  # what cannot be written is told before minutes of work
    texts = list(islice(generated_documents("features"), options.texts))
    n = write_page(index_features(load_model("course-lm"), load_sae(), texts), options.out)
    print(f"{options.out}: {n} features")
    return 0


def run_submit(options: argparse.Namespace) -> int:
    """Pack the notebook of a unit and print what is inside, warnings and the receipt."""
    from course_lib import doctor
    from course_lib.grading import commands

    return commands.submit(options.unit, doctor.COURSE, options.out or doctor.COURSE / "handed-in")


def run_instructors_command(options: argparse.Namespace) -> int:
    """Hand over to course_lib/grading/commands.py, which has a function for each command."""
    from course_lib.grading import commands

    return commands.run(options)


if __name__ == "__main__":
    sys.exit(main())
