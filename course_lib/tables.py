"""Tables: as text in columns, and as HTML that a screen reader can follow.

A result of the course shows itself twice: `__repr__` for a terminal, `_repr_html_` for a notebook.
Both are written here, once, so that every HTML table has a caption, headings with a scope, and
text that is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

ONE_LINE = "white-space:nowrap;text-align:left"  # a caption that a narrow table must not squeeze


class Markup(str):
    """Text that is HTML already; it goes into a table as it stands."""


def text_table(rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of text with aligned columns, two spaces apart.

    Parameters
    ----------
    rows : cells as text, the heading first; all rows of one length
    left : the first columns, so many, are aligned to the left, the others to the right

    Examples
    --------
    >>> print("\\n".join(text_table([("token", "p"), ("dogs", "0.25")])))
    token     p
    dogs   0.25
    """
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if j < left else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def html_table(
    columns: Sequence[object],
    rows: Iterable[Sequence[object]],
    caption: str = "",
    *,
    heads: int | None = 0,
    align: Sequence[str] = (),
    align_columns: bool = False,
    one_line: bool = False,
) -> str:
    """An HTML table.

    Parameters
    ----------
    columns : name of each column; none at all for a table of names and values
    rows : cells; text is escaped, `Markup` is not
    caption : read out first by a screen reader
    heads : place of the cell that names its row, or None
    align : "left", "right" or "" (as the page has it) for each column; with `align_columns`
        the names of the columns follow it too
    one_line : the caption is not broken, however narrow the table is

    Examples
    --------
    >>> html_table(["token", "p"], [("a < b", 0.5)], "Next")
    '<table><caption>Next</caption><thead><tr><th scope="col">token</th><th scope="col">p</th></tr>\
</thead><tbody><tr><th scope="row">a &lt; b</th><td>0.5</td></tr></tbody></table>'
    """
    sides = [f' style="text-align:{side}"' if side else "" for side in align]
    names = _row(columns, "col", range(len(columns)), sides if align_columns else [])
    body = "".join(_row(row, "row", [heads], sides) for row in rows)
    style = f' style="{ONE_LINE}"' if one_line else ""
    title = f"<caption{style}>{_escaped(caption)}</caption>" if caption else ""
    head = f"<thead>{names}</thead>" if columns else ""
    return f"<table>{title}{head}<tbody>{body}</tbody></table>"


def _row(cells: Sequence[object], scope: str, heads: Collection, sides: Sequence[str]) -> str:
    row = []
    for j, (cell, side) in enumerate(zip_longest(cells, sides, fillvalue="")):
        tag, opened = ("th", f'th scope="{scope}"') if j in heads else ("td", "td")
        row.append(f"<{opened}{side}>{_escaped(cell)}</{tag}>")
    return f"<tr>{''.join(row)}</tr>"


def _escaped(cell: object) -> str:
    return str(cell) if isinstance(cell, Markup) else html.escape(str(cell))


@dataclass(frozen=True)
class Table:
    """A small table that renders as accessible HTML and as aligned text.

    Attributes
    ----------
    columns : header of each column; the first column holds the row headers.
    rows : cells, already formatted or plain values (floats print with one decimal).
    caption : title of the table, read out first by a screen reader.
    note : source or protocol, printed below.

    Examples
    --------
    >>> Table(["model", "accuracy"], [["5-gram", 61.24]], caption="Accuracy in percent")
    Accuracy in percent
    model   accuracy
    ----------------
    5-gram      61.2
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    note: str = ""

    def _cells(self) -> list[list[str]]:
        return [[f"{c:.1f}" if isinstance(c, float) else str(c) for c in row] for row in self.rows]

    def __repr__(self) -> str:
        lines = text_table([list(self.columns), *self._cells()])
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join(line.rstrip() for line in [self.caption, *lines, self.note] if line)

    def _repr_html_(self) -> str:
        note = f"<p><small>{html.escape(self.note)}</small></p>" if self.note else ""
        return html_table(self.columns, self._cells(), self.caption, one_line=True) + note
