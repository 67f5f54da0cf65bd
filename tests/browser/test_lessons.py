"""Lessons in a real browser: run, read with the stored outputs, operate by keyboard alone."""

import json

import pytest

GOOD, BAD = "Acceptable", "Unacceptable"


def events(lab, kind: str) -> list[dict]:
    """What the forms wrote into the progress file."""
    lines = (lab.home / "progress.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines if line.strip()]
    return [event for event in found if event["event"] == kind]


def described(cell) -> str:
    """The alt text of the figure in a cell."""
    return cell.locator(".jp-OutputArea img").first.get_attribute("alt")


def expect(target):
    """Playwright's waiting assertion; imported here, because playwright may be missing."""
    from playwright.sync_api import expect

    return expect(target)


def nameless_controls(cell) -> list[str]:
    """Controls in the output of a cell that a screen reader would announce without a name."""
    return cell.evaluate(
        """cell => [...cell.querySelectorAll(
                '.jp-OutputArea :is(input, select, textarea, button, [role=slider])')]
            .filter(node => node.offsetParent !== null)
            .filter(node => !node.getAttribute('aria-label')
                && !(node.tagName === 'BUTTON' && node.innerText.trim())
                && ![...(node.labels || [])].some(label => label.innerText.trim()))
            .map(node => node.outerHTML.slice(0, 120))"""
    )


@pytest.fixture(scope="module")
def start(open_lesson):
    lesson = open_lesson("00_start_here.ipynb")
    lesson.run_all()
    return lesson


@pytest.fixture(scope="module")
def unread(open_lesson):
    """A lesson as it is stored, before a cell has run."""
    return open_lesson("01_behaviour.ipynb")


@pytest.fixture(scope="module")
def behaviour(unread):
    unread.run_all()
    return unread


def test_controls_without_a_name_are_noticed(browser):
    page = browser.new_page()
    page.set_content(
        """<div id="cell"><div class="jp-OutputArea"><label for="a">Name</label><input id="a">
        <button>Go</button> <input id="b"> <div role="slider">7</div></div></div>"""
    )
    found = nameless_controls(page.locator("#cell"))
    assert ['id="b"' in found[0], "slider" in found[1]] == [True, True] and len(found) == 2
    page.close()


class TestStart:
    def test_the_doctor_and_the_progress_panel_are_shown(self, start):
        doctor = start.cell("diagnose()")
        expect(doctor.get_by_role("table")).to_contain_text("bundled models")
        start.picture("doctor")
        panel = start.cell("progress_report()")
        expect(panel.get_by_role("table")).to_contain_text("predictions")
        start.picture("progress")

    def test_the_tour_follows_the_keyboard(self, start):
        cell = start.cell("widget")
        layers = cell.get_by_role("spinbutton", name="Layers read")
        assert nameless_controls(cell) == []
        cell.get_by_role("textbox", name="Text").focus()
        start.focus_by_tab(layers)
        last, before = layers.input_value(), described(cell)
        start.picture("tour")
        start.page.keyboard.press("ArrowDown")
        expect(layers).to_have_value(str(int(last) - 1))
        expect(cell.get_by_alt_text(f"after {int(last) - 1} of {last} layers")).to_be_visible()
        assert described(cell) != before
        cell.locator("summary").click()
        expect(cell.get_by_role("table").last).to_be_visible()
        start.picture("tour_moved")

    def test_nothing_was_asked_of_another_machine(self, start):
        assert start.foreign == [] and start.errors == []
        # and a page that asks would be noticed
        start.page.evaluate("() => fetch('https://example.org/x').catch(() => 0)")
        assert start.foreign == ["https://example.org/x"]


class TestBehaviour:
    def test_before_it_is_run_the_explorer_shows_a_picture_and_a_table(self, unread):
        cell = unread.cell("widget")
        expect(cell.get_by_role("img")).to_be_visible()
        expect(cell.get_by_role("table")).to_be_visible()
        unread.picture("stored")

    def test_the_explorer_follows_the_keyboard(self, behaviour):
        cell = behaviour.cell("widget")
        example, good = cell.get_by_label("Example"), cell.get_by_label(GOOD, exact=True)
        expect(example).to_be_visible()
        assert nameless_controls(cell) == []
        before, sentence = described(cell), good.input_value()
        behaviour.picture("explorer")
        example.focus()
        for key in ("Space", "ArrowDown", "Enter"):  # open the list, one down, choose
            behaviour.page.keyboard.press(key)
        expect(good).not_to_have_value(sentence)
        chosen = good.input_value()
        expect(cell.get_by_alt_text(f"'{chosen}'")).to_be_visible()
        assert described(cell) != before
        behaviour.focus_by_tab(cell.get_by_label(BAD, exact=True))
        behaviour.picture("explorer_moved")

    def test_the_explorer_says_what_is_wrong_and_recovers(self, behaviour):
        cell = behaviour.cell("widget")
        bad = cell.get_by_label(BAD, exact=True)
        sentence = bad.input_value()
        bad.focus()
        behaviour.page.keyboard.press("Control+a")
        behaviour.page.keyboard.press("Delete")
        behaviour.page.keyboard.press("Enter")
        expect(cell.get_by_role("alert")).to_contain_text("at least one word")
        behaviour.picture("explorer_error")
        behaviour.page.keyboard.type(sentence)
        behaviour.page.keyboard.press("Enter")
        expect(cell.get_by_role("img")).to_be_visible()

    def test_an_answer_to_the_exit_ticket_is_explained(self, behaviour):
        cell = behaviour.cell("exit-ticket")
        options = cell.get_by_role("radio")
        options.first.focus()
        behaviour.focus_by_tab(options.nth(1), most=2)
        behaviour.page.keyboard.press("Space")
        expect(options.nth(1)).to_be_checked()
        expect(cell.get_by_text("Right.", exact=True)).to_be_visible()
        behaviour.picture("ticket")
        assert [(e["id"], e["question"], e["right"]) for e in events(behaviour.lab, "ticket")] == [
            ("01", 1, True)
        ]

    def test_a_prediction_is_stored_and_shown_beside_the_outcome(self, behaviour):
        cell = behaviour.cell("prediction")
        cell.get_by_role("spinbutton").first.focus()
        behaviour.page.keyboard.press("Control+a")
        behaviour.page.keyboard.type("2.75")
        behaviour.focus_by_tab(cell.get_by_role("button", name="Store my prediction"))
        behaviour.page.keyboard.press("Enter")
        expect(cell.get_by_text("Stored on this computer")).to_be_visible()
        behaviour.picture("prediction")
        stored = [(e["id"], e["value"]) for e in events(behaviour.lab, "prediction")]
        assert stored == [("01-margin", 2.75)]
        shown = behaviour.run_cell('reveal("01-margin"')
        expect(shown.get_by_role("table")).to_contain_text("2.75")
        behaviour.picture("outcome")

    def test_nothing_was_asked_of_another_machine(self, behaviour):
        assert behaviour.foreign == [] and behaviour.errors == []
