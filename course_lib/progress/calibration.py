"""How good your predictions are: what was right, how far off the numbers were, how sure you were.

Reads the progress file and compares each prediction with the first outcome that was shown for it.
What is predicted after that does not count: the answer was known by then.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from course_lib.display import AltFigure, Figure, show
from course_lib.intervals import wilson
from course_lib.journal import events
from course_lib.progress.forms import CONFIDENCES
from course_lib.tables import Table

LEAST = 3  # predictions with an outcome; below that a view would say nothing
ENOUGH = 5  # predictions with a confidence, before we say how the two compare
BLUE, RED = "#0072B2", "#D55E00"
NEAR = {"textcoords": "offset points", "va": "center", "fontsize": 7}
WIDEST = 200  # percent: longer bars are cut there, and say so


@dataclass(frozen=True)
class Scored:
    """One prediction with its outcome; ``kind`` is "number", "choice" or "ranking"."""

    id: str
    kind: str
    predicted: Any
    outcome: Any
    confidence: float | None = None

    @property
    def right(self) -> bool:
        """The very choice or the whole ranking was right."""
        return self.predicted == self.outcome

    @property
    def off(self) -> float | None:
        """Difference of a number from the outcome, in percent of the outcome; None at zero."""
        return 100 * (self.predicted - self.outcome) / abs(self.outcome) if self.outcome else None

    @property
    def in_order(self) -> float:
        """Share of the pairs in a ranking that stand in the right order."""
        place = {option: n for n, option in enumerate(self.outcome)}
        pairs = list(combinations(self.predicted, 2))
        return sum(place[a] < place[b] for a, b in pairs) / len(pairs) if pairs else 1.0


def kind_of(predicted: Any, outcome: Any, choices: list[str] | None = None) -> str | None:
    """What the two have in common; None if they cannot be compared.

    >>> kind_of(0.5, 1), kind_of("a", "b"), kind_of(["a", "b"], ["b", "a"]), kind_of(0.5, "much")
    ('number', 'choice', 'ranking', None)
    """
    both = (predicted, outcome)
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in both):
        return "number" if all(map(math.isfinite, both)) else None
    if all(isinstance(v, list) and all(isinstance(o, str) for o in v) for v in both):
        return "ranking" if sorted(predicted) == sorted(outcome) else None
    if all(isinstance(v, str) for v in both):
        return "choice" if not choices or outcome in choices else None
    return None


def score(entries: Iterable[dict[str, Any]]) -> tuple[list[Scored], int]:
    """Predictions with outcomes in order, and the number that could not be compared."""
    waiting: dict[str, dict[str, Any]] = {}
    scored: dict[str, Scored | None] = {}
    for entry in entries:
        id = entry["id"]
        if entry["event"] == "prediction":
            waiting[id] = entry
        elif entry["event"] == "outcome" and id in waiting and id not in scored:
            made = waiting[id]
            kind = kind_of(made["value"], entry["outcome"], made.get("choices"))
            sure = made.get("confidence") if kind != "number" else None
            new = Scored(id, kind or "", made["value"], entry["outcome"], sure)
            scored[id] = new if kind else None
    found = [item for item in scored.values() if item]
    return found, len(scored) - len(found)


@dataclass(frozen=True)
class Calibration:
    """All scored predictions; a table as text, with a figure in a notebook."""

    scored: tuple[Scored, ...]
    skipped: int = 0

    def of(self, kind: str) -> list[Scored]:
        """The predictions of one kind."""
        return [item for item in self.scored if item.kind == kind]

    def groups(self) -> dict[int, list[Scored]]:
        """Choices and rankings by the stated confidence, to the nearest one the form offers."""
        groups: dict[int, list[Scored]] = {}
        for item in self.scored:
            if item.confidence is not None:
                near = min(CONFIDENCES, key=lambda c: abs(c - item.confidence))
                groups.setdefault(near, []).append(item)
        return dict(sorted(groups.items()))

    def table(self) -> Table:
        """Every number of the figure, and the counts it does not show."""
        rows: list[tuple[str, int, str]] = []
        if choices := self.of("choice"):
            rows.append(("choices", len(choices), _right(choices)))
        if rankings := self.of("ranking"):
            share = statistics.mean(item.in_order for item in rankings)
            text = f"{_right(rankings)}; {share:.0%} of the pairs in order"
            rows.append(("rankings", len(rankings), text))
        rows += [(f"{c} % sure", len(group), _right(group)) for c, group in self.groups().items()]
        if numbers := self.of("number"):
            off = [abs(item.off) for item in numbers if item.off is not None]
            high = sum(item.predicted > item.outcome for item in numbers)
            low = sum(item.predicted < item.outcome for item in numbers)
            median = (
                f"off by {statistics.median(off):.0f} % of the result (median); " if off else ""
            )
            rows.append(("numbers", len(numbers), f"{median}{high} too high, {low} too low"))
        for item in numbers:
            gap = f", {item.off:+.0f} %" if item.off is not None else ""
            rows.append((item.id, 1, f"{item.predicted:.4g}, came out {item.outcome:.4g}{gap}"))
        return Table(
            ("prediction", "n", "how it came out"), rows, "Your predictions so far", self.note()
        )

    def note(self) -> str:
        """Confidence against hits in one sentence, and what was left out."""
        sure = [item for item in self.scored if item.confidence is not None]
        notes = []
        if sure:
            stated = statistics.mean(item.confidence for item in sure)
            hits = 100 * statistics.mean(item.right for item in sure)
            notes.append(
                f"On average you were {stated:.0f} % sure and {hits:.0f} % of these were right"
                f" (n = {len(sure)}): {_verdict(stated, hits, len(sure))}."
            )
        if self.skipped:
            notes.append(f"{self.skipped} could not be compared with its outcome.")
        return " ".join([*notes, "The first outcome shown for a prediction counts."])

    def figure(self) -> AltFigure | None:
        """Hits against confidence, and how far each number was off; None if there is neither."""
        groups, numbers = (
            self.groups(),
            [item for item in self.of("number") if item.off is not None],
        )
        panels = [p for p in ((_draw_groups, groups), (_draw_numbers, numbers)) if p[1]]
        if not panels:
            return None
        high = max(2.6, 0.22 * len(numbers) + 1)
        figure = Figure(figsize=(3.6 * len(panels), high), layout="constrained")
        every = zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True)
        alts = [draw(axes, data) for axes, (draw, data) in every]
        return show(figure, " ".join(alts) + " The table below holds every value.")

    def __str__(self) -> str:
        if len(self.scored) < LEAST:
            return (
                f"Predictions with an outcome so far: {len(self.scored)}. From {LEAST} on you "
                "see here how often they were right and how far numbers were off."
            )
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if len(self.scored) < LEAST:
            return f"<p>{self}</p>"
        figure = self.figure()
        return (figure.to_html() if figure else "") + self.table()._repr_html_()


def calibration() -> Calibration:
    """The view over everything predicted on this computer.

    Examples
    --------
    >>> import os, tempfile
    >>> from course_lib.progress import record_prediction, reveal
    >>> os.environ["COURSE_HOME"] = tempfile.mkdtemp()
    >>> calibration()
    Predictions with an outcome so far: 0. From 3 on you see here how often they were right and ...
    """
    scored, skipped = score(events())
    return Calibration(tuple(scored), skipped)


def _right(items: list[Scored]) -> str:
    hits = sum(item.right for item in items)
    return f"{hits} right ({hits / len(items):.0%})"


def _verdict(stated: float, hits: float, n: int) -> str:
    low, high = wilson(round(hits * n / 100), n)
    if n < ENOUGH:
        return "too few to say more"
    if stated > 100 * high:
        return "more sure than right"
    return (
        "more right than sure" if stated < 100 * low else "the two agree, within what chance allows"
    )


def _draw_groups(axes: Any, groups: dict[int, list[Scored]]) -> str:
    axes.plot([0, 100], [0, 100], "--", color="black", linewidth=0.8, label="as sure as right")
    for stated, group in groups.items():
        hits, n = sum(item.right for item in group), len(group)
        axes.plot([stated] * 2, [100 * end for end in wilson(hits, n)], color=BLUE, linewidth=1)
        axes.plot(stated, 100 * hits / n, "o", color=BLUE)
        label = f"{hits} of {n}"
        axes.annotate(label, (stated, 100 * hits / n), (5, 0), **NEAR, ha="left")
    axes.set(xlabel="how sure you were, %", ylabel="right, % (bars: 95 % interval)")
    axes.set(xlim=(0, 125), ylim=(-4, 104), xticks=range(0, 101, 20))
    axes.set_title("choices and rankings", loc="left", fontsize=9)
    axes.legend(frameon=False, fontsize=7, loc="lower right", bbox_to_anchor=(1, 0.98))
    parts = [f"at {c} %, {_right(group)}" for c, group in groups.items()]
    return f"Share of right predictions against stated confidence: {'; '.join(parts)}."


def _draw_numbers(axes: Any, numbers: list[Scored]) -> str:
    for row, item in enumerate(numbers):
        cut = max(-WIDEST, min(WIDEST, item.off))
        # Direction says too high or too low; colour and hatch only repeat it.
        style = {"color": RED, "hatch": "///"} if item.off > 0 else {"color": BLUE}
        axes.barh(row, cut, edgecolor="white", **style)
        if cut != item.off:
            side, where = (5, "left") if cut > 0 else (-5, "right")
            axes.annotate(f"{item.off:+.0f} %", (cut, row), (side, 0), **NEAR, ha=where)
    axes.margins(x=0.3)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(numbers)), [item.id for item in numbers], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("too low or too high by, % of the result")
    axes.set_title("numbers", loc="left", fontsize=9)
    return f"How far {len(numbers)} predicted numbers were from the result, in percent of it."
