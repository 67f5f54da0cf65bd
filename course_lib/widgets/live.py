"""The one pattern behind all explorers: controls, a drawing function, and a static picture."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import ipywidgets

from course_lib.display import AltFigure


class Explorer:
    """Redraw a figure whenever a control changes.

    The object puts one bundle into the notebook: the live view, and beside it the first figure as
    HTML with alt text. A front end without a kernel shows the second, so nothing is ever blank.

    Parameters
    ----------
    draw : called with the value of each control by name; returns an `AltFigure`. A ValueError it
        raises (an empty sentence, say) is shown to the reader in place of the figure.
    above : further controls placed on top that do not redraw by themselves (a list of examples that
        fills in the text fields, say).
    controls : name -> ipywidgets control. Each needs a `description`: it is the visible label.

    Attributes
    ----------
    figure : the `AltFigure` drawn last; box : the ipywidgets container; view : the HTML widget that
    holds the picture.
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
        self._draw = draw
        self._redraw()
        for control in controls.values():
            control.observe(self._redraw, names="value")
        self.box = ipywidgets.VBox([*above, *controls.values(), self.view])

    def values(self) -> dict[str, Any]:
        """The current value of each control."""
        return {name: control.value for name, control in self.controls.items()}

    def _redraw(self, _change: Any = None) -> None:
        try:
            self.figure = self._draw(**self.values())
            self.view.value = self.figure.to_html()
        except ValueError as error:  # a reader's input, not a defect: say so in place of the figure
            self.view.value = f'<p role="alert">{html.escape(str(error))}</p>'

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        live = self.box._repr_mimebundle_()
        data = dict(live[0] if isinstance(live, tuple) else live)
        data["text/html"] = self.view.value
        if self.figure is not None:
            data["text/plain"] = f"[interactive figure; static view: {self.figure.alt}]"
        return data, {}
