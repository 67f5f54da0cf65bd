"""Take in what students handed in: a folder or the zip file of a learning platform.

Nothing of a submission is run or unpacked here. What counts is found by looking inside: only a
notebook with answer cells of the assignment is a candidate, one with answers goes before one
without, the latest goes before earlier ones. Whatever is not taken is listed with the reason, and
what fits no student, or several, is left alone: nothing is guessed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from course_lib.grading.checking import RELEASED
from course_lib.grading.graft import Unreadable, graft
from course_lib.grading.intake import BY_PROGRAM, OTHER, Found, files_in, is_zip, read_notebook
from course_lib.grading.roster import SAFE_ID, CollectError, read_roster, whose

__all__ = ["SAFE_ID", "CollectError", "collect", "files_in", "read_roster", "whose", "write_json"]

# Files of one folder that was cloned or unpacked: their times say nothing about their order.
AT_ONCE = timedelta(minutes=1)
SLACK = timedelta(minutes=10)  # between the clock of a student and that of the platform
ARCHIVE = re.compile(r"\.(tar|tgz|gz|bz2|xz|7z|rar|tar\.\w+)$", re.I)


@dataclass(frozen=True)
class Candidate:
    """A file that may count for a student; ``answered`` cells, and the record to write.

    ``notebook`` is the file in which the record's notebook waits.
    """

    found: Found
    by_platform: bool
    answered: int
    record: dict[str, Any]
    notebook: Path = Path()

    @property
    def worth(self) -> tuple[bool, bool, bool]:
        """Whose word named the student, whether it can be read, whether it holds an answer."""
        return self.by_platform, not self.record["problem"], self.answered > 0


class Notes:
    """Lines about what was not taken; of files that are alike only the first is named."""

    def __init__(self) -> None:
        self.alike: dict[tuple[str, str], list[str]] = defaultdict(list)

    def add(self, path: PurePosixPath, reason: str, group: str = "") -> None:
        self.alike[group or str(path), reason].append(str(path))

    def lines(self) -> list[str]:
        return [
            printable(f"{paths[0]}{f' and {len(paths) - 1} more' if paths[1:] else ''}: {reason}")
            for (_, reason), paths in self.alike.items()
        ]


def printable(text: object) -> str:
    r"""Text that cannot act on the terminal which shows it.

    >>> printable("a\x1b[2Jb\u202e")
    'a\\x1b[2Jb\\u202e'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def collect(
    source: Path,
    roster: list[dict[str, str]],
    assignment: str,
    folder: Path,
    released: dict[str, Any] | None = None,
) -> tuple[list[str], list[str]]:
    """Write ``folder/ID.json`` for every student who handed in something to read.

    Parameters
    ----------
    assignment : for example "01_behaviour"
    released : its notebook as students received it; by default the one in the package

    Returns
    -------
    (ids found in this source, lines about everything that was not taken)

    Raises
    ------
    CollectError : the source is neither a folder nor a zip file, or there is no such assignment
    """
    if released is None:
        path = RELEASED / f"{assignment}.ipynb"
        if not path.is_file():
            raise CollectError(f"There is no assignment {assignment}.")
        released = json.loads(path.read_text("utf-8"))
    notes, candidates = Notes(), defaultdict(list)
    with tempfile.TemporaryDirectory() as kept:  # all at once may be more than memory holds
        for number, found in enumerate(files_in(source)):
            if one := _candidate(found, roster, assignment, released, notes):
                path = Path(kept, str(number))
                path.write_text(json.dumps(one.record.pop("notebook")), "utf-8")
                candidates[one.record["student"]].append(replace(one, notebook=path))
        for student, several in candidates.items():
            chosen = _chosen(several, assignment)
            for other in several:
                if other is not chosen and not other.record["problem"]:
                    told = f"{student} handed in several; {_why(other, chosen)}"
                    notes.add(other.found.path, told)
            _keep(folder / f"{student}.json", chosen, notes)
    lacking = [row["id"] for row in roster if not (folder / f"{row['id']}.json").is_file()]
    return sorted(candidates), notes.lines() + [f"{id}: nothing handed in" for id in lacking]


def _candidate(
    found: Found, roster: list[dict[str, str]], assignment: str, released: dict, notes: Notes
) -> Candidate | None:
    students, claimed = whose(found.platform, roster, assignment), found.claim.get("student")
    by_platform = bool(students)
    if not students:  # inside a bundle nothing names a student but its own record
        students = [row["id"] for row in roster if row["id"] == claimed]
    try:
        told = found.problem
        (book, problem), answered = (None, told) if told else read_notebook(found.data), 0
        if book is not None:
            answered, problem = _answered(released, book)
    except Exception as error:  # whatever we did not think of must not end the run
        notes.add(found.path, f"a fault of ours, please report it: {type(error).__name__}: {error}")
        return None
    group = students[0] if len(students) == 1 else str(found.platform.parent)
    if reason := _no_hand_in(found, problem, assignment, book is not None):
        notes.add(found.path, reason, group)
    elif len(students) != 1:
        told = f"fits {', '.join(students)}" if students else "fits nobody of the roster"
        told += "; if a platform made this zip file, collect it by itself" * is_zip(found.platform)
        notes.add(found.path, told, group * is_zip(found.platform))
    else:
        if problem:
            notes.add(found.path, problem)
        elif found.path.suffix.casefold() != ".ipynb":
            notes.add(found.path, "read although its name does not end in .ipynb")
        record = {"student": students[0], "file": printable(found.path)}
        record |= {"received": found.time.isoformat(), "problem": problem, "answered": answered}
        record["sha256"] = hashlib.sha256(found.data).hexdigest()
        record["notebook"] = None if problem else book
        record["flags"] = _flags(found, record, assignment, by_platform)
        return Candidate(replace(found, data=b""), by_platform, answered, record)
    return None


def _answered(released: dict[str, Any], book: dict[str, Any]) -> tuple[int, str]:
    """How many answer cells were answered, or why it is no candidate."""
    try:
        grafted = graft(released, book)
    except Unreadable as error:
        return 0, str(error)
    marks = [cell["metadata"].get("nbgrader", {}) for cell in released["cells"]]
    return sum(bool(mark.get("solution")) for mark in marks) - len(grafted.unanswered), ""


def _no_hand_in(found: Found, problem: str, assignment: str, is_book: bool) -> str:
    """Why a file is only listed: nobody would take it for this assignment; "" otherwise."""
    name = found.path.name.casefold()
    named = assignment.casefold() in name
    if found.ours:
        return f"{problem} Mend that and collect again"
    if problem == OTHER and (named or ARCHIVE.search(name)):
        return f"{OTHER} ({name.partition('.')[2]}): ask for the notebook"
    if problem in (OTHER, BY_PROGRAM):
        return problem
    if problem and not named and (is_book or re.match(r"\d\d_\w", name)):
        return f"not a notebook of {assignment}: {problem}"
    return ""


def _chosen(several: list[Candidate], assignment: str) -> Candidate:
    """The latest of the best; of files that came at once the most complete, then the usual name."""
    best = max(one.worth for one in several)
    among = [one for one in several if one.worth == best]
    latest = max(one.found.time for one in among)

    def order(one: Candidate) -> tuple:
        path = one.found.path
        usual = path.stem == assignment, path.parent.name == assignment, -len(path.parts)
        return one.answered, *usual, one.found.time, str(path)

    return max((one for one in among if latest - one.found.time <= AT_ONCE), key=order)


def _why(other: Candidate, chosen: Candidate) -> str:
    if other.worth != chosen.worth:
        names = ("named by the platform", "that can be read", "with answers")
        pairs = zip(names, other.worth, chosen.worth, strict=True)
        return f"the one {next(n for n, a, b in pairs if a != b)} counts"
    if chosen.found.time - other.found.time > AT_ONCE:
        return "the latest counts"
    return f"of those that came at once {printable(chosen.found.path.name)} counts"


def _flags(found: Found, record: dict, assignment: str, by_platform: bool) -> list[str]:
    """Where the record in a bundle contradicts the platform, or its time cannot be right."""
    claim, flags, student = found.claim, [], record["student"]
    if not by_platform:
        flags.append("only the submission record names the student")
    if (said := claim.get("student", student)) != student:
        flags.append(f"the submission record names {printable(said)[:80]}")
    if (unit := claim.get("unit", assignment[:2])) != assignment[:2]:
        flags.append(f"the submission record says unit {printable(unit)[:20]}")
    if not record["problem"] and claim.get("sha256", record["sha256"]) != record["sha256"]:
        flags.append("the notebook is not the one in the submission record")
    now = datetime.now().astimezone()
    try:
        made = datetime.fromisoformat(claim.get("made", "")).astimezone()
    except (ValueError, OverflowError, OSError):
        made = found.time
    if made > found.time + SLACK:
        flags.append(f"packed at {made.isoformat()} by its own clock, after it was received")
    if found.time > now + SLACK or found.time.year <= 1980:
        flags.append(f"the time of the file, {found.time.isoformat()}, cannot be right")
    return flags


def _keep(path: Path, chosen: Candidate, notes: Notes) -> None:
    """Write a record, unless an earlier run found a later or better one."""
    record = chosen.record
    try:
        before = json.loads(path.read_text("utf-8"))
        ranks = [
            (not r["problem"], r.get("answered", 1) > 0, datetime.fromisoformat(r["received"]))
            for r in (record, before)
        ]
        older = before["sha256"] != record["sha256"] and ranks[0] < ranks[1]
    except (OSError, ValueError, KeyError, TypeError):  # none, or not one of ours
        older = False
    if older:
        kept = f"{before['file']}, received {before['received']}"
        notes.add(chosen.found.path, f"not taken: what was collected before is better or later "
                  f"({kept}); delete {path} to take this one")  # fmt: skip
    else:
        write_json(path, record | {"notebook": json.loads(chosen.notebook.read_text("utf-8"))})


def private_folder(folder: Path) -> Path:
    """A folder for the eyes of its owner alone, made if it is not there, parents alike."""
    for parent in (*reversed(folder.parents), folder):
        if not parent.is_dir():
            parent.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_private(path: Path, write: Callable[[Any], object], newline: str | None = None) -> None:
    """Replace a file in one step: whoever reads it sees the old one or the new one, whole.

    Only its owner can read it. A process that is killed leaves the old one.
    """
    private_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline=newline) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON without indentation, which can be longer than what it indents."""
    write_private(path, lambda file: json.dump(value, file, ensure_ascii=True))
