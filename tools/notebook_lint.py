"""Say where a walkthrough notebook breaks the contract of the course.

    python tools/notebook_lint.py NOTEBOOK ...

Each rule is a function that takes a notebook and yields one message per problem; `RULES` lists
them. A stored, executed notebook that follows the contract yields nothing.
"""

from __future__ import annotations

import ast
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from nbformat import NotebookNode

MAX_KB = 300
CODE_CELLS = (25, 40)
CODE_CELLS_START = (15, 40)  # 00_start_here is a tour
MEDIAN_LINES, P90_LINES = 8, 25
MIN_ALT_WORDS = 3
HEADER_WORDS = ("objectives", "prerequisites", "minutes", "marr level", "models")
TAGS = {  # tag -> how many cells must carry it
    "prediction": 2,
    "widget": 1,
    "negative-control": 1,
    "ground-truth": 1,
    "play": 1,
    "exit-ticket": 1,
    "reading": 1,
}
READINGS = (3, 6)
# The start of an absolute path on somebody's machine, but not a part of a web address.
MACHINE_PATH = re.compile(
    r"(?<![\w./])(?:/(?:home|root|work|tmp|Users|mnt|opt|private|var/folders)/[\w.]|[A-Z]:\\\w)"
    r"|ipykernel_\d+|/site-packages/"
)
# A part of a figure that the text names by its colour alone.
COLOUR_NAME = re.compile(
    r"\b(?:red|green|blue|orange|yellow|purple|pink|brown)(?:er|ish)? "
    r"(?:bar|line|dot|point|curve|marker|cell|square|area|band|token|word)s?\b",
    re.IGNORECASE,
)
DATA_URI = re.compile(r"data:[\w/+.-]+;base64,[A-Za-z0-9+/=\s]+")
Problems = Iterator[str]


def lint(notebook: NotebookNode, name: str = "") -> list[str]:
    """All problems of a notebook; `name` is its file name, which decides on the size limits."""
    return [message for rule in RULES for message in rule(notebook, name)]


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The markdown cells, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "markdown"]


def outputs(notebook: NotebookNode) -> Iterator[tuple[str, NotebookNode]]:
    """Every output, with a name for its cell that a message can use."""
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            yield f"code cell {number}", output


def check_header(notebook: NotebookNode, name: str) -> Problems:
    """The first cell is text, has the title, and says what, for whom, how long, which level."""
    first = notebook.cells[0] if notebook.cells else None
    if first is None or first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "the first cell is not a text cell that starts with the title ('# ...')"
        return
    for word in HEADER_WORDS:
        if word not in first.source.lower():
            yield f"the header does not name its {word}"
    if not re.search(r"minutes\W+\d+", first.source, re.IGNORECASE):
        yield "the header gives no number of minutes"


def check_first_code(notebook: NotebookNode, name: str) -> Problems:
    """The first code cell imports `load_model` and makes `lm` from it, with no model named."""
    cells = code_cells(notebook)
    tree = _parse(cells[0].source) if cells else ast.Module([], [])
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_lib")
        for alias in node.names
    }
    lines = {ast.unparse(node) for node in tree.body}
    if "load_model" not in imported or "lm = load_model()" not in lines:
        yield "the first code cell does not import load_model and say 'lm = load_model()'"


def check_cell_sizes(notebook: NotebookNode, name: str) -> Problems:
    """As many code cells as a lesson holds, and short ones."""
    sizes = [len(cell.source.splitlines()) for cell in code_cells(notebook)]
    low, high = CODE_CELLS_START if name.startswith("00") else CODE_CELLS
    if not low <= len(sizes) <= high:
        yield f"{len(sizes)} code cells, expected {low} to {high}"
    if 0 in sizes:
        yield "an empty code cell"
    if sizes and statistics.median(sizes) > MEDIAN_LINES:
        yield f"the median code cell has {statistics.median(sizes)} lines, limit {MEDIAN_LINES}"
    if sizes and (p90 := sorted(sizes)[int(0.9 * (len(sizes) - 1))]) > P90_LINES:
        yield f"one code cell in ten has {p90} lines or more, limit {P90_LINES}"


def check_file_size(notebook: NotebookNode, name: str) -> Problems:
    """Small enough to be opened and compared without waiting."""
    size = len(nbformat.writes(notebook).encode()) / 1000
    if size > MAX_KB:
        yield f"{size:.0f} kB, limit {MAX_KB}"


def check_headings(notebook: NotebookNode, name: str) -> Problems:
    """One title, and no level is skipped on the way down: screen readers navigate by them."""
    level, titles = 0, 0
    for hashes, title in _headings(notebook):
        titles += len(hashes) == 1
        if len(hashes) > level + 1:
            yield f"the heading {title!r} jumps from level {level} to {len(hashes)}"
        level = len(hashes)
    if titles != 1:
        yield f"{titles} headings of level 1, expected one"


def check_executed(notebook: NotebookNode, name: str) -> Problems:
    """Stored as one run from top to bottom left it."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"execution counts are not 1, 2, 3 ... but {counts}"
    if "widgets" in notebook.metadata:
        yield "the state of widgets is stored in the metadata"
    for where, output in outputs(notebook):
        if output.output_type == "error":
            yield f"{where} stores an error ({output.ename})"
        if output.output_type == "stream" and output.name == "stderr":
            yield f"{where} stores stderr"
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
            yield f"{where} stores a live widget, which shows as an error later"


def check_paths(notebook: NotebookNode, name: str) -> Problems:
    """Nothing tells on which machine the notebook was run."""
    for number, cell in enumerate(notebook.cells):
        if found := MACHINE_PATH.search(DATA_URI.sub("", cell.source)):
            yield f"cell {number} names a path of one machine: {found.group()!r}"
    for where, output in outputs(notebook):
        data = output.get("data", {})
        texts = [output.get("text", ""), *(t for k, t in data.items() if not k.startswith("image"))]
        if found := MACHINE_PATH.search(DATA_URI.sub("", "\n".join(map(str, texts)))):
            yield f"the output of {where} names a path of one machine: {found.group()!r}"


def check_alt_text(notebook: NotebookNode, name: str) -> Problems:
    """Every picture says in words what it shows."""
    for number, cell in enumerate(text_cells(notebook), 1):
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", cell.source, flags=re.DOTALL)
        alts = re.findall(r"!\[([^\]]*)\]\(", prose) + _html_alts(prose)
        if any(not _is_alt(alt) for alt in alts):
            yield f"text cell {number} has a picture without alt text"
    for where, output in outputs(notebook):
        data, metadata = output.get("data", {}), output.get("metadata", {})
        alts = _html_alts(str(data.get("text/html", "")))
        alts += [metadata.get(k, {}).get("alt") for k in ("image/png", "image/jpeg") if k in data]
        alts += _html_alts(str(data.get("image/svg+xml", "")))
        if any(not _is_alt(alt) for alt in alts):
            yield f"the output of {where} has a picture without alt text"


def check_colours(notebook: NotebookNode, name: str) -> Problems:
    """Text finds a part of a figure by its marker, hatch or label, not by its colour."""
    for number, cell in enumerate(text_cells(notebook), 1):
        if found := COLOUR_NAME.search(cell.source):
            yield f"text cell {number} speaks of {found.group()!r}: name its marker or label"


def check_tags(notebook: NotebookNode, name: str) -> Problems:
    """Every part of a lesson is there; its cells are known by their tags."""
    for tag, least in TAGS.items():
        if (found := len(_tagged(notebook, tag))) < least:
            yield f"{found} cells with the tag {tag!r}, expected {least} or more"


def check_reading(notebook: NotebookNode, name: str) -> Problems:
    """Three to six further readings, as list items."""
    cells = _tagged(notebook, "reading")
    items = [i for cell in cells for i in re.findall(r"^\s*(?:[-*]|\d+\.) ", cell.source, re.M)]
    if cells and not READINGS[0] <= len(items) <= READINGS[1]:
        yield f"{len(items)} further readings, expected {READINGS[0]} to {READINGS[1]}"


def check_static_widgets(notebook: NotebookNode, name: str) -> Problems:
    """A widget cell still shows a figure, and its numbers, where no kernel runs."""
    for cell in _tagged(notebook, "widget"):
        page = "".join(str(o.get("data", {}).get("text/html", "")) for o in cell.outputs)
        for tag, part in (("<img", "picture"), ("<table", "table")):
            if tag not in page:
                yield f"a widget cell stores no static view: its {part} is missing"


RULES: list[Callable[[NotebookNode, str], Problems]] = [
    check_header,
    check_first_code,
    check_cell_sizes,
    check_file_size,
    check_headings,
    check_executed,
    check_paths,
    check_alt_text,
    check_colours,
    check_tags,
    check_reading,
    check_static_widgets,
]


def _parse(source: str) -> ast.Module:
    """The syntax tree of a cell; line and cell magics are left out."""
    lines = [line for line in source.splitlines() if not line.lstrip().startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


def _headings(notebook: NotebookNode) -> Iterator[tuple[str, str]]:
    for cell in text_cells(notebook):
        prose = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
        yield from re.findall(r"^(#{1,6}) +(.+)$", prose, re.MULTILINE)


def _tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def _is_alt(text: str | None) -> bool:
    return bool(text) and len(text.split()) >= MIN_ALT_WORDS and "No description has" not in text


class _Pictures(HTMLParser):
    """Collects the text alternative of every <img> and <svg>; None where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self.alts: list[str | None] = []
        self.in_svg_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "img":
            self.alts.append(named.get("alt"))
        elif tag == "svg" and named.get("aria-hidden") != "true":
            self.alts.append(named.get("aria-label"))
        self.in_svg_title = tag == "title"

    def handle_data(self, data: str) -> None:
        if self.in_svg_title and self.alts and self.alts[-1] is None:
            self.alts[-1] = data

    def handle_endtag(self, tag: str) -> None:
        self.in_svg_title = False


def _html_alts(text: str) -> list[str | None]:
    parser = _Pictures()
    parser.feed(text)
    return parser.alts


def main(paths: list[str], lint: Callable[[NotebookNode, str], list[str]] = lint) -> int:
    """Print the problems `lint` finds in each notebook; the exit status is 1 if there is one."""
    found = 0
    for path in map(Path, paths):
        for message in lint(nbformat.read(path, as_version=4), path.name):
            print(f"{path}: {message}")
            found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
