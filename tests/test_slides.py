"""The decks follow their contract, and their exports open in a real browser with no network."""

import re
from collections.abc import Callable
from pathlib import Path

import deck_lint
import export_slides
import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

DECKS = export_slides.decks()
NAMES = [path.stem for path in DECKS]
ALT = "Bar chart of three probabilities."

# Everything of a slide that is drawn, apart from what only the speaker or a screen reader gets.
OUTSIDE = """() => {
  const slide = Reveal.getCurrentSlide(), box = slide.getBoundingClientRect();
  const found = [];
  for (const e of slide.querySelectorAll('*')) {
    if (e.closest('aside.notes, mjx-assistive-mml')) continue;
    const r = e.getBoundingClientRect();
    if (r.width && r.height && (r.bottom > box.bottom + 1 || r.right > box.right + 1
        || r.top < box.top - 1 || r.left < box.left - 1))
      found.push(`${e.tagName} ${Math.round(r.right)} x ${Math.round(r.bottom)}`);
  }
  if (slide.scrollHeight > slide.clientHeight) found.push(`scrolls to ${slide.scrollHeight}`);
  return found.slice(0, 5);
}"""


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def test_there_are_decks():
    assert NAMES[:3] == ["00_start_here", "01_behaviour", "02_attribution"]


@pytest.mark.parametrize("path", DECKS, ids=NAMES)
def test_deck_follows_the_contract(path: Path):
    assert deck_lint.lint(read(path), path.name) == []


@pytest.mark.parametrize("path", DECKS, ids=NAMES)
def test_files_named_in_a_deck_exist(path: Path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    named = re.findall(r"`((?:notebooks|exercises|lectures|course_lib)/[\w./]+)`", text)
    assert [name for name in named if not (export_slides.ROOT / name).exists()] == []


# ---- the lint can fail -------------------------------------------------------------------------


def cell(make: Callable, source: str, kind: str, **fields) -> NotebookNode:
    made = make(source, **fields)
    made.metadata["slideshow"] = {"slide_type": kind}
    return made


def good_deck(slides: int = 16) -> NotebookNode:
    """A small deck that follows every rule."""
    cells = []
    notes = "**Time** 2 min.\n\n**Think, pair, share** Why?\n\n**Expected wrong answers** None."
    for number in range(1, slides + 1):
        title = "# The deck" if number == 1 else f"## Claim {number}"
        cells += [cell(new_markdown_cell, title, "slide"), cell(new_markdown_cell, notes, "notes")]
    picture = f'<img alt="{ALT}" src="data:image/png;base64,AAAA">'
    outputs = [new_output("display_data", {"text/html": picture})]
    code = cell(new_code_cell, "draw()", "-", execution_count=1, outputs=outputs)
    code.metadata["tags"] = ["hide-input"]
    cells.insert(3, code)
    return new_notebook(cells=cells)


def test_a_good_deck_has_no_problem():
    assert deck_lint.lint(good_deck()) == []


LONG = "\n".join(["x = 1"] * 9)
PNG = [new_output("display_data", {"image/png": "AAAA"})]
BAD = [
    ("slide type ''", lambda n: n.cells[4].metadata.clear()),
    ("begin with a slide", lambda n: n.cells[0].metadata.update(slideshow={"slide_type": "-"})),
    ("slides, expected", lambda n: n.cells.__setitem__(slice(10, None), [])),
    ("does not begin with its title", lambda n: n.cells[2].update(source="No title")),
    ("more than one heading", lambda n: n.cells[2].update(source="## A\n\n## B")),
    ("same title", lambda n: n.cells[2].update(source="## Claim 3")),
    ("letters, limit", lambda n: n.cells[2].update(source="## " + "long " * 20)),
    ("has no notes", lambda n: n.cells.pop(1)),
    ("give no time", lambda n: n.cells[1].update(source="Say it.")),
    ("wrong answers", lambda n: n.cells[1].update(source="**Time** 1 min **Think, pair, share**")),
    ("one in three", lambda n: [c.update(source="**Time** 1 min") for c in n.cells[4::2]]),
    ("tag the cell", lambda n: (n.cells[3].update(source=LONG), n.cells[3].metadata.pop("tags"))),
    ("alt text is lost", lambda n: n.cells[3].update(outputs=PNG)),
    ("without alt text", lambda n: n.cells[2].update(source="## A\n\n![](x.png)")),
    ("stores an error", lambda n: n.cells[3].update(outputs=[new_output("error", ename="E")])),
    ("kB, limit", lambda n: n.cells[3].update(source="#" * 310_000)),
    ("jumps from level", lambda n: n.cells[2].update(source="#### A")),
    ("path of one machine", lambda n: n.cells[1].update(source="**Time** 1 min /home/ada/x")),
]


@pytest.mark.parametrize(("message", "spoil"), BAD, ids=[message for message, _ in BAD])
def test_a_spoilt_deck_is_told_what_is_wrong(message: str, spoil: Callable):
    deck = good_deck()
    spoil(deck)
    problems = deck_lint.lint(deck)
    assert any(message in problem for problem in problems), problems


def test_every_rule_is_shown_to_fail():
    fired = set()
    for _, spoil in BAD:
        deck = good_deck()
        spoil(deck)
        fired |= {rule.__name__ for rule in deck_lint.RULES if list(rule(deck, ""))}
    assert fired == {rule.__name__ for rule in deck_lint.RULES}


# ---- the export --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("slides")
    return {path.stem: export_slides.export_html(path, folder) for path in DECKS}


def open_alone(browser, page: Path) -> tuple:
    """A tab with the page, every foreign request refused; these requests; errors of the console."""
    address, outside, complaints = page.resolve().as_uri(), [], []
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.set_default_timeout(export_slides.TIMEOUT)

    def gate(route):
        if route.request.url.split("#")[0] == address or route.request.url.startswith("data:"):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    tab.route("**/*", gate)
    tab.on("console", lambda m: m.type in ("error", "warning") and complaints.append(m.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(address)
    export_slides.wait_until_drawn(tab)
    return tab, outside, complaints


@pytest.mark.parametrize("name", NAMES)
def test_the_page_shows_outputs_and_keeps_long_code_back(pages, name):
    text = pages[name].read_text(encoding="utf-8")
    deck = read(export_slides.LECTURES / f"{name}.ipynb")
    assert f"<title>{export_slides.title_of(deck)}</title>" in text
    assert text.count("<aside class=") == len(deck_lint.slides_of(deck))
    assert "load_model" not in text, "set-up code is shown"
    assert "No description has been provided" not in text
    assert len(text) < 6e6


@pytest.mark.parametrize("name", NAMES)
def test_the_page_opens_alone_and_nothing_leaves_a_slide(pages, browser, name):
    """Every request is recorded and every foreign one refused; then we go through the slides."""
    deck = read(export_slides.LECTURES / f"{name}.ipynb")
    tab, outside, complaints = open_alone(browser, pages[name])
    number = tab.evaluate("Reveal.getTotalSlides()")
    assert number == len(deck_lint.slides_of(deck))
    leaving = {}
    for slide in range(number):
        tab.evaluate(f"Reveal.slide({slide}, 0, 99)")
        tab.wait_for_timeout(50)
        if found := tab.evaluate(OUTSIDE):
            leaving[slide + 1] = found
    assert leaving == {}
    assert tab.evaluate("document.querySelectorAll('mjx-merror').length") == 0
    if "$$" in "".join(c.source for c in deck.cells):
        assert tab.evaluate("document.querySelectorAll('mjx-container').length") > 0
    tab.keyboard.press("Home")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("Reveal.getIndices().h") == 1, "arrow keys do not turn the slides"
    tab.close()
    assert outside == [] and complaints == []


@pytest.mark.parametrize("name", NAMES)
def test_the_pdf_has_one_sheet_a_slide(pages, browser, name):
    data = export_slides.print_pdf(browser, pages[name]).read_bytes()
    sheets = len(re.findall(rb"/Type\s*/Page\b", data))
    assert sheets == len(deck_lint.slides_of(read(export_slides.LECTURES / f"{name}.ipynb")))


def test_a_page_that_asks_outside_or_overflows_is_noticed(browser, tmp_path):
    """The measures above are able to fail."""
    deck = good_deck()
    deck.cells[2].source = "## Too long\n\n" + "A line of text.\n\n" * 40
    deck.cells[4].source += "\n\n![A picture from elsewhere](https://example.org/x.png)"
    path = tmp_path / "bad.ipynb"
    nbformat.write(deck, path)
    tab, outside, complaints = open_alone(browser, export_slides.export_html(path, tmp_path))
    tab.evaluate("Reveal.slide(1, 0)")
    assert tab.evaluate(OUTSIDE)
    tab.close()
    assert outside == ["https://example.org/x.png"] and complaints


def test_without_chromium_the_pages_are_written_and_the_loss_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export_slides, "chromium", lambda: None)
    nbformat.write(good_deck(), tmp_path / "small.ipynb")
    arguments = [str(tmp_path / "small.ipynb"), "--to", str(tmp_path / "out")]
    assert export_slides.main(arguments) == 1
    assert "no PDF was written" in capsys.readouterr().out
    assert (tmp_path / "out" / "small.html").exists()
    assert export_slides.main([*arguments, "--no-pdf"]) == 0


def test_third_party_files_come_with_their_licence():
    static = export_slides.TEMPLATES / "slides_local" / "static"
    assert "MIT" in (static / "README.md").read_text()
    assert "Permission is hereby granted" in (static / "LICENSE-reveal.js.txt").read_text()
    assert "Apache License" in (static / "LICENSE-mathjax.txt").read_text()
