"""Say whether this machine can run the course, and how to repair what cannot.

Nearly everything here is read from the file system and from package metadata: no model is loaded
and torch is not imported, so that the answer comes at once, also when torch itself is broken. Two
parts try something, each for a second at most: a connection to the hub, and a sealed-off process.

`machine`, `course` and `outside` hold the checks, `findings` what they say and how it is shown.
"""

from __future__ import annotations

from collections.abc import Callable

from course_lib.doctor import course, machine, outside
from course_lib.doctor.course import COURSE
from course_lib.doctor.findings import AMBER, GREEN, RED, Finding, Findings

__all__ = [
    "AMBER", "CHECKS", "COURSE", "EXTRAS", "GREEN", "RED", "Finding", "Findings", "diagnose",
]  # fmt: skip

EXTRAS = ("model hub", "grading")  # no lesson needs them; `course lab` does not speak of them
CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": machine.check_python,
    "packages": course.check_packages,
    "memory": machine.check_memory,
    "disk": machine.check_disk,
    "threads": machine.check_threads,
    "BLAS": machine.check_blas,
    "bundled models": course.check_models,
    "widgets": course.check_widgets,
    "saving": course.check_writing,
    "model hub": outside.check_hub,
    "grading": outside.check_grading,
}


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
