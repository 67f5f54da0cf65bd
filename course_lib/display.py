"""What a notebook shows: figures that carry alt text, with the plotted numbers as tables."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from PIL import Image

from course_lib.tables import Table

__all__ = ["AltFigure", "Figure", "Table", "show"]

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
