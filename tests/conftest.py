"""What every test gets: no network, no screen, a course home of its own, the bundled model."""

import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MINUTES = 12  # for unit tests and examples; the notebooks have the rest of the 20 minutes
collect_ignore = ["peers"]  # `make test-peers` runs them in an environment of their own

# The environment is set before anything imports transformers, and children inherit it.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("COURSE_MODEL", None)
BLOCK = str(ROOT / "tests" / "sitecustomize")
if BLOCK not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [BLOCK, os.environ.get("PYTHONPATH")]))
if not hasattr(sys.modules.get("sitecustomize"), "OutsideNetworkError"):
    sys.path.insert(0, BLOCK)
    sys.modules.pop("sitecustomize", None)
    import sitecustomize  # noqa: F401  (importing it installs the block)


@pytest.fixture(scope="session", autouse=True)
def course_home(tmp_path_factory):
    """Predictions and progress of the tests never reach the student's own."""
    home = tmp_path_factory.mktemp("course-home")
    before = os.environ.get("COURSE_HOME")
    os.environ["COURSE_HOME"] = str(home)
    yield home
    if before is None:
        del os.environ["COURSE_HOME"]
    else:
        os.environ["COURSE_HOME"] = before


@pytest.fixture(scope="session")
def lm():
    """The bundled course model, loaded once."""
    from course_lib import load_model

    return load_model("course-lm")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; without one the tests are skipped, and the summary says so."""
    import export_slides

    path = export_slides.chromium()
    if path is None:
        warnings.warn("Chromium is missing: NO PAGE WAS LOOKED AT.", stacklevel=1)
        pytest.skip("CHROMIUM IS MISSING, so no page was looked at: install `chromium`")
    return path


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Any]:
    """A browser with an empty profile.

    Of a module, not of the session: while it is open an event loop runs in this thread.
    """
    import export_slides

    with export_slides.open_browser() as opened:
        yield opened


def pytest_sessionstart(session):
    session.config.course_started = time.monotonic()


def pytest_sessionfinish(session, exitstatus):
    """A suite over its time budget does not grow unnoticed."""
    from budgets import close_session

    close_session(session, exitstatus, "The tests", MINUTES)
