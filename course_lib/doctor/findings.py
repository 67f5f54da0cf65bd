"""What the doctor found: a status in words, and the next step where there is one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from course_lib.tables import Markup, html_table

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
    rows = [(_sign(f.status), f.name, f.detail, f.fix) for f in findings]
    columns = ("status", "part", "found", "next step")
    caption = "What the doctor found on this machine"
    return html_table(columns, rows, caption, heads=1, align=["left"] * 4, align_columns=True)


def _sign(status: str) -> Markup:
    return Markup(f'<span style="color:{COLOURS[status]}">{MARKS[status]} {status}</span>')
