"""The local file in which predictions, check results and exit tickets are kept.

Everything stays on this machine: ``$COURSE_HOME/progress.jsonl``, by default in ``~/.course``.
Each event is one JSON line, appended with a single write, so two notebooks can write at once and
a kernel that is killed loses at most the line it was writing. The file is never rewritten. A
damaged line is copied to ``progress-damaged.txt`` and named in a warning; the lines around it stay
readable. Events carry the ids of units, exercises and questions, never file names, so a notebook
may be renamed.
"""

from __future__ import annotations

import errno
import json
import os
import time
import warnings
from pathlib import Path
from typing import Any

NEEDED = {
    "prediction": ("id", "value"),
    "outcome": ("id", "outcome"),
    "check": ("id", "earned", "points"),
    "ticket": ("id", "question", "right"),
}


class ProgressWarning(UserWarning):
    """The progress file cannot be written, or a line in it is damaged."""


def home() -> Path:
    """Folder of the progress file: ``$COURSE_HOME``, else ``~/.course``.

    A user without a home folder, as in some containers, gets ``.course`` in the course folder.
    """
    if chosen := os.environ.get("COURSE_HOME"):
        return Path(chosen).expanduser()
    try:
        own = Path("~").expanduser()
    except RuntimeError:
        own = Path(os.devnull)
    return (own if own.is_dir() else Path(__file__).resolve().parent.parent) / ".course"


def path() -> Path:
    """The file itself; it need not exist yet."""
    return home() / "progress.jsonl"


def record(event: str, **fields: Any) -> bool:
    """Append one event; True once it is in the file.

    A folder that cannot be written, or a full disk, gives a warning and False, never an error.

    Parameters
    ----------
    event : "prediction", "outcome", "check" or "ticket"
    fields : anything JSON can hold, arrays and tensors too; ``id`` says what the event is about
    """
    line = json.dumps({"event": event, "time": round(time.time(), 3), **fields}, default=_plain)
    # One write to a file opened for appending is not torn apart by another process. The line
    # break in front keeps a line that was cut short from swallowing this one.
    data = f"\n{line}\n".encode()
    try:
        path().parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(handle, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        _warn(
            f"Progress was not saved ({error.strerror}). Free some space, or set COURSE_HOME to a "
            "folder you can write to."
        )
        return False
    return True


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _warn(text: str) -> None:
    warnings.warn(text, ProgressWarning, stacklevel=3)


def events(event: str | None = None) -> list[dict[str, Any]]:
    """All events in the order of writing, or those of one kind.

    Damaged lines are set aside with a warning. Reads 100,000 events in well under a second.
    """
    try:
        lines = path().read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        _warn(f"The progress file cannot be read ({error.strerror}). `course doctor` may know why.")
        return []
    found, damaged = [], []
    for line in lines:
        # We write plain ASCII. Without byte order mark and zero bytes it reads the same after an
        # editor has stored it as UTF-8 or UTF-16, or after a crash has filled it up with zeros.
        text = line.replace(b"\0", b"").strip(b"\xef\xbb\xbf\xff\xfe \t")
        if not text:
            continue
        try:
            found.append(_parse(text))
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError):
            damaged.append(line)
    if damaged:
        _set_aside(damaged)
    return [entry for entry in found if event in (None, entry["event"])]


def _parse(text: bytes) -> dict[str, Any]:
    """One event; an exception if it lacks what the reports count on."""
    entry = json.loads(text.decode("ascii"))
    for name in ("time", *NEEDED.get(entry["event"], ())):
        entry[name]  # noqa: B018  a KeyError if it is missing
    for name in ("time", "earned", "points"):
        float(entry.get(name, 0) + 0)
    entry["id"] = str(entry.get("id", ""))
    return entry


def damaged_file() -> Path:
    """Where damaged lines are copied to; it need not exist."""
    return home() / "progress-damaged.txt"


def _set_aside(damaged: list[bytes]) -> None:
    """Copy damaged lines, each once, to their own file and say so the first time."""
    place = damaged_file()
    try:
        known = set(place.read_bytes().split(b"\n")) if place.exists() else set()
        fresh = [line for line in dict.fromkeys(damaged) if line not in known]
        if not fresh:
            return
        with open(place, "ab") as file:
            file.write(b"".join(line + b"\n" for line in fresh))
        kept = f"a copy is in {place.name} beside it"
    except OSError as error:
        fresh, kept = damaged, f"they stay there, and no copy could be made ({error.strerror})"
    _warn(f"{len(fresh)} damaged line(s) in {path().name}; {kept}. Everything else was read.")


def record_check(result: Any) -> bool:
    """Store the outcome of one exercise, a :class:`course_lib.checks.CheckResult`."""
    return record(
        "check",
        id=result.exercise,
        earned=result.earned,
        points=result.points,
        status=result.status,
    )
