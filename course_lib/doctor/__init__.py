"""Say whether this machine can run the course, and how to repair what cannot.

Nearly everything here is read from the file system and from package metadata, so that the answer
comes soon, also when torch itself is broken. One part tries what a notebook does first: a process
of its own imports the course and torch. Two parts are for those who ask: a connection to the hub,
and a sealed-off process, each for a second at most.

`machine`, `course` and `outside` hold the checks, `findings` what they say and how it is shown,
`terminal` how errors are told.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from course_lib.doctor import course, machine, outside
from course_lib.doctor.course import COURSE
from course_lib.doctor.findings import AMBER, GREEN, RED, Finding, Findings

__all__ = [
    "AMBER", "CHECKS", "COURSE", "EXTRAS", "GREEN", "KERNEL", "RED", "Finding", "Findings",
    "diagnose",
]  # fmt: skip

EXTRAS = ("model hub", "grading")  # no lesson needs them, so students are not told of them
KERNEL = "kernel"
CHECKS: dict[str, Callable[[], Finding]] = {
    "Python": machine.check_python,
    "packages": course.check_packages,
    KERNEL: course.check_kernel,
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


def diagnose(extras: bool = False) -> Findings:
    """Look at everything the course needs.

    Parameters
    ----------
    extras : look as well at what no lesson needs: the model hub, and the sandbox for grading

    Returns
    -------
    Findings, a list of `Finding`, in a fixed order. A check that fails itself is reported as a
    problem and never stops the others. Takes about as long as importing torch once; costs no
    forward pass.

    Examples
    --------
    >>> findings = diagnose()
    >>> findings[0].name
    'Python'
    """
    wanted = [name for name in CHECKS if extras or name not in EXTRAS]
    with ThreadPoolExecutor(len(wanted)) as pool:  # nearly all of the time is spent waiting
        return Findings(pool.map(_looked_at, wanted))


def _looked_at(name: str) -> Finding:
    try:
        return CHECKS[name]()
    except Exception as error:  # a broken machine is what we are here to describe
        detail = f"could not be checked ({type(error).__name__}: {error})"
        return Finding(name, RED, detail, "Run `make lab` again; if it stays, ask.")
