"""Put a student's answers into the notebook that we released.

Only the source text of the answer cells is taken, found by its grade id; a cell that was split
keeps its id in every part, and the parts are joined in their order. So whatever else was
changed in the file (tags, points, flags, check cells, outputs, metadata) has no effect by
construction. What looks odd is listed for a person to read; it never changes the points.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_SOURCE = 200_000  # characters of one answer


class Unreadable(ValueError):
    """The file is not a notebook of this assignment; the message says why."""


@dataclass(frozen=True)
class Grafted:
    """The released notebook with a student's answers.

    ``cells`` are the (id, source) of the code to run, in order; ``written`` the texts that a
    person grades; ``unanswered`` the ids of answer cells left as they were released.
    """

    notebook: dict[str, Any]
    cells: tuple[tuple[str, str], ...]
    written: dict[str, str]
    unanswered: tuple[str, ...]
    oddities: tuple[str, ...]


def graft(released: dict[str, Any], submitted: Any) -> Grafted:
    """Copy the answers of ``submitted``, any JSON value, into a copy of ``released``.

    Raises
    ------
    Unreadable : not a notebook, or none of the answer cells is in it
    """
    theirs = submitted.get("cells") if isinstance(submitted, dict) else None
    if not isinstance(theirs, list):
        raise Unreadable("The file is JSON, but it is not a notebook.")
    theirs = [cell for cell in theirs if isinstance(cell, dict)]
    by_mark = _by(theirs, lambda cell: _mark(cell).get("grade_id"))
    by_id = _by(theirs, lambda cell: cell.get("id"))
    notebook, oddities, unanswered, written = copy.deepcopy(released), [], [], {}
    found_any, split = False, {}
    for cell in notebook["cells"]:
        if not (mark := _mark(cell)).get("solution"):
            continue
        grade_id, stub = mark["grade_id"], text_of(cell)
        found = by_mark.get(grade_id, [])
        if not found and (found := by_id.get(cell["id"], [])):
            oddities.append(f"{grade_id}: its grade id was removed; found by its cell id")
        texts = [text for c in found if (text := text_of(c)) is not None]
        found_any = found_any or bool(texts)
        if len(found) > 1:
            oddities.append(f"{grade_id}: {len(found)} cells have this grade id; they are joined")
        if found and len(texts) < len(found):
            oddities.append(f"{grade_id}: its text cannot be read")
        if found and any(c.get("cell_type") != cell["cell_type"] for c in found):
            oddities.append(f"{grade_id}: the cell was changed to another type")
        if not texts:
            oddities.append(f"{grade_id}: the cell is missing")
        # A copy of the stub behind the answer would take its place.
        parts = [text for text in texts if text.strip() not in ("", stub.strip())]
        parts = parts or texts[:1] or [stub]
        if len("\n".join(parts)) > MAX_SOURCE:
            oddities.append(f"{grade_id}: its text cannot be read, its parts are too long")
            parts = [stub]
        split[grade_id] = parts
        cell["source"] = answer = "\n".join(parts)
        if answer.strip() == stub.strip():
            unanswered.append(grade_id)
        if cell["cell_type"] == "markdown":
            written[grade_id] = answer
    if not found_any:
        raise Unreadable("None of the answer cells of this assignment is in the file.")
    oddities += _elsewhere(released, theirs)
    cells = _apart(code_to_run(notebook), split)
    return Grafted(notebook, cells, written, tuple(unanswered), tuple(oddities))


def _by(cells: list[dict[str, Any]], name_of: Callable[[dict], Any]) -> dict[str, list[dict]]:
    """The cells by a name that they may have, in order."""
    found: dict[str, list[dict]] = {}
    for cell in cells:
        if isinstance(name := name_of(cell), str):
            found.setdefault(name, []).append(cell)
    return found


def _apart(
    cells: tuple[tuple[str, str], ...], split: dict[str, list[str]]
) -> tuple[tuple[str, str], ...]:
    """Where a later part begins with a cell magic (``%%time``), the parts run as cells again."""
    found = []
    for id, source in cells:
        parts = split.get(id, [source])
        apart = any(part.lstrip().startswith("%%") for part in parts[1:])
        found += [(id, part) for part in parts] if apart else [(id, source)]
    return tuple(found)


def code_to_run(notebook: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """(id, source) of the code cells of our own notebook, without checks and slow examples."""
    return tuple(
        (_mark(cell).get("grade_id", cell["id"]), text_of(cell) or "")
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and (_mark(cell).get("solution") or not _mark(cell).get("grade"))
        and "needs-model" not in cell["metadata"].get("tags", [])
    )


def imported_modules(notebook: dict[str, Any]) -> list[str]:
    """The modules that a notebook of ours imports, to have them ready."""
    code = "\n".join(source for _, source in code_to_run(notebook))
    found = re.findall(r"^(?:import|from) ([\w.]+)", code, re.M)
    return sorted(name for name in set(found) | {"torch"} if not name.startswith("course_lib"))


def text_of(cell: dict[str, Any]) -> str | None:
    """The source of a cell as one text; None if it is not text of a sensible size."""
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str) or len(source) > MAX_SOURCE:
        return None
    return source


def _mark(cell: dict[str, Any]) -> dict[str, Any]:
    metadata = cell.get("metadata")
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return mark if isinstance(mark, dict) else {}


def _elsewhere(released: dict[str, Any], theirs: list[dict[str, Any]]) -> list[str]:
    """Code of their own outside the answer cells, which a student may believe to be graded."""
    answers = {_mark(c)["grade_id"] for c in released["cells"] if _mark(c).get("solution")}
    ours = {(text_of(cell) or "").strip() for cell in released["cells"]} | {""}
    changed = sum(
        cell.get("cell_type") == "code"
        and str(_mark(cell).get("grade_id")) not in answers
        and (text_of(cell) or "").strip() not in ours
        for cell in theirs
    )
    told = f"{changed} code cells outside the answers were added or changed; not graded"
    return [told] if changed else []
