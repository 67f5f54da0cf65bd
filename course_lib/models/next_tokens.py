"""The most probable next tokens of a text, as a small table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from course_lib.tables import Markup, html_table


@dataclass(frozen=True)
class NextTokens(Sequence):
    """The most probable next tokens of one text, best first.

    Behaves as a sequence of ``(token, probability)`` pairs, prints as a text table and renders
    as an HTML table in a notebook. Probabilities are those of the full distribution, so they do
    not add up to 1 unless every token is listed.
    """

    text: str
    pairs: tuple[tuple[str, float], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: Any) -> Any:
        return self.pairs[index]

    def __iter__(self) -> Iterator[tuple[str, float]]:
        return iter(self.pairs)

    def __repr__(self) -> str:
        width = max(len("token"), *(len(token) for token, _ in self.pairs))
        rows = [f"{token:<{width}}  {p:11.4f}" for token, p in self.pairs]
        head = f"{'token':<{width}}  probability"
        return "\n".join([f"Next token after {self.text!r}", head, *rows])

    def _repr_html_(self) -> str:
        rows = [(Markup(f"<code>{escape(t)}</code>"), f"{p:.4f}") for t, p in self.pairs]
        title = Markup(f"Next token after <q>{escape(self.text)}</q>")
        sides = ("left", "right")
        return html_table(("token", "probability"), rows, title, align=sides, one_line=True)
