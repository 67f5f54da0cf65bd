"""Visible checks of the assignments: ``check("01.3", minimal_pair_accuracy)``.

One readable file per unit lists the exercises and how each is checked. The same files serve the
grader, which adds held-out parts of the same shape and calls the student's function from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from course_lib.checks.results import CheckResult, Exercise, Part, Wrong

__all__ = ["CheckResult", "Exercise", "Part", "Wrong", "check", "exercises"]

UNITS = {
    "01": "course_lib.checks.unit01",
    "02": "course_lib.checks.unit02",
    "03": "course_lib.checks.unit03",
    "04": "course_lib.checks.unit04",
    "05": "course_lib.checks.unit05",
    "06": "course_lib.checks.unit06",
}


def exercises(unit: str) -> dict[str, Exercise]:
    """The exercises of a unit by id, for example ``exercises("01")["01.3"]``.

    Raises
    ------
    ValueError : there are no checks for this unit

    Examples
    --------
    >>> from course_lib.checks import exercises
    >>> exercises("01")["01.3"].function
    'minimal_pair_accuracy'
    """
    if unit not in UNITS:
        raise ValueError(f"There are no checks for unit {unit!r}. Units: {', '.join(UNITS)}.")
    return {exercise.id: exercise for exercise in import_module(UNITS[unit]).EXERCISES}


def check(exercise_id: str, function: Callable[..., Any], seed: int = 0) -> CheckResult:
    """Run the visible checks of one exercise on your function.

    The result is shown as a table at the end of a cell. A mistake in ``function`` never raises:
    it becomes a line of the table with the likely cause. The points are also noted in the local
    progress file. No model is needed; a check takes well under two seconds.

    Parameters
    ----------
    exercise_id : for example ``"01.3"``
    function : your function itself, not the result of calling it
    seed : the random inputs of the checks follow from it

    Raises
    ------
    ValueError : there is no exercise with this id
    """
    from course_lib.checks.calling import run_checks
    from course_lib.journal import record_check

    unit = str(exercise_id).split(".")[0]
    known = exercises(unit)
    if exercise_id not in known:
        raise ValueError(f"There is no exercise {exercise_id!r}. Unit {unit}: {', '.join(known)}.")
    result = run_checks(known[exercise_id], function, seed)
    record_check(result)
    return result
