"""What the course needs installed: packages, a kernel, models, widgets, room to save."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from course_lib.doctor.findings import AMBER, GREEN, RED, Finding

DISTRIBUTION = "course-lib"
COURSE = Path(__file__).resolve().parents[2]  # the folder that holds notebooks/ and Makefile
# What the first cells of every notebook import, and the kernel itself.
IMPORTED = "ipykernel.kernelapp, ipywidgets, matplotlib.pyplot, torch, transformers, course_lib"
OURS = ".venv/bin/python"
KERNEL_SECONDS = 120  # the first import after an installation reads gigabytes
ANEW = "Delete the folder .venv and run `make lab`, which makes it anew."
# What to do by what the last line of an error says; anything else is a damaged installation.
KERNEL_FIXES = {
    "No module named 'course_lib": "The folder was moved, renamed or copied, or its set-up did not "
    "come to its end: run `make lab`.",
    "surrogates not allowed": "The name of the folder needs an encoding that is switched off here: "
    "export PYTHONUTF8=1",
    "writable": "Set the variable TMPDIR to a folder that you can write to.",
    "temporary directory": "Set the variable TMPDIR to a folder that you can write to.",
    "No space left": "Free some space, then look again: course doctor",
}


def check_packages() -> Finding:
    """Is every package the course needs installed, in a version inside the tested range?"""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in metadata.requires(DISTRIBUTION) or []]
    except metadata.PackageNotFoundError:
        fix = "Run `make lab`, which installs it into .venv, and start from there."
        return Finding("packages", RED, f"{DISTRIBUTION} is not installed here", fix)
    needed = [r for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})]
    wrong = [problem for r in needed if (problem := _version_problem(r))]
    if wrong:
        fix = "Delete the file .venv/.ready and run `make lab`."
        return Finding("packages", RED, "; ".join(wrong), fix)
    shown = ", ".join(f"{n} {metadata.version(n)}" for n in ("torch", "transformers", "jupyterlab"))
    return Finding("packages", GREEN, f"{len(needed)} as tested, among them {shown}")


def _version_problem(requirement) -> str:
    try:
        found = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    if requirement.specifier.contains(found, prereleases=True):
        return ""
    return f"{requirement.name} is {found}, tested with {requirement.specifier}"


def check_kernel() -> Finding:
    """Can a kernel started in notebooks/ import what a notebook imports, and from this folder?"""
    # in hexadecimal: its encoding may lack what stands in the path
    source = f"import os, {IMPORTED}; print(os.fsencode(course_lib.__file__).hex())"
    command, folder = [*_kernel_python(), "-c", source], COURSE / "notebooks"
    try:
        run = subprocess.run(
            command,
            cwd=folder if folder.is_dir() else COURSE,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=KERNEL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        fix = "Wait until other programs are done, then look again: course doctor"
        return Finding("kernel", AMBER, f"no answer within {KERNEL_SECONDS} seconds", fix)
    except OSError as error:
        return Finding("kernel", RED, f"Python does not start ({error.strerror})", ANEW)
    if run.returncode:
        return _broken_kernel(run)
    file = os.fsdecode(bytes.fromhex(run.stdout.splitlines()[-1].decode()))
    found = Path(file).resolve().parents[1]
    if found != COURSE:
        fix = "Run `make lab` in this folder, and take the folder out of the variable PYTHONPATH."
        return Finding("kernel", RED, "a notebook would use the code of another folder", fix)
    return Finding("kernel", GREEN, "a notebook can import the course and torch")


def _kernel_python() -> list[str]:
    """The Python that JupyterLab starts for a notebook of the course; ours if it cannot be said."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        python = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except Exception:  # nothing about it can be read: then ours is tried
        return [sys.executable]
    return [python if os.path.isabs(python) else sys.executable]


def _broken_kernel(run: subprocess.CompletedProcess[bytes]) -> Finding:
    """What a Python that could not import the course said, in a line."""
    if run.returncode < 0:
        detail = f"Python died while importing ({signal.strsignal(-run.returncode)})"
        return Finding("kernel", RED, detail, ANEW + " If it stays, the processor may be too old.")
    lines = run.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    detail = "a notebook cannot start: " + lines[-1].replace(os.path.expanduser("~"), "~")
    fix = next((fix for sign, fix in KERNEL_FIXES.items() if sign in lines[-1]), ANEW)
    if run.args[0] != sys.executable:  # somebody registered a kernel that goes before ours
        fix = f"JupyterLab starts another Python: {OURS} -m jupyter kernelspec remove python3"
    return Finding("kernel", RED, detail, fix)


def check_models() -> Finding:
    """Are the files of the bundled models here, and are they the ones we shipped (sha256)?"""
    from course_lib.models import assets

    broken = []
    for name in assets.BUNDLED:
        try:
            assets.asset_folder(name)
        except assets.AssetError:
            broken.append(name)
    if broken:
        fix = "git checkout -- course_lib/assets (or train them again: make models)"
        return Finding("bundled models", RED, "missing or damaged: " + ", ".join(broken), fix)
    return Finding("bundled models", GREEN, ", ".join(assets.BUNDLED) + ": every file verified")


def check_widgets() -> Finding:
    """Is the part of ipywidgets that runs in the browser installed beside JupyterLab?"""
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    if any((f / "@jupyter-widgets/jupyterlab-manager/package.json").is_file() for f in folders):
        return Finding("widgets", GREEN, f"ipywidgets {metadata.version('ipywidgets')}")
    fix = "Delete the file .venv/.ready and run `make lab`; figures stay visible without widgets."
    return Finding("widgets", AMBER, "JupyterLab does not know the widget extension", fix)


def check_writing() -> Finding:
    """Can notebooks and progress be saved?"""
    from course_lib import journal

    if problem := write_problem(COURSE / "notebooks"):
        fix = "Copy the course into a folder of your own and run `make lab` there."
        return Finding("saving", RED, f"notebooks cannot be saved ({problem})", fix)
    if problem := write_problem(journal.home()):
        fix = "Set the variable COURSE_HOME to a folder you can write to, and start again."
        return Finding("saving", AMBER, f"progress cannot be saved ({problem})", fix)
    if journal.path().exists() and not os.access(journal.path(), os.R_OK | os.W_OK):
        fix = f"Make {journal.path().name} in the folder of your progress your own: chmod u+rw"
        return Finding("saving", AMBER, "the progress file is locked", fix)
    return Finding("saving", GREEN, "notebooks and progress can be saved")


def write_problem(folder: Path) -> str:
    """Why nothing can be written in `folder`, which need not exist yet; "" if it can."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)
