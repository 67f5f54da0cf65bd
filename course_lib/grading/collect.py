"""Take in what students handed in: a folder or the zip file of a learning platform.

Nothing of a submission is run or unpacked here. Only regular files are read, each up to a size,
links are never followed, and what is kept is the notebook parsed as JSON under the student's id of
the roster. Files that fit no student, or several, are listed and left alone: nothing is guessed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

MAX_FILE = 20 * 2**20
MAX_FILES = 20_000
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class CollectError(ValueError):
    """The roster or the source cannot be used; the message says why."""


@dataclass(frozen=True)
class Found:
    """One file that was handed in: where, when, and its bytes or why it was not read."""

    path: PurePosixPath
    time: datetime
    data: bytes = b""
    problem: str = ""


def read_roster(path: Path) -> list[dict[str, str]]:
    """The students of ``roster.csv``, which has the columns ``id`` and, best of all, ``name``.

    Any further column, such as the number a learning platform gives a student, helps to find
    whose file it is.

    Raises
    ------
    CollectError : no such file, no ids, an id that cannot be a file name, or one that occurs twice
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [
                {k: (v or "").strip() for k, v in row.items() if k} for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CollectError(f"The roster {path} cannot be read: {error}") from None
    ids = [row.get("id", "") for row in rows]
    wrong = [id for id in ids if not SAFE_ID.fullmatch(id)]
    folded = [id.casefold() for id in ids]
    twice = sorted({id for id in ids if folded.count(id.casefold()) > 1})
    if not rows or wrong or twice:
        raise CollectError(f"Roster {path}: no students, or unusable ids {wrong}, or twice {twice}")
    return rows


def files_in(source: Path) -> Iterator[Found]:
    """Every notebook and bundle below a folder or inside a zip file."""
    if source.is_dir():
        yield from _files_in_folder(source, PurePosixPath())
    elif zipfile.is_zipfile(source):
        yield from _files_in_zip(source, PurePosixPath())
    else:
        raise CollectError(f"{source} is neither a folder nor a zip file.")


def _files_in_folder(folder: Path, inside: PurePosixPath) -> Iterator[Found]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = inside / entry.name
        state = entry.stat(follow_symlinks=False)
        time = datetime.fromtimestamp(state.st_mtime).astimezone()
        if stat.S_ISDIR(state.st_mode):
            yield from _files_in_folder(Path(entry.path), path)
        elif path.suffix not in (".ipynb", ".zip"):
            continue
        elif not stat.S_ISREG(state.st_mode):
            yield Found(path, time, problem="It is a link or a device, not a file.")
        else:
            # Between the look above and this a file may have been replaced: ask the kernel.
            handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                yield from _opened(path, time, file.read(MAX_FILE + 1))


def _files_in_zip(source: Path | io.BytesIO, inside: PurePosixPath) -> Iterator[Found]:
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist()[:MAX_FILES]:
            path = inside / info.filename
            kind = stat.S_IFMT(info.external_attr >> 16)
            if info.is_dir() or path.suffix not in (".ipynb", ".zip"):
                continue
            try:
                time = datetime(*info.date_time).astimezone()
            except ValueError:
                time = datetime.fromtimestamp(0).astimezone()
            if kind not in (0, stat.S_IFREG):
                yield Found(path, time, problem="It is a link or a device, not a file.")
                continue
            try:
                with archive.open(info) as file:
                    data = file.read(MAX_FILE + 1)
            except Exception as error:  # damaged, encrypted, or packed in an unknown way
                yield Found(path, time, problem=f"It cannot be unpacked ({type(error).__name__}).")
                continue
            yield from _opened(path, time, data, nested=isinstance(source, io.BytesIO))


def _opened(path: PurePosixPath, time: datetime, data: bytes, nested: bool = False) -> Iterator:
    """The file itself, or, once, the files in the zip that it is."""
    if len(data) > MAX_FILE:
        yield Found(path, time, problem=f"It is larger than {MAX_FILE // 2**20} MiB.")
    elif path.suffix == ".ipynb":
        yield Found(path, time, data)
    elif not nested:
        try:
            yield from _files_in_zip(io.BytesIO(data), path)
        except zipfile.BadZipFile:
            yield Found(path, time, problem="It is a damaged zip file.")


def whose(path: PurePosixPath, roster: Iterable[dict[str, str]]) -> list[str]:
    """The ids of all students whom the parts of a path can mean; exactly one is a match.

    A folder with a student's id goes before names and numbers, which platforms put between
    underscores: ``Ada Lovelace_4711_assignsubmission_file_`` or ``lovelaceada_4711_...``.
    """
    roster = list(roster)
    parts = [_folded(part) for part in path.parts]
    exact = [row["id"] for row in roster if _folded(row["id"]) in parts]
    if exact:
        return exact
    pieces = {_folded(piece) for part in path.parts for piece in re.split(r"[_.]", part)} - {""}
    found = []
    for row in roster:
        words = row.get("name", "").split()
        names = {_folded("".join(words)), _folded("".join(words[-1:] + words[:-1]))}
        others = {_folded(v) for k, v in row.items() if k != "name"}
        if pieces & ((names | others) - {""}):
            found.append(row["id"])
    return found


def _folded(text: str) -> str:
    return re.sub(r"[\s,_-]", "", text).casefold()


def collect(
    source: Path, roster: list[dict[str, str]], assignment: str, folder: Path
) -> tuple[list[str], list[str]]:
    """Write ``folder/ID.json`` for every student with a notebook; the latest one counts.

    Returns
    -------
    (ids collected, lines about everything that was not)
    """
    chosen: dict[str, Found] = {}
    notes = []
    for found in files_in(source):
        students = whose(found.path, roster)
        if len(students) != 1:
            told = f"fits {', '.join(students)}" if students else "fits nobody of the roster"
            notes.append(f"{found.path}: {told}")
        # Browsers and platforms add to a name: "01_behaviour (1).ipynb", "01_behaviour-2.ipynb".
        elif found.path.suffix == ".ipynb" and assignment not in found.path.name:
            notes.append(f"{found.path}: not a notebook of {assignment}")
        else:
            before = chosen.get(students[0])
            if before is None or (not found.problem, found.time) >= (
                not before.problem,
                before.time,
            ):
                chosen[students[0]] = found
            if before is not None:
                notes.append(f"{found.path}: {students[0]} handed in several; the latest counts")
    for student, found in chosen.items():
        write_json(folder / f"{student}.json", _record(student, found))
    missing = [row["id"] for row in roster if row["id"] not in chosen]
    return sorted(chosen), notes + [f"{id}: nothing handed in" for id in missing]


def _record(student: str, found: Found) -> dict[str, Any]:
    record = {"student": student, "file": str(found.path), "received": found.time.isoformat()}
    record |= {"sha256": hashlib.sha256(found.data).hexdigest(), "notebook": None}
    record["problem"] = found.problem
    if not found.problem:
        try:
            record["notebook"] = json.loads(found.data.decode("utf-8-sig"))
            json.dumps(record["notebook"])
        except (ValueError, RecursionError) as error:
            record["notebook"] = None
            record["problem"] = f"The file is not JSON ({type(error).__name__})."
            record["problem"] = "The file is empty." if not found.data else record["problem"]
    return record


def write_json(path: Path, value: Any) -> None:
    """Replace a file in one step: whoever reads it sees the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=True)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
