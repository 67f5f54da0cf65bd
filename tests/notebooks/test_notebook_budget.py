"""The nbval run of `make test`, tried on small notebooks: what must fail fails."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
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
def test_a_bad_notebook_fails(tmp_path, source, stored, message):
    run = run_nbval(tmp_path, source, stored=stored)
    assert run.returncode == 1 and message in run.stdout, run.stdout


def test_budget_problem_names_what_is_over():
    from notebook_budget import budget_problem

    assert budget_problem(89, 1.4e9) == ""
    assert budget_problem(91, 1.4e9) == "91 s, budget 90 s"
    assert budget_problem(91, 1.4e9, scale=2) == ""
    assert budget_problem(1, 1.6e9) == "1.60 GB, budget 1.5 GB"
