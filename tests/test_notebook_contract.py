"""Every walkthrough follows the contract, and the lint that says so can fail."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import notebook_lint
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ALT = "Bar chart of three probabilities."
HEADER = """# A title

**Objectives** tell two things apart. **Prerequisites** none.
**Minutes** 50. **Marr level** first. **Models** any."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_walkthrough_follows_the_contract(path: Path):
    assert notebook_lint.lint(nbformat.read(path, as_version=4), path.name) == []


def test_there_are_walkthroughs():
    assert [path.name for path in NOTEBOOKS][:2] == ["00_start_here.ipynb", "01_behaviour.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_links_to_files_lead_somewhere(path: Path):
    notebook = nbformat.read(path, as_version=4)
    text = "\n".join(cell.source for cell in notebook_lint.text_cells(notebook))
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (path.parent / link).exists()] == []


def html_output(alt: str = ALT, table: str = "") -> NotebookNode:
    picture = f'<img alt="{alt}" src="data:image/png;base64,AAAA/tmp/home">'
    return new_output("display_data", {"text/html": picture + table})


def good_notebook() -> NotebookNode:
    """A small notebook that follows every rule."""
    sources = ["from course_lib import load_model\nlm = load_model()"]
    sources += [f"x = {i}\nx" for i in range(29)]
    cells = [new_code_cell(s, execution_count=i, outputs=[]) for i, s in enumerate(sources, 1)]
    tags = ["prediction", "prediction", "widget", "negative-control", "ground-truth", "play"]
    for cell, tag in zip(cells[1:], [*tags, "exit-ticket"], strict=False):
        cell.metadata.tags = [tag]
    cells[3].outputs = [html_output(table="<table></table>")]
    cells.insert(0, new_markdown_cell(HEADER))
    cells.insert(2, new_markdown_cell("## A question\n\n```python\n# no heading\n```"))
    reading = "## Further reading\n\n- one https://example.org/home/x\n- two\n- three"
    cells.append(new_markdown_cell(reading, metadata={"tags": ["reading"]}))
    return new_notebook(cells=cells)


def test_a_good_notebook_has_no_problem():
    assert notebook_lint.lint(good_notebook(), "01_good.ipynb") == []


def code(notebook: NotebookNode, number: int) -> NotebookNode:
    return notebook_lint.code_cells(notebook)[number]


def add_output(notebook: NotebookNode, kind: str, *arguments, **fields) -> None:
    code(notebook, 5).outputs = [new_output(kind, *arguments, **fields)]


def add_text(notebook: NotebookNode, text: str) -> None:
    notebook.cells.insert(4, new_markdown_cell(text))


def replace_header(notebook: NotebookNode, old: str, new: str) -> None:
    notebook.cells[0].source = notebook.cells[0].source.replace(old, new)


def lengthen(notebook: NotebookNode, cells: int, lines: int) -> None:
    for cell in notebook_lint.code_cells(notebook)[-cells:]:
        cell.source = "\n".join(f"x = {i}" for i in range(lines))


def untag(notebook: NotebookNode, tag: str) -> None:
    cell = next(c for c in notebook.cells if tag in c.metadata.get("tags", []))
    del cell.metadata["tags"]


PNG = {"image/png": "AAAA", "text/plain": "<Figure>"}
VIEW = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Box()"}
BAD: list[tuple[str, Callable[[NotebookNode], None]]] = [
    ("starts with the title", lambda n: n.cells.pop(0)),
    ("not name its objectives", lambda n: replace_header(n, "Objectives", "Aims")),
    ("not name its models", lambda n: replace_header(n, "Models", "Programs")),
    ("not name its marr level", lambda n: replace_header(n, "Marr level", "Level")),
    ("no number of minutes", lambda n: replace_header(n, "50", "many")),
    ("lm = load_model()", lambda n: code(n, 0).update(source="lm = 3")),
    ("lm = load_model()", lambda n: code(n, 0).update(source="lm = load_model()")),
    ("20 code cells", lambda n: n.cells.__setitem__(slice(12, 22), [])),
    ("empty code cell", lambda n: code(n, 9).update(source="")),
    ("median code cell", lambda n: lengthen(n, 20, 9)),
    ("one code cell in ten", lambda n: lengthen(n, 5, 26)),
    ("kB, limit", lambda n: add_output(n, "stream", text="x" * 310_000)),
    ("jumps from level", lambda n: add_text(n, "#### Deep")),
    ("headings of level 1", lambda n: add_text(n, "# Another title")),
    ("execution counts", lambda n: code(n, 4).update(execution_count=None)),
    ("execution counts", lambda n: code(n, 4).update(execution_count=40)),
    ("state of widgets", lambda n: n.metadata.update(widgets={})),
    ("stores an error", lambda n: add_output(n, "error", ename="E", evalue="", traceback=[])),
    ("stores stderr", lambda n: add_output(n, "stream", name="stderr", text="Warning")),
    ("live widget", lambda n: add_output(n, "display_data", VIEW)),
    ("path of one machine", lambda n: add_output(n, "stream", text="in /home/ada/x")),
    ("path of one machine", lambda n: add_output(n, "stream", text="'/tmp/ipykernel_7/1.py'")),
    ("path of one machine", lambda n: add_output(n, "stream", text=r"C:\Users\ada")),
    ("path of one machine", lambda n: code(n, 5).update(source="open('/home/someone/x')")),
    ("without alt text", lambda n: add_output(n, "display_data", PNG)),
    ("without alt text", lambda n: code(n, 3).update(outputs=[html_output("")])),
    ("without alt text", lambda n: code(n, 3).update(outputs=[html_output("figure")])),
    ("without alt text", lambda n: add_output(n, "display_data", {"text/html": "<svg></svg>"})),
    ("without alt text", lambda n: add_text(n, "![](plot.png)")),
    ("without alt text", lambda n: add_text(n, '<img src="plot.png">')),
    ("speaks of 'red bars'", lambda n: add_text(n, "The red bars are longer.")),
    *((f"tag '{tag}'", lambda n, tag=tag: untag(n, tag)) for tag in notebook_lint.TAGS),
    ("2 further readings", lambda n: n.cells[-1].update(source="## R\n\n- one\n- two")),
    ("7 further readings", lambda n: n.cells[-1].update(source="## R\n\n" + "- x\n" * 7)),
    ("picture is missing", lambda n: code(n, 3).update(outputs=[])),
    ("table is missing", lambda n: code(n, 3).update(outputs=[html_output()])),
]


@pytest.mark.parametrize(("message", "spoil"), BAD)
def test_a_spoilt_notebook_is_told_what_is_wrong(message: str, spoil: Callable):
    notebook = good_notebook()
    spoil(notebook)
    problems = notebook_lint.lint(notebook, "01_bad.ipynb")
    assert len(problems) >= 1 and any(message in problem for problem in problems), problems


def test_every_rule_is_shown_to_fail():
    fired = set()
    for _, spoil in BAD:
        notebook = good_notebook()
        spoil(notebook)
        fired |= {r.__name__ for r in notebook_lint.RULES if list(r(notebook, "01_bad.ipynb"))}
    assert fired == {rule.__name__ for rule in notebook_lint.RULES}


def test_the_start_notebook_may_be_shorter():
    notebook = good_notebook()
    notebook.cells[12:22] = []
    sizes = notebook_lint.check_cell_sizes
    assert list(sizes(notebook, "00_start_here.ipynb")) == []
    assert list(sizes(notebook, "01_other.ipynb")) != []


def test_alt_text_in_metadata_or_in_svg_counts():
    notebook = good_notebook()
    add_output(notebook, "display_data", PNG, metadata={"image/png": {"alt": ALT}})
    svg = f"<svg><title>{ALT}</title></svg>"
    code(notebook, 6).outputs = [new_output("display_data", {"image/svg+xml": svg})]
    assert notebook_lint.lint(notebook, "01_good.ipynb") == []
