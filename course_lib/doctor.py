"""Say whether this machine can run the course, and how to repair what cannot.

Everything here is read from the file system and from package metadata: no model is loaded and
torch is not imported, so that the answer comes at once, also when torch itself is broken.
"""

from __future__ import annotations

import html
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

GREEN, AMBER, RED = "ok", "warning", "problem"
MARKS = {GREEN: "✓", AMBER: "!", RED: "✗"}
COLOURS = {GREEN: "#1b7837", AMBER: "#b35806", RED: "#b2182b"}

DISTRIBUTION = "course-lib"
PYTHONS = ((3, 11), (3, 13))
GIB = 2**30
COURSE = Path(__file__).resolve().parent.parent  # the folder that holds notebooks/ and Makefile


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at.

    Attributes
    ----------
    name : what was looked at.
    status : "ok", "warning" (the course runs, something may be slow or missing) or "problem".
    detail : what was found.
    fix : the exact next step; empty when the status is "ok".
    """

    name: str
    status: str
    detail: str
    fix: str = ""


class Findings(list[Finding]):
    """A list of findings that prints as lines of text and shows as a table in a notebook."""

    @property
    def status(self) -> str:
        """The worst status in the list; "ok" for an empty one."""
        order = (GREEN, AMBER, RED)
        return max((finding.status for finding in self), key=order.index, default=GREEN)

    def __str__(self) -> str:
        return render_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render_html(self)


def diagnose() -> Findings:
    """Look at everything the course needs.

    Returns
    -------
    Findings, a list of `Finding`, in a fixed order. A check that fails itself is reported as a
    problem and never stops the others. Takes well under three seconds; costs no forward pass.

    Examples
    --------
    >>> findings = diagnose()
    >>> findings[0].name
    'Python'
    """
    findings = Findings()
    for name, check in CHECKS.items():
        try:
            findings.append(check())
        except Exception as error:  # a broken machine is what we are here to describe
            detail = f"could not be checked ({type(error).__name__}: {error})"
            findings.append(Finding(name, RED, detail, "Run `make lab` again; if it stays, ask."))
    return findings


def render_text(findings: Iterable[Finding]) -> str:
    """One line a finding, with the fix below it where there is one."""
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.status]} {finding.name}: {finding.detail}")
        if finding.fix:
            lines.append(f"    {finding.status}: {finding.fix}")
    return "\n".join(lines)


def render_html(findings: Iterable[Finding]) -> str:
    """A table; the status stands there as a word, so that colour is never the only sign."""
    rows = "".join(
        f'<tr><td style="color:{COLOURS[f.status]}">{MARKS[f.status]} {f.status}</td>'
        f'<th scope="row" style="text-align:left">{html.escape(f.name)}</th>'
        f'<td style="text-align:left">{html.escape(f.detail)}</td>'
        f'<td style="text-align:left">{html.escape(f.fix)}</td></tr>'
        for f in findings
    )
    head = "".join(
        f'<th scope="col" style="text-align:left">{t}</th>'
        for t in ("status", "part", "found", "next step")
    )
    return (
        "<table><caption>What the doctor found on this machine</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )


def check_python() -> Finding:
    """Is this a Python version the course is tested with?"""
    found = sys.version_info[:2]
    detail = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= found <= PYTHONS[1]:
        return Finding("Python", GREEN, detail)
    fix = "Install Python 3.11, 3.12 or 3.13, delete the folder .venv, and run `make lab`."
    return Finding("Python", RED, detail, fix)


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


def check_memory() -> Finding:
    """Is there enough free memory for one notebook kernel and a browser?"""
    import psutil

    free = psutil.virtual_memory().available
    free = min(free, _container_memory_left(free)) / GIB
    detail = f"{free:.1f} GiB free"
    if free >= 2:
        return Finding("memory", GREEN, detail)
    fix = "Close other programs and shut down notebook kernels you no longer need."
    return Finding("memory", AMBER if free >= 1 else RED, detail, fix)


def _container_memory_left(default: int) -> int:
    """Bytes left under the limit of a container (Binder, Docker), which `free` does not show."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = int((folder / "memory.max").read_text())
        return max(0, limit - int((folder / "memory.current").read_text()))
    except (OSError, ValueError):  # no limit ("max"), or not Linux
        return default


def check_disk() -> Finding:
    """Is there room for saved notebooks and results?"""
    free = shutil.disk_usage(COURSE).free / GIB
    detail = f"{free:.1f} GiB free"
    if free >= 1:
        return Finding("disk", GREEN, detail)
    fix = "Free some space on the disk that holds the course folder."
    return Finding("disk", AMBER if free >= 0.2 else RED, detail, fix)


def check_threads() -> Finding:
    """Will torch use the processor well? More threads than cores makes it slower."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    detail = f"{cores} cores" + (f", OMP_NUM_THREADS={wanted}" if wanted else "")
    if wanted.isdigit() and int(wanted) > cores:
        return Finding("threads", AMBER, detail, f"Set OMP_NUM_THREADS={cores} or unset it.")
    if cores < 2:
        fix = "Nothing to repair: the notebooks run, more slowly than the times they announce."
        return Finding("threads", AMBER, detail, fix)
    return Finding("threads", GREEN, detail)


def check_models() -> Finding:
    """Are the files of the bundled models here, and are they the ones we shipped (sha256)?"""
    from course_lib import assets

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
    from course_lib import progress

    if problem := _write_problem(COURSE / "notebooks"):
        fix = "Copy the course into a folder of your own and run `make lab` there."
        return Finding("saving", RED, f"notebooks cannot be saved ({problem})", fix)
    if problem := _write_problem(progress.home()):
        fix = "Set the variable COURSE_HOME to a folder you can write to, and start again."
        return Finding("saving", AMBER, f"progress cannot be saved ({problem})", fix)
    return Finding("saving", GREEN, "notebooks and progress can be saved")


def _write_problem(folder: Path) -> str:
    """Why nothing can be written in `folder`, which need not exist yet; "" if it can."""
    while not folder.is_dir():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": check_python,
    "packages": check_packages,
    "memory": check_memory,
    "disk": check_disk,
    "threads": check_threads,
    "bundled models": check_models,
    "widgets": check_widgets,
    "saving": check_writing,
}
