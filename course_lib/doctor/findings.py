"""What the doctor found: a status in words, and the next step where there is one."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass

GREEN, AMBER, RED = "ok", "warning", "problem"
MARKS = {GREEN: "✓", AMBER: "!", RED: "✗"}
COLOURS = {GREEN: "#1b7837", AMBER: "#b35806", RED: "#b2182b"}


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at.

    Attributes
    ----------
    name : what was looked at.
    status : "ok", "warning" (the course runs, something may be slow or missing) or "problem".
    detail : what was found.
    fix : the exact next step; empty when the status is "ok".
    """

    name: str
    status: str
    detail: str
    fix: str = ""


class Findings(list[Finding]):
    """A list of findings that prints as lines of text and shows as a table in a notebook."""

    @property
    def status(self) -> str:
        """The worst status in the list; "ok" for an empty one."""
        order = (GREEN, AMBER, RED)
        return max((finding.status for finding in self), key=order.index, default=GREEN)

    def __str__(self) -> str:
        return render_text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return render_html(self)


def render_text(findings: Iterable[Finding]) -> str:
    """One line a finding, with the fix below it where there is one."""
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.status]} {finding.name}: {finding.detail}")
        if finding.fix:
            lines.append(f"    {finding.status}: {finding.fix}")
    return "\n".join(lines)


def render_html(findings: Iterable[Finding]) -> str:
    """A table; the status stands there as a word, so that colour is never the only sign."""
    rows = "".join(
        f'<tr><td style="color:{COLOURS[f.status]}">{MARKS[f.status]} {f.status}</td>'
        f'<th scope="row" style="text-align:left">{html.escape(f.name)}</th>'
        f'<td style="text-align:left">{html.escape(f.detail)}</td>'
        f'<td style="text-align:left">{html.escape(f.fix)}</td></tr>'
        for f in findings
    )
    head = "".join(
        f'<th scope="col" style="text-align:left">{t}</th>'
        for t in ("status", "part", "found", "next step")
    )
    return (
        "<table><caption>What the doctor found on this machine</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    )
