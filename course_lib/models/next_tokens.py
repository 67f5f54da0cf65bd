"""The most probable next tokens of a text, as a small table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


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
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left"><code>{escape(token)}</code></th>'
            f'<td style="text-align:right">{p:.4f}</td></tr>'
            for token, p in self.pairs
        )
        return (
            '<table><caption style="white-space:nowrap;text-align:left">Next token after '
            f"<q>{escape(self.text)}</q></caption>"
            '<thead><tr><th scope="col">token</th><th scope="col">probability</th></tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )
