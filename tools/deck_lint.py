"""Say where a lecture deck breaks the contract of the course.

    python tools/deck_lint.py DECK ...

As in `notebook_lint.py`, each rule takes a notebook and yields one message per problem.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

from nbformat import NotebookNode
from notebook_lint import (
    Problems,
    check_alt_text,
    check_executed,
    check_file_size,
    check_headings,
    check_paths,
    main,
)

SLIDES = (15, 22)
KINDS = {"slide", "fragment", "notes", "skip", "-"}
SHOWN_LINES, SHOWN_COLUMNS = 8, 68  # of code that students see; longer lines are clipped
MINUTES = re.compile(r"\*\*Time\*\* (\d+) min")
TITLE_LETTERS = 75  # two lines


def lint(deck: NotebookNode, name: str = "") -> list[str]:
    """All problems of a deck."""
    return [message for rule in RULES for message in rule(deck, name)]


def kind_of(cell: NotebookNode) -> str:
    """What the slide show does with a cell; "" if nobody said."""
    return cell.metadata.get("slideshow", {}).get("slide_type", "")


def slides_of(deck: NotebookNode) -> list[list[NotebookNode]]:
    """The cells of each slide; cells before the first slide are left out, and so is set-up."""
    slides: list[list[NotebookNode]] = []
    for cell in deck.cells:
        if kind_of(cell) == "slide":
            slides.append([])
        if slides and kind_of(cell) != "skip":
            slides[-1].append(cell)
    return slides


def check_kinds(deck: NotebookNode, name: str) -> Problems:
    """Every cell says what the slide show does with it."""
    for number, cell in enumerate(deck.cells):
        if kind_of(cell) not in KINDS:
            yield f"cell {number} has the slide type {kind_of(cell)!r}, not one of {sorted(KINDS)}"
    if deck.cells and kind_of(deck.cells[0]) != "slide":
        yield "the deck does not begin with a slide"


def check_number_of_slides(deck: NotebookNode, name: str) -> Problems:
    """As many slides as a lesson holds."""
    if not SLIDES[0] <= (found := len(slides_of(deck))) <= SLIDES[1]:
        yield f"{found} slides, expected {SLIDES[0]} to {SLIDES[1]}"


def check_titles(deck: NotebookNode, name: str) -> Problems:
    """A slide begins with its claim, the only heading on it; no two slides claim the same."""
    titles = []
    for number, slide in enumerate(slides_of(deck), 1):
        marks = "#" if number == 1 else "##"
        match = re.match(rf"{marks} (.+)", slide[0].source)
        if slide[0].cell_type != "markdown" or match is None:
            yield f"slide {number} does not begin with its title ('{marks} ...')"
            continue
        titles.append(match[1])
        if len(match[1]) > TITLE_LETTERS:
            yield f"the title of slide {number} has {len(match[1])} letters, limit {TITLE_LETTERS}"
        text = "\n".join(c.source for c in slide if c.cell_type == "markdown")
        if len(re.findall(r"^#{1,6} ", text, re.MULTILINE)) > 1:
            yield f"slide {number} has more than one heading, so more than one claim"
    if len(set(titles)) < len(titles):
        yield "two slides have the same title"


def check_notes(deck: NotebookNode, name: str) -> Problems:
    """The speaker knows how long each slide takes, what to ask, and what students will answer."""
    asked = 0
    for number, slide in enumerate(slides_of(deck), 1):
        notes = "\n".join(cell.source for cell in slide if kind_of(cell) == "notes")
        if not notes:
            yield f"slide {number} has no notes"
        elif not MINUTES.search(notes):
            yield f"the notes of slide {number} give no time ('**Time** 3 min')"
        if ("**Think, pair, share**" in notes) and "**Expected wrong answers**" not in notes:
            yield f"slide {number} asks a question without the wrong answers to expect"
        asked += "**Think, pair, share**" in notes
    if asked < len(slides_of(deck)) / 3:
        yield f"{asked} slides have a think-pair-share question, expected one in three"


def check_shown_code(deck: NotebookNode, name: str) -> Problems:
    """Students see figures; code only where it is short."""
    for number, slide in enumerate(slides_of(deck), 1):
        for cell in slide:
            hidden = "hide-input" in cell.metadata.get("tags", [])
            if cell.cell_type != "code" or hidden:
                continue
            lines = cell.source.splitlines()
            if len(lines) > SHOWN_LINES or max(map(len, lines), default=0) > SHOWN_COLUMNS:
                yield (
                    f"slide {number} shows code of {len(lines)} lines or with long lines: tag the "
                    "cell 'hide-input'"
                )


def check_plain_figures(deck: NotebookNode, name: str) -> Problems:
    """A picture is stored with its alt text in the page; a bare image/png loses it on export."""
    for cell in deck.cells:
        for output in cell.get("outputs", []):
            if {"image/png", "image/svg+xml"} & set(output.get("data", {})):
                yield "a figure is shown without course_lib.plots.show, so its alt text is lost"


RULES: list[Callable[[NotebookNode, str], Problems]] = [
    check_kinds,
    check_number_of_slides,
    check_titles,
    check_notes,
    check_shown_code,
    check_plain_figures,
    check_alt_text,
    check_executed,
    check_file_size,
    check_headings,
    check_paths,
]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lint))
