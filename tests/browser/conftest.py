"""JupyterLab as `course lab` starts it, in a real Chromium that reaches this machine alone.

The lessons are copies in a temporary folder, as is every folder that Jupyter, the browser or the
course write to. Screenshots stay in artefacts/browser, which git ignores: look at them.
"""

import os
import re
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from budgets import scale, within_budget

from course_lib import cli

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "artefacts" / "browser"
SCALE = scale()
BUDGET = 180  # seconds for all browser tests together
PATIENCE = 60 * SCALE  # seconds for one thing to appear
SPENT = pytest.StashKey[float]()
STARTED = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.stash[STARTED] = time.monotonic()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    spent = item.session.stash.get(SPENT, 0.0) + time.monotonic() - item.stash[STARTED]
    item.session.stash[SPENT] = spent
    within_budget("the browser tests so far", spent, BUDGET)


@pytest.fixture(scope="session", autouse=True)
def patience() -> None:
    """A busy machine gets the time it needs."""
    expect = pytest.importorskip("playwright.sync_api").expect
    expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are kept."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    return PICTURES


class Lab:
    """A running JupyterLab: its address and the course home of its kernels."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "COURSE_HOME"
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        """What `course lab` runs, with a port and a token that we know."""
        return [
            *cli.lab_command(cli.START, self.folder, headless=True, as_root=cli.is_root()),
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            "--LabApp.expose_app_in_browser=True",
        ]

    def environment(self) -> dict[str, str]:
        """Every folder below ours, so that neither sees the other's settings."""
        jupyter = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        lab = ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "COURSE_HOME")
        ours = {name: str(self.folder / name) for name in (*jupyter, *lab)}
        ours["JUPYTER_CONFIG_PATH"] = cli.settings_path({})
        return {**os.environ, **ours}

    def wait(self, process: subprocess.Popen) -> None:
        """Until the server answers."""
        last = time.monotonic() + PATIENCE
        while time.monotonic() < last and process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.address}/api?token={self.token}", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"JupyterLab did not start:\n{(self.folder / 'log').read_text()}")


@pytest.fixture(scope="session")
def lab(chromium, tmp_path_factory) -> Iterator[Lab]:
    """JupyterLab on a copy of the lessons; not started where there is no browser."""
    lab = Lab(tmp_path_factory.mktemp("lab"))
    shutil.copytree(ROOT / "notebooks", lab.folder / "notebooks")
    with open(lab.folder / "log", "w") as log:
        process = subprocess.Popen(
            lab.command(),
            env=lab.environment(),
            cwd=lab.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        lab.wait(process)
        yield lab
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:  # a busy machine
            process.kill()


class Lesson:
    """One notebook in the browser, with what a test does to it."""

    def __init__(self, browser, lab: Lab, pictures: Path, name: str) -> None:
        self.lab, self.pictures, self.name = lab, pictures, name
        self.page = browser.new_page(viewport={"width": 1280, "height": 1300})
        self.page.set_default_timeout(PATIENCE * 1000)
        self.foreign: list[str] = []  # addresses outside this machine that the page asked for
        self.errors: list[str] = []  # of the page itself
        self.page.route("**/*", self._stay_here)
        self.page.on("websocket", lambda socket: self._is_ours(socket.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        path = f"/lab/tree/notebooks/{name}?token={lab.token}&reset"
        self.page.goto(lab.address + path, wait_until="commit")
        self.page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context")
        self.page.evaluate(
            """async () => {
                const notebook = jupyterapp.shell.currentWidget;
                await notebook.context.ready;
                await notebook.sessionContext.ready;
                await notebook.sessionContext.session.kernel.info;
            }"""
        )

    def _is_ours(self, url: str) -> bool:
        ours = re.match(rf"(http|ws)://127\.0\.0\.1:{self.lab.port}/|data:|blob:", url) is not None
        if not ours:
            self.foreign.append(url)
        return ours

    def _stay_here(self, route) -> None:
        route.continue_() if self._is_ours(route.request.url) else route.abort()

    def run_all(self, seconds: float = 600 * SCALE) -> None:
        """Run every cell; fails if one raises or writes to stderr."""
        finished = self.page.evaluate(
            """seconds => Promise.race([
                jupyterapp.commands.execute('notebook:run-all-cells').then(() => true),
                new Promise(done => setTimeout(() => done(false), 1000 * seconds)),
            ])""",
            seconds,
        )
        assert finished, f"{self.name} was not through after {seconds:.0f} s"
        outputs = self.page.evaluate(
            """() => jupyterapp.shell.currentWidget.context.model.toJSON().cells
                .flatMap(cell => cell.outputs || [])"""
        )
        assert len(outputs) > 5, "nothing was run"
        bad = [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"]
        assert bad == []

    def cell(self, what: str, number: int = 0):
        """The cell with a tag, or with a text in its code, scrolled to; as a locator."""
        index = self.page.evaluate(
            """async ([what, number]) => {
                const notebook = jupyterapp.shell.currentWidget.content;
                const fits = cell => cell.model.type === 'code' && (
                    (cell.model.getMetadata('tags') || []).includes(what)
                    || cell.model.sharedModel.source.includes(what));
                const cell = notebook.widgets.filter(fits)[number];
                if (!cell) return -1;
                const index = notebook.widgets.indexOf(cell);
                notebook.activeCellIndex = index;
                await notebook.scrollToItem(index, 'start');
                cell.node.dataset.index = index;
                return index;
            }""",
            [what, number],
        )
        assert index >= 0, f"{self.name} has no code cell {what!r}"
        return self.page.locator(f".jp-CodeCell[data-index='{index}']")

    def run_cell(self, what: str):
        """Run one cell again and return it."""
        cell = self.cell(what)
        self.page.evaluate("() => jupyterapp.commands.execute('notebook:run-cell')")
        return cell

    def focus_by_tab(self, target, most: int = 12) -> None:
        """Press Tab until `target` has the focus; fails if it cannot be reached so."""
        for _ in range(most):
            if target.evaluate("node => node === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        assert target.evaluate("node => node === document.activeElement"), "Tab does not get there"

    def picture(self, name: str) -> None:
        """Keep a screenshot of the whole window."""
        self.page.screenshot(path=self.pictures / f"lesson_{self.name[:2]}_{name}.png")

    def close(self) -> None:
        """Shut the kernel down and close the page."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()


@pytest.fixture(scope="module")
def open_lesson(browser, lab, pictures) -> Iterator:
    """A function that opens a notebook; closed at the end of the module."""
    opened: list[Lesson] = []

    def open_it(name: str) -> Lesson:
        opened.append(Lesson(browser, lab, pictures, name))
        return opened[-1]

    yield open_it
    for lesson in opened:
        lesson.close()
