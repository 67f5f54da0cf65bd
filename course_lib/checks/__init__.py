"""Visible checks of the assignments: ``check("01.3", minimal_pair_accuracy)``.

The package holds builders of inputs (``inputs/``), stored numbers (``cases/``) and the engine that
calls a function, compares, and names the mistake. It holds no answer: the numbers were computed by
functions that stay with the instructors, who check with other inputs when they grade.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from course_lib.checks.results import CheckResult

if TYPE_CHECKING:
    from course_lib.checks.exercise import Exercise

__all__ = ["UNITS", "CheckResult", "check", "exercises"]

UNITS = tuple(sorted(path.stem for path in (Path(__file__).parent / "cases").glob("*.json")))


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
    from course_lib.checks.cases import stored_exercises

    if unit not in UNITS:
        raise ValueError(f"There are no checks for unit {unit!r}. Units: {', '.join(UNITS)}.")
    return stored_exercises(unit)


def check(exercise_id: str, function: Callable[..., Any]) -> CheckResult:
    """Run the visible checks of one exercise on your function.

    The result is shown as a table at the end of a cell. A mistake in ``function`` never raises:
    it becomes a line of the table with the likely cause. The points are also noted in the local
    progress file. No model is needed; a check takes well under two seconds.

    Parameters
    ----------
    exercise_id : for example ``"01.3"``
    function : your function itself, not the result of calling it

    Raises
    ------
    ValueError : there is no exercise with this id
    """
    from course_lib.checks.engine import run_checks, without_points
    from course_lib.checks.foreign import BORROWED, borrowed
    from course_lib.journal import record_check

    unit = str(exercise_id).split(".")[0]
    known = exercises(unit)
    if exercise_id not in known:
        raise ValueError(f"There is no exercise {exercise_id!r}. Unit {unit}: {', '.join(known)}.")
    if callable(function) and (module := borrowed(function)):
        result = without_points(known[exercise_id], BORROWED.format(module=module), "error")
    else:
        result = run_checks(known[exercise_id], function)
    record_check(result)
    return result
