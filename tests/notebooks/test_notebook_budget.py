"""The nbval run of `make test`, tried on small notebooks: what must fail fails."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from budgets import BudgetWarning, close_session, within_budget
from nbformat.v4 import new_code_cell, new_notebook, new_output

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def run_nbval(folder: Path, *sources: str, stored: str = "") -> subprocess.CompletedProcess:
    """Write a notebook with these cells and run it the way `make test` does."""
    cells = [new_code_cell(s, execution_count=i) for i, s in enumerate(sources, 1)]
    if stored:
        cells[-1].outputs = [new_output("stream", text=stored)]
    nbformat.write(new_notebook(cells=cells), folder / "small.ipynb")
    paths = [ROOT / "tests" / "sitecustomize", HERE, ROOT / "tools"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-m", "pytest", "-p", "notebook_budget", "-p", "no:cacheprovider"]
    command += ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=60", "small.ipynb"]
    command += ["--rootdir", str(folder), "--nbval-sanitize-with", str(HERE / "sanitize.cfg")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_a_good_notebook_passes_and_its_cost_is_printed(tmp_path):
    run = run_nbval(tmp_path, "x = 1", "# NBVAL_CHECK_OUTPUT\nprint(x)", stored="1\n")
    assert run.returncode == 0 and "3 passed" in run.stdout, run.stdout
    assert "MiB" in run.stdout


@pytest.mark.parametrize(
    ("source", "stored", "message"),
    [
        ("# NBVAL_CHECK_OUTPUT\nprint(2)", "1\n", "Cell outputs differ"),
        ("1 / 0", "", "ZeroDivisionError"),
        ("x = bytearray(1_600_000_000)", "", "budget 1.5 GB"),
        (
            "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)",
            "",
            "tests run without a network",
        ),
    ],
    ids=["other output", "exception", "memory", "network"],
)
def test_a_bad_notebook_fails(tmp_path, source, stored, message, monkeypatch):
    monkeypatch.setenv("COURSE_BUDGET_SCALE", "1")
    run = run_nbval(tmp_path, source, stored=stored)
    assert run.returncode == 1 and message in run.stdout, run.stdout


def test_a_large_notebook_is_printed_where_budgets_are_not_enforced(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_BUDGET_SCALE", raising=False)
    run = run_nbval(tmp_path, "x = bytearray(1_600_000_000)")
    assert run.returncode == 0 and "BudgetWarning" in run.stdout, run.stdout
    assert "budget 1.5 GB" in run.stdout


def test_a_budget_of_time_fails_where_it_is_enforced_and_warns_elsewhere(monkeypatch):
    monkeypatch.setenv("COURSE_BUDGET_SCALE", "2")
    within_budget("reading", 1.9, 1)
    with pytest.raises(pytest.fail.Exception, match="reading: 2.1 s, budget 2 s"):
        within_budget("reading", 2.1, 1)
    for unset in ("", None):
        monkeypatch.setenv("COURSE_BUDGET_SCALE", "")
        if unset is None:
            monkeypatch.delenv("COURSE_BUDGET_SCALE")
        with pytest.warns(BudgetWarning, match="reading: 2.1 s, budget 1 s"):
            within_budget("reading", 2.1, 1)


@pytest.mark.parametrize(("scale", "status"), [(None, 0), ("1", 1), ("3", 0)])
def test_the_sum_of_all_tests_has_a_budget(scale, status, monkeypatch, capsys):
    monkeypatch.delenv("COURSE_BUDGET_SCALE", raising=False)
    if scale:
        monkeypatch.setenv("COURSE_BUDGET_SCALE", scale)
    config = SimpleNamespace(course_started=time.monotonic() - 21 * 60)
    session = SimpleNamespace(config=config, exitstatus=0)
    close_session(session, 0, "The tests", 10)
    assert session.exitstatus == status
    assert ("The tests took 21.0 minutes; the budget is 10." in capsys.readouterr().out) == (
        scale != "3"
    )


def test_budget_problem_names_what_is_over():
    from notebook_budget import budget_problem

    assert budget_problem(89, 1.4e9) == ""
    assert budget_problem(91, 1.4e9) == "91 s, budget 90 s"
    assert budget_problem(91, 1.4e9, scale=2) == ""
    assert budget_problem(1, 1.6e9) == "1.60 GB, budget 1.5 GB"
