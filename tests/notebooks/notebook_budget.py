"""A pytest plugin for nbval runs: each notebook gets one more test, of its time and memory.

The extra test stands behind the cells of its notebook, so the kernel is still alive when it
reads the kernel's peak memory. Used with ``-p notebook_budget`` by `make test`.
"""

import os
import shutil
import tempfile
import time

import pytest
from budgets import close_session, complain, scale
from run_notebooks import peak_memory

SECONDS = 90.0  # one notebook, on two cores
MEMORY = 1.5e9  # bytes, peak of the kernel
SESSION_MINUTES = 8  # all notebooks; the unit tests have the rest of the 20 minutes


def budget_problem(seconds: float, memory: float, scale: float = 1.0) -> str:
    """What is over budget, or "" if nothing is."""
    problems = []
    if seconds > SECONDS * scale:
        problems.append(f"{seconds:.0f} s, budget {SECONDS * scale:.0f} s")
    if memory > MEMORY:
        problems.append(f"{memory / 1e9:.2f} GB, budget {MEMORY / 1e9:.1f} GB")
    return "; ".join(problems)


class BudgetItem(pytest.Item):
    """The test that closes a notebook; `seconds` is filled in while its cells run.

    More than a lesson can wait for fails, or is printed: see `budgets`.
    """

    seconds = 0.0

    def runtest(self) -> None:
        memory = peak_memory(self.parent.kernel.km.provisioner.pid)
        self.user_properties.append(("budget", [self.parent.path.name, self.seconds, memory]))
        if problem := budget_problem(self.seconds, memory, scale()):
            complain(f"{self.parent.path.name}: {problem}")

    def reportinfo(self):
        return self.path, None, f"{self.path.name}: budget"


def pytest_configure(config):
    """Kernels keep predictions in a folder of their own."""
    config.course_home = tempfile.mkdtemp(prefix="course-home-")
    config.course_started = time.monotonic()
    os.environ["COURSE_HOME"] = config.course_home
    os.environ.pop("COURSE_MODEL", None)


def pytest_unconfigure(config):
    shutil.rmtree(config.course_home, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """Put one budget test behind the last cell of each notebook."""
    for notebook in {item.parent: None for item in items if hasattr(item, "cell_num")}:
        last = max(i for i, item in enumerate(items) if item.parent is notebook)
        items.insert(last + 1, BudgetItem.from_parent(notebook, name="budget"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Add the time of a cell, kernel start included, to the sum of its notebook."""
    started = time.perf_counter()
    yield
    budget = next((i for i in item.session.items if _closes(i, item)), None)
    if budget is not None and budget is not item:
        budget.seconds += time.perf_counter() - started


def _closes(candidate: pytest.Item, cell: pytest.Item) -> bool:
    return isinstance(candidate, BudgetItem) and candidate.parent is cell.parent


def pytest_terminal_summary(terminalreporter):
    """Print time and peak memory of each notebook."""
    reports = [r for key in ("passed", "failed") for r in terminalreporter.getreports(key)]
    rows = [v for r in reports if r.when == "call" for k, v in r.user_properties if k == "budget"]
    if rows:
        terminalreporter.section("notebooks: seconds and peak memory")
    for name, seconds, memory in sorted(rows):
        terminalreporter.write_line(f"{name:40} {seconds:6.1f} s {memory / 2**20:7.0f} MiB")


def pytest_sessionfinish(session, exitstatus):
    """All notebooks together have a budget too."""
    close_session(session, exitstatus, "The notebooks", SESSION_MINUTES)
