"""The one pattern behind all explorers: a pure function that draws, and controls on top.

The function takes the values of the controls and returns a figure with alt text and tables; it
knows nothing of widgets, so that a test or a reader can call it alone. `Explorer` does the rest.

Which controls? JupyterLab takes the arrow keys for itself unless a control holds text, and a slider
has no name that a screen reader could speak. Number and text fields, check boxes and buttons work
by keyboard; so does a drop-down list (Space opens it). A list box (`Select`) does not.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets

from course_lib.display import AltFigure


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the texts of warnings, each once, to be shown in the figure instead of in a log."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield notes
    notes.extend(dict.fromkeys(str(warning.message) for warning in caught))


class Explorer:
    """Redraw a figure whenever a control changes.

    The object puts one bundle into the notebook: the live view, and beside it the first figure as
    HTML with alt text and tables, and as text. A front end without a kernel shows one of these.

    Parameters
    ----------
    draw : called with the value of each control by name; returns an `AltFigure`. What it raises is
        shown to the reader in place of the figure, until a control changes again.
    above : further controls placed on top that do not redraw by themselves (a list of examples that
        fills in the text fields, say).
    controls : name -> ipywidgets control. Each needs a `description`: it is the visible label.

    Attributes
    ----------
    figure : the `AltFigure` drawn last, None after an error; box : the ipywidgets container; view :
    the HTML widget that holds the picture.

    Raises
    ------
    ValueError
        If a control has no description.
    Exception
        Whatever `draw` raises for the first figure, unless it is a ValueError: a mistake in `draw`
        must be seen by its author, not by the reader.
    """

    def __init__(
        self,
        draw: Callable[..., AltFigure],
        *,
        above: tuple[ipywidgets.Widget, ...] = (),
        **controls: ipywidgets.ValueWidget,
    ) -> None:
        for name, control in controls.items():
            if not control.description:
                raise ValueError(
                    f"The control {name!r} has no description. Give it one: it is the label that "
                    "sighted readers see and screen readers speak."
                )
        self.controls = controls
        self.figure: AltFigure | None = None
        self.view = ipywidgets.HTML()
        self.view.add_class("jp-RenderedHTMLCommon")  # tables look as in any other output
        self._draw, self._drawn, self._held = draw, None, False
        self._redraw()
        for control in controls.values():
            control.observe(self._redraw, names="value")
        self.box = ipywidgets.VBox([*above, *controls.values(), self.view])

    def values(self) -> dict[str, Any]:
        """The current value of each control."""
        return {name: control.value for name, control in self.controls.items()}

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Change several controls inside the block and redraw once, at its end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self._redraw({})

    def _redraw(self, change: Any = None) -> None:
        if self._held or self.values() == self._drawn:
            return
        self._drawn = self.values()
        try:
            self.figure = self._draw(**self._drawn)
            self.view.value = self.figure.to_html()
        except Exception as error:  # one that leaves a callback would vanish in a log
            if change is None and not isinstance(error, ValueError):
                raise
            self.figure = None
            text = html.escape(_for_readers(error))
            self.view.value = f'<p role="alert"><strong>No figure:</strong> {text}</p>'

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        live = self.box._repr_mimebundle_()
        data = dict(live[0] if isinstance(live, tuple) else live)
        data["text/html"] = self.figure.to_html(unfold=True) if self.figure else self.view.value
        data["text/plain"] = f"[interactive figure] {self.figure or 'Nothing could be drawn.'}"
        return data, {}


def _for_readers(error: Exception) -> str:
    if isinstance(error, ValueError):  # the reader's input: these messages name the next step
        return str(error)
    return (
        f"This could not be drawn ({type(error).__name__}: {error}). Change the last control back, "
        "or run the cell again. If that does not help, show this line to your teacher."
    )
