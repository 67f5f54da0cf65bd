"""Budgets of time and memory fail where COURSE_BUDGET_SCALE is set, and are printed elsewhere.

A slow laptop is not a failed set-up, but the course must not grow slow unnoticed: `.ci/run` sets
the variable, to the number by which its machine is slower than the two cores of the budgets.
"""

import os
import time
import warnings

import pytest


class BudgetWarning(UserWarning):
    """Something took longer, or more memory, than its budget."""


def enforced() -> bool:
    """Whether this machine is one on which budgets hold."""
    return bool(os.environ.get("COURSE_BUDGET_SCALE"))


def scale() -> float:
    """What budgets of time are multiplied by."""
    return float(os.environ.get("COURSE_BUDGET_SCALE") or 1)


def within_budget(what: str, seconds: float, budget: float) -> None:
    """Fail, or warn where budgets are not enforced, if `seconds` are more than the budget."""
    if seconds > budget * scale():
        complain(f"{what}: {seconds:.3g} s, budget {budget * scale():g} s")


def complain(message: str) -> None:
    """Fail the test that runs, or warn: pytest prints warnings at its end."""
    if enforced():
        pytest.fail(message, pytrace=False)
    warnings.warn(message, BudgetWarning, stacklevel=3)


def close_session(session: pytest.Session, exitstatus: int, what: str, minutes: float) -> None:
    """At the end of all tests: print that they took too long; fail where budgets are enforced."""
    took = (time.monotonic() - session.config.course_started) / 60
    if hasattr(session.config, "workerinput") or took <= minutes * scale():
        return
    print(f"\n{what} took {took:.1f} minutes; the budget is {minutes * scale():g}.")
    if enforced():
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
