"""``class.toml`` against what it may say: every fault at once, with its line and the choice."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

# Name: (what it must be, smallest, largest).
LATE = {
    "grace_minutes": (float, 0, math.inf),
    "percent_per_day": (float, 0, 100),
    "most_percent": (float, 0, 100),
}
WHOLE = ("memory", "disk", "printed", "processes")  # of the limits; seconds may have a fraction
TIME = "a date with a time, such as 2026-11-20T23:59:00+01:00"


class ClassError(ValueError):
    """The class or the course is not complete or not in order; the message says what is wrong."""


def read_settings(
    path: Path, units: Collection[str], students: Collection[str], limits: Collection[str]
) -> dict[str, Any]:
    """The settings of a class; ``{}`` without a file.

    Parameters
    ----------
    units, students, limits : what may be named; no students: any

    Raises
    ------
    ClassError : not TOML, or something in it has no effect or cannot be meant
    """
    try:
        text = path.read_text("utf-8") if path.is_file() else ""
        settings = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ClassError(f"{path}: {error}") from None
    numbers = {name: (int if name in WHOLE else float, 1e-3, math.inf) for name in limits}
    faults: list[tuple[int, str]] = []
    for key, told in _faults(settings, units, students, numbers):
        faults.append((line_of(text, key), f"[{key[0]}] {told}"))
    if faults:
        lines = [f"{path}, line {line}: {told}" for line, told in sorted(faults)]
        raise ClassError("\n".join(lines))
    return settings


def _faults(
    settings: dict[str, Any],
    units: Collection[str],
    students: Collection[str],
    limits: dict[str, tuple],
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(where, what is wrong) for everything that is."""
    tables: dict[str, tuple[Collection[str], Callable[[Any], str]]] = {
        "due": (units, _no_time),
        "late": (LATE, lambda value: ""),
        "extensions": (units, lambda value: "" if isinstance(value, dict) else "a table of ids"),
        "limits": (limits, lambda value: ""),
    }
    for name, table in settings.items():
        if name not in tables:
            yield (name,), f"is no table of class.toml{_choice(name, tables)}"
        elif not isinstance(table, dict):
            yield (name,), "must be a table: put [...] around its name"
        else:
            known, check = tables[name]
            yield from _faults_of_table((name,), table, known, check)
    for name, numbers in (("late", LATE), ("limits", limits)):
        table = settings.get(name)
        for key, value in table.items() if isinstance(table, dict) else ():
            if key in numbers and (told := _no_number(value, *numbers[key])):
                yield (name, key), f"{key} must be {told}, not {value!r}"
    extensions = settings.get("extensions")
    for unit, table in extensions.items() if isinstance(extensions, dict) else ():
        if unit in units and isinstance(table, dict):
            yield from _faults_of_table(("extensions", unit), table, students or table, _no_time)


def _faults_of_table(
    where: tuple[str, ...], table: dict[str, Any], known: Collection[str], check: Callable
) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in table.items():
        if key not in known:
            yield (*where, key), f"{key} is not known{_choice(key, known)}"
        elif told := check(value):
            yield (*where, key), f"{key} must be {told}, not {value!s}"


def _no_time(value: Any) -> str:
    return "" if isinstance(value, datetime) else TIME


def _no_number(value: Any, kind: type, least: float, most: float) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if (whole or (kind is float and isinstance(value, float))) and least <= value <= most:
        return "" if math.isfinite(value) else "finite"
    limit = f"from {least:g} to {most:g}" if most < math.inf else "and positive"
    return f"a {'whole ' if kind is int else ''}number {limit}"


def _choice(key: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    listed = ", ".join(sorted(known)[:30]) + " ..." * (len(known) > 30)
    return f"; did you mean {close[0]}? Known: {listed}" if close else f"; known: {listed}"


def line_of(text: str, key: tuple[str, ...]) -> int:
    """The line of a table or of a key in it, as people write TOML; 1 if it is written otherwise.

    >>> line_of("[due]\\n\\n01 = 2026-11-20", ("due", "01"))
    3
    """
    table, found = "", {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = re.sub(r"[\s\"']", "", match[1])
            found.setdefault(table, number)
        elif match := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            name = re.sub(r"[\"']", "", match[1])
            found.setdefault(f"{table}.{name}".lstrip("."), number)
    return next(
        (found[n] for end in range(len(key), 0, -1) if (n := ".".join(key[:end])) in found), 1
    )
