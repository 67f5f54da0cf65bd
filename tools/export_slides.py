"""Export the lecture decks: one self-contained HTML page each, and a PDF.

    python tools/export_slides.py [--no-pdf] [--to FOLDER] [DECK ...]     # default: every deck

The stored outputs are exported; nothing is executed. A page holds its styles, figures, reveal.js
and MathJax, so it opens with no network. For the PDF a Chromium prints the page.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import SlidesExporter
from nbformat import NotebookNode
from traitlets.config import Config

ROOT = Path(__file__).resolve().parent.parent
LECTURES = ROOT / "lectures"
TEMPLATES = LECTURES / "template"
SLIDES = ROOT / "slides"
WIDTH, HEIGHT = 1280, 720
TIMEOUT = 180_000  # ms; a page holds all of MathJax, which a busy machine reads slowly
CHROMIUM_OPTIONS = [
    "--no-sandbox",  # Chromium refuses to start as root otherwise; it opens our own pages alone
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--mute-audio",
]


def main(arguments: list[str] | None = None) -> int:
    """Export each deck; print time and size. 1 if a PDF was wanted and there is no Chromium."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("decks", nargs="*", type=Path)
    parser.add_argument("--to", type=Path, default=SLIDES, help="folder for what is written")
    parser.add_argument("--no-pdf", action="store_true", help="write the HTML pages alone")
    options = parser.parse_args(arguments)
    options.to.mkdir(parents=True, exist_ok=True)
    pages = []
    for deck in options.decks or decks():
        started = time.perf_counter()
        pages.append(export_html(deck, options.to))
        _report(pages[-1], started)
    if options.no_pdf:
        return 0
    if chromium() is None:
        print("No Chromium was found, so no PDF was written: install it, or use --no-pdf.")
        return 1
    with open_browser() as browser:
        for page in pages:
            started = time.perf_counter()
            _report(print_pdf(browser, page), started)
    return 0


def decks() -> list[Path]:
    """The stored decks, in the order of the units."""
    return sorted(LECTURES.glob("*.ipynb"))


def export_html(deck: Path, folder: Path) -> Path:
    """Write the deck as `folder/NAME.html` and return that path."""
    notebook = nbformat.read(deck, as_version=4)
    notebook.metadata["title"] = title_of(notebook)
    resources = {"metadata": {"name": deck.stem}, "reveal": {}}
    text, _ = exporter().from_notebook_node(notebook, resources)
    page = folder / f"{deck.stem}.html"
    page.write_text(text, encoding="utf-8")
    return page


def exporter() -> SlidesExporter:
    """nbconvert's exporter with our template; cells tagged `hide-input` show their output alone."""
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"hide-input"}
    config.TemplateExporter.extra_template_basedirs = [str(TEMPLATES)]
    return SlidesExporter(
        config=config,
        template_name="slides_local",
        reveal_width=str(WIDTH),
        reveal_height=str(HEIGHT),
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )


def title_of(notebook: NotebookNode) -> str:
    """The first heading of a deck, for the window and the reader's history."""
    source = next((c.source for c in notebook.cells if c.source.startswith("# ")), "# Slides")
    return re.sub(r"[*_`]", "", source.splitlines()[0][2:]).strip()


def chromium() -> str | None:
    """The Chromium of this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def open_browser() -> Iterator[Any]:
    """A headless Chromium, closed at the end.

    Raises
    ------
    RuntimeError
        If there is no Chromium on this machine.
    """
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        raise RuntimeError("There is no Chromium on this machine: install the package `chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, headless=True, args=CHROMIUM_OPTIONS
        )
        try:
            yield browser
        finally:
            browser.close()


def print_pdf(browser: Any, page: Path) -> Path:
    """Print an exported page as PDF beside it, one slide a sheet, and return its path."""
    tab = browser.new_page()
    tab.set_default_timeout(TIMEOUT)
    tab.goto(page.resolve().as_uri() + "?print-pdf")
    wait_until_drawn(tab)
    tab.wait_for_selector(".pdf-page", state="attached")
    target = page.with_suffix(".pdf")
    tab.pdf(path=target, prefer_css_page_size=True, print_background=True)
    tab.close()
    return target


def wait_until_drawn(tab: Any) -> None:
    """Wait until reveal.js is ready and the mathematics is set."""
    tab.wait_for_function("() => window.Reveal && Reveal.isReady()")
    tab.evaluate("() => window.MathJax.startup.promise.then(() => Reveal.layout())")
    tab.wait_for_timeout(300)


def _report(path: Path, started: float) -> None:
    seconds, size = time.perf_counter() - started, path.stat().st_size / 1e6
    name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    print(f"{name}: {seconds:.1f} s, {size:.1f} MB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
