"""``course check PATH``: run a notebook in a fresh process and report its points.

The notebook's code cells run in an IPython shell in a child process, in order, without a Jupyter
kernel. Check cells and cells tagged ``needs-model`` are left out: they come after the answers and
cost time. Then every exercise of the unit is checked on the function of its name. This is for
students on their own machine: nothing is sealed off here, and points that count are given by the
grader.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_lib.checks import exercises
from course_lib.checks.calling import not_attempted, run_checks
from course_lib.checks.results import HELD_OUT_NOTE, CheckResult


class NotebookError(ValueError):
    """The notebook cannot be found, read or run; the message says what to do."""


@dataclass(frozen=True)
class Report:
    """The results of one notebook; ``print`` shows each exercise and the sum of points."""

    notebook: Path
    results: tuple[CheckResult, ...]
    which: str = "visible"

    @property
    def earned(self) -> int:
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> int:
        return sum(result.points for result in self.results)

    @property
    def ok(self) -> bool:
        """Every part that was run holds."""
        return all(result.ok for result in self.results)

    def __str__(self) -> str:
        lines = [str(self.notebook)]
        for result in self.results:
            text = str(result).splitlines()[:-1]  # the note on held-out checks comes once, below
            lines += text if result.status in ("wrong", "error") else text[:1]
        lines.append(f"Points from {self.which} checks: {self.earned} of {self.points}.")
        if held_out := sum(result.held_out for result in self.results):
            lines.append(f"{HELD_OUT_NOTE} They decide {held_out} more points.")
        return "\n".join([*lines, "Written answers are read by a person."])


def find_notebooks(path: Path) -> list[Path]:
    """The notebook itself, or the notebooks in a folder.

    Raises
    ------
    NotebookError : nothing there
    """
    if path.is_dir():
        found = sorted(path.glob("*.ipynb"))
        if not found:
            raise NotebookError(f"There is no notebook in the folder {path}.")
        return found
    if not path.is_file():
        raise NotebookError(f"There is no file {path}. Try: course check exercises/01_behaviour")
    return [path]


def unit_of(notebook: Path) -> str:
    """The unit from the name, for example "01" from ``01_behaviour.ipynb``."""
    for name in (notebook.name, notebook.resolve().parent.name):
        if match := re.match(r"(\d\d)_", name):
            return match.group(1)
    raise NotebookError(
        f"The name of {notebook.name} does not start with a unit such as 01_: rename it back."
    )


def check_notebook(
    notebook: Path, *, seed: int = 0, held_out: Path | None = None, timeout: float = 300
) -> Report:
    """Run a notebook in a fresh process and check its functions.

    Parameters
    ----------
    notebook : an ``.ipynb`` file, or a folder that holds exactly one
    seed : the random inputs of the checks follow from it
    held_out : instructors only: a file whose ``HELD_OUT`` parts run instead of the visible ones
    timeout : seconds until the process is stopped

    Raises
    ------
    NotebookError : not a notebook, no unit in its name, the time is up, or the process died
    ValueError : there are no checks for its unit
    """
    notebook, *more = find_notebooks(notebook)
    if more:
        raise NotebookError(f"There are several notebooks in {notebook.parent}: name one of them.")
    code_cells(notebook)
    exercises(unit_of(notebook))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "results.json"
        command = [sys.executable, "-m", "course_lib.checks.runner", str(notebook.resolve())]
        command += ["--seed", str(seed), "--out", str(out)]
        command += ["--held-out", str(held_out.resolve())] if held_out else []
        # The child runs in the notebook's folder and must find the same course_lib as we did.
        library = str(Path(__file__).resolve().parents[2])
        paths = os.pathsep.join(filter(None, [library, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": paths}
        try:
            done = subprocess.run(
                command,
                cwd=notebook.resolve().parent,
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise NotebookError(
                f"{notebook.name} did not finish within {timeout:.0f} seconds. Is there a loop "
                "that never ends?"
            ) from None
        if not out.is_file():
            raise NotebookError(
                f"The process that ran {notebook.name} ended early (exit status "
                f"{done.returncode}). The end of its messages:\n{done.stderr[-1500:]}"
            )
        results = map(CheckResult.from_dict, json.loads(out.read_text("utf-8")))
        return Report(notebook, tuple(results), "held-out" if held_out else "visible")


def code_cells(notebook: Path) -> list[str]:
    """Source of the code cells to run: all but check cells and cells tagged ``needs-model``."""
    try:
        cells = json.loads(notebook.read_text("utf-8"))["cells"]
        return [
            "".join(cell["source"])
            for cell in cells
            if cell["cell_type"] == "code"
            and not cell["metadata"].get("nbgrader", {}).get("grade")
            and "needs-model" not in cell["metadata"].get("tags", [])
        ]
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise NotebookError(
            f"{notebook.name} is not a readable notebook ({type(error).__name__}). Open it in "
            "JupyterLab, save it, and try again."
        ) from None


def run_here(notebook: Path, seed: int, held_out: Path | None) -> list[dict[str, Any]]:
    """What the child process does: run the cells, then the checks; plain data for JSON."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    failed: list[str] = []
    for source in code_cells(notebook):
        error = shell.run_cell(source, silent=True)
        problem = error.error_before_exec or error.error_in_exec
        if problem is not None and not isinstance(problem, NotImplementedError):
            failed.append(f"A cell stopped with {type(problem).__name__}: {problem}")
    parts = _held_out_parts(held_out) if held_out else {}
    results = []
    for id, exercise in exercises(unit_of(notebook)).items():
        chosen = parts.get(id, ()) if held_out else None
        function = shell.user_ns.get(exercise.function)
        if function is None:
            why = f"There is no function {exercise.function}. " + " ".join(failed[:1])
            visible = exercise.parts if chosen is None else chosen
            left = exercise.held_out_points if chosen is None else 0
            results.append(not_attempted(exercise, visible, left, why.strip()))
        else:
            results.append(run_checks(exercise, function, seed, chosen))
    return [result.as_dict() for result in results]


def _held_out_parts(path: Path) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("held_out", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HELD_OUT


def main(argv: list[str] | None = None) -> int:
    """Command line of ``course check``: 0 if every check holds, 1 if not, 2 for an error."""
    parser = argparse.ArgumentParser(prog="course check", description="Check an assignment.")
    parser.add_argument("path", type=Path, help="a notebook or a folder such as exercises/NAME")
    parser.add_argument("--seed", type=int, default=0, help="for the random inputs of the checks")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each notebook")
    parser.add_argument("--held-out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.out:
        results = run_here(given.path, given.seed, given.held_out)
        given.out.write_text(json.dumps(results), "utf-8")
        return 0
    status = 0
    try:
        for notebook in find_notebooks(given.path):
            report = check_notebook(
                notebook, seed=given.seed, held_out=given.held_out, timeout=given.timeout
            )
            print(report)
            status = max(status, int(not report.ok))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    raise SystemExit(main())
