"""What a check reports, as text and as a table in a notebook."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass
from typing import Any

from course_lib.tables import Markup, html_table

HELD_OUT_NOTE = "Held-out checks run at grading."


class Wrong(Exception):
    """The student's answer is wrong; the message says what the likely cause is."""


class NotAttempted(Exception):
    """The function still holds the stub (it raises ``NotImplementedError``)."""


@dataclass(frozen=True)
class PartResult:
    """The outcome of one part: points earned, and a message when there is something to say.

    ``answered`` says whether the function returned anything in it, or only raised errors.
    """

    name: str
    earned: int
    points: int
    message: str = ""
    answered: bool = False


@dataclass(frozen=True)
class CheckResult:
    """The outcome of the parts that were run for one exercise.

    ``status`` is ``"ok"`` (every part that was run holds), ``"wrong"``, ``"error"`` (the
    function stopped with an exception) or ``"not attempted"``. ``held_out`` is the number of
    points that parts outside this run decide. Shown as a table in a notebook, as text elsewhere.
    """

    exercise: str
    title: str
    status: str
    parts: tuple[PartResult, ...]
    held_out: int = 0

    @property
    def earned(self) -> int:
        return sum(part.earned for part in self.parts)

    @property
    def points(self) -> int:
        return sum(part.points for part in self.parts)

    @property
    def ok(self) -> bool:
        return self.status == "ok"

    @property
    def message(self) -> str:
        """The messages of all parts, each once, in order."""
        return "\n".join(dict.fromkeys(part.message for part in self.parts if part.message))

    @property
    def headline(self) -> str:
        state = "not attempted yet, " if self.status == "not attempted" else ""
        return f"{self.exercise} {self.title}: {state}{self.earned} of {self.points} points"

    @property
    def note(self) -> str:
        more = f" {self.held_out} more points depend on them." if self.held_out else ""
        return HELD_OUT_NOTE + more

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; :meth:`from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> CheckResult:
        parts = tuple(PartResult(**part) for part in data["parts"])
        return cls(**{**data, "parts": parts})

    def __str__(self) -> str:
        lines = [self.headline]
        shown: set[str] = set()
        for part in self.parts:
            mark = "holds" if part.earned == part.points else "no   "
            lines.append(f"  {mark}  {part.name} ({part.earned}/{part.points})")
            if part.message and part.message not in shown:
                shown.add(part.message)
                lines += ["         " + line for line in part.message.splitlines()]
        return "\n".join([*lines, self.note])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows: list[tuple[object, ...]] = []
        shown: set[str] = set()
        for part in self.parts:
            mark = "✓ holds" if part.earned == part.points else "✗ not yet"
            message = "" if part.message in shown else html.escape(part.message)
            shown.add(part.message)
            message = Markup(message.replace("\n", "<br>"))
            rows.append((mark, part.name, f"{part.earned}/{part.points}", message))
        columns = ("", "check", "points", "why")
        table = html_table(columns, rows, self.headline, heads=None, align=["left"] * 4)
        return f"{table}<p>{html.escape(self.note)}</p>"
