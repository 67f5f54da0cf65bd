"""What a notebook shows: figures that carry alt text and tables that read well aloud."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

DPI = 96


@dataclass(frozen=True)
class AltFigure:
    """A figure with its alt text; shows itself as an HTML image in every front end.

    Attributes
    ----------
    figure : matplotlib Figure, not registered with pyplot, so it is never drawn twice.
    alt : what a reader who cannot see the figure needs: the kind of figure and its main reading.
    caption : optional short text printed below the picture.
    tables : the plotted numbers, for readers who want or need them as text.
    """

    figure: Figure
    alt: str
    caption: str = ""
    tables: tuple[Table, ...] = ()

    def png(self) -> str:
        """The picture as base64 PNG text, in 64 colours: a third of the size in a notebook."""
        full, small = io.BytesIO(), io.BytesIO()
        self.figure.savefig(full, format="png", bbox_inches="tight", dpi=DPI)
        with Image.open(full) as image:
            image.convert("RGB").quantize(64).save(small, format="png", optimize=True)
        return base64.b64encode(small.getvalue()).decode()

    def to_html(self, unfold: bool = False) -> str:
        """An `<img>` with alt text, its caption, and its tables, folded unless `unfold`."""
        alt = html.escape(self.alt, quote=True)
        page = f'<img alt="{alt}" src="data:image/png;base64,{self.png()}">'
        if self.caption:
            page = f"<figure>{page}<figcaption>{html.escape(self.caption)}</figcaption></figure>"
        if self.tables:
            left = '<div style="width:fit-content">'  # JupyterLab would centre them
            tables = "".join(f"{left}{table._repr_html_()}</div>" for table in self.tables)
            state = " open" if unfold else ""
            page += f"<details{state}><summary>The numbers as a table</summary>{tables}</details>"
        return page

    def __repr__(self) -> str:
        return "\n\n".join([f"Figure: {self.alt}", *map(repr, self.tables)])

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self.to_html(), "text/plain": repr(self)}


def show(figure: Figure, alt: str, caption: str = "", tables: Sequence[Table] = ()) -> AltFigure:
    """Attach alt text, and if you like a caption and tables, to any matplotlib figure.

    Raises
    ------
    ValueError
        If `alt` has fewer than three words: such a text tells a blind reader nothing.
    """
    if len(alt.split()) < 3:
        raise ValueError(
            f"The alt text {alt!r} is too short to replace the figure. Say what is plotted "
            "against what, and the main thing a reader should see."
        )
    return AltFigure(figure, alt, caption, tuple(tables))


@dataclass(frozen=True)
class Table:
    """A small table that renders as accessible HTML and as aligned text.

    Attributes
    ----------
    columns : header of each column; the first column holds the row headers.
    rows : cells, already formatted or plain values (floats print with one decimal).
    caption : title of the table, read out first by a screen reader.
    note : source or protocol, printed below.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    note: str = ""

    def _cells(self) -> list[list[str]]:
        return [[f"{c:.1f}" if isinstance(c, float) else str(c) for c in row] for row in self.rows]

    def __repr__(self) -> str:
        cells = [list(self.columns), *self._cells()]
        widths = [max(len(row[j]) for row in cells) for j in range(len(self.columns))]
        lines = [
            "  ".join(
                c.ljust(w) if j == 0 else c.rjust(w)
                for j, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in cells
        ]
        lines.insert(1, "-" * len(lines[0]))
        return "\n".join(line.rstrip() for line in [self.caption, *lines, self.note] if line)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(str(c))}</th>' for c in self.columns)
        body = "".join(
            f'<tr><th scope="row">{html.escape(row[0])}</th>'
            + "".join(f"<td>{html.escape(c)}</td>" for c in row[1:])
            + "</tr>"
            for row in self._cells()
        )
        note = f"<p><small>{html.escape(self.note)}</small></p>" if self.note else ""
        style = "white-space:nowrap;text-align:left"  # else a narrow table squeezes it
        caption = f'<caption style="{style}">{html.escape(self.caption)}</caption>'
        caption = caption if self.caption else ""
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"
