"""Tables: text is escaped, columns stand below each other, headings say what they head."""

from xml.etree import ElementTree

from course_lib.tables import Markup, Table, html_table, text_table


def cells(page: str, tag: str) -> list[tuple[str, dict]]:
    return [("".join(e.itertext()), e.attrib) for e in ElementTree.fromstring(page).iter(tag)]


def test_text_columns_are_as_wide_as_their_widest_cell():
    rows = [("name", "n", "p"), ("a longer one", "1", "0.5"), ("b", "100", "0.25")]
    lines = text_table(rows)
    assert lines[:2] == ["name            n     p", "a longer one    1   0.5"]
    assert text_table(rows, left=0)[0] == "        name    n     p"
    assert text_table(rows, left=3)[2] == "b             100  0.25"


def test_text_is_escaped_and_markup_is_not():
    page = html_table(["<t>"], [["a & b"], [Markup("<code>&lt;s&gt;</code>")]], "x < y")
    assert '<th scope="col">&lt;t&gt;</th>' in page and "a &amp; b" in page
    assert "<code>&lt;s&gt;</code>" in page and "<caption>x &lt; y</caption>" in page


def test_every_heading_has_a_scope():
    page = html_table(["a", "b"], [[1, 2], [3, 4]], "numbers")
    heads = cells(page, "th")
    assert heads == [("a", {"scope": "col"}), ("b", {"scope": "col"}),
                     ("1", {"scope": "row"}), ("3", {"scope": "row"})]  # fmt: skip
    assert cells(page, "td") == [("2", {}), ("4", {})]
    assert [text for text, _ in cells(html_table("ab", [(1, 2)], heads=1), "th")] == ["a", "b", "2"]
    assert len(cells(html_table("ab", [(1, 2)], heads=None), "td")) == 2


def test_sides_are_those_of_the_columns():
    page = html_table("ab", [(1, 2)], align=("", "left"))
    assert cells(page, "td") == [("2", {"style": "text-align:left"})]
    assert all("style" not in attributes for _, attributes in cells(page, "th"))
    page = html_table("ab", [(1, 2)], align=("right", "left"), align_columns=True)
    sides = [attributes["style"] for _, attributes in cells(page, "th")]
    assert sides == ["text-align:right", "text-align:left", "text-align:right"]


def test_a_table_without_columns_or_caption_has_no_empty_parts():
    page = html_table((), [("your prediction", 0.5)])
    assert "<thead>" not in page and "<caption" not in page
    assert cells(page, "th")[0][0] == "your prediction"


def test_a_table_says_the_same_as_text_and_as_html():
    table = Table(["model", "accuracy"], [["5-gram", 61.24], ["LSTM", "n/a"]], "Scores", "ours")
    lines = repr(table).splitlines()
    assert lines[0] == "Scores" and set(lines[2]) == {"-"} and lines[-1] == "ours"
    assert lines[3].split() == ["5-gram", "61.2"]
    page = table._repr_html_()
    assert "white-space:nowrap" in page and page.endswith("<p><small>ours</small></p>")
    assert [text for text, _ in cells(page.split("<p>")[0], "td")] == ["61.2", "n/a"]
