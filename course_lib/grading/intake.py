"""Every file of a folder or of a platform's zip file, read as data and never unpacked or followed.

What a student packed is hostile until shown otherwise: names, times, sizes and counts in it are the
student's. So all of it is read up to a limit, and it has the time and the owner of its bundle.
"""

from __future__ import annotations

import errno
import io
import json
import os
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from course_lib.grading.graft import MAX_SOURCE
from course_lib.grading.roster import CollectError

MAX_FILE = 20 * 2**20
MAX_BUNDLE = 10 * MAX_FILE  # a folder of the course with its models fits in
MAX_UNPACKED = 5 * MAX_FILE  # of all notebooks in a bundle together
MAX_TABLE = 4 * 2**20  # of a bundle's table of contents; it is held in memory
MAX_VALUES = 500_000  # in a notebook's JSON: each costs up to 400 bytes
MAX_CELLS = 5_000
MAX_TEXT = 4_000_000  # characters in all cells
MAX_NAME = 200  # characters of an id; ours are short
CHUNK = 2**20
RECORD = "submission.json"
PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # the others unpack for hours
PROGRAMS = ("__MACOSX", ".ipynb_checkpoints", ".git")
LINK = "It is a link or a device, not a file."
OTHER = "neither a notebook nor a zip file"
BY_PROGRAM = "written by a program, not by a person"


@dataclass(frozen=True)
class Found:
    """One file that was handed in, and its bytes or why there are none.

    ``platform`` is the part of ``path`` that the platform wrote, ``time`` the platform's time, and
    ``claim`` what the submission record beside the file says. ``ours``: a fault of this machine.
    """

    path: PurePosixPath
    time: datetime
    data: bytes = b""
    problem: str = ""
    platform: PurePosixPath = PurePosixPath()
    claim: dict[str, Any] = field(default_factory=dict)
    ours: bool = False


def read_notebook(data: bytes) -> tuple[dict[str, Any] | None, str]:
    """What of a notebook can count, as plain data of little depth, or why it cannot be read.

    This one function decides for `course submit`, `course check` and `course collect`. It keeps
    types, ids, grade ids and sources of cells; outputs and other metadata never matter.

    >>> read_notebook(b'{"cells": [')[1]
    'The file is not JSON (JSONDecodeError): save it in JupyterLab again.'
    """
    if not data:
        return None, "The file is empty."
    if len(data) > MAX_FILE:
        return None, f"It is larger than {MAX_FILE // 2**20} MiB: clear its outputs and save it."
    if sum(map(data.count, (b"[", b"{", b","))) > MAX_VALUES:
        return None, f"It holds more than {MAX_VALUES:,} values: clear its outputs and save it."
    try:
        book = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return None, "The file is not JSON in UTF-8: save it in JupyterLab again."
    except RecursionError:
        return None, "The file is not JSON that can be read: brackets are nested too deeply."
    except ValueError as error:
        told = type(error).__name__
        return None, f"The file is not JSON ({told}): save it in JupyterLab again."
    cells = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(cells, list):
        return None, "The file is JSON, but it is not a notebook."
    if len(cells) > MAX_CELLS:
        return None, f"It has more than {MAX_CELLS:,} cells."
    kept = [_kept(cell) for cell in cells if isinstance(cell, dict)]
    if sum(len(cell.get("source", "")) for cell in kept) > MAX_TEXT:
        return None, f"Its cells hold more than {MAX_TEXT:,} characters."
    return {"cells": kept}, ""


def _kept(cell: dict[str, Any]) -> dict[str, Any]:
    metadata, source = cell.get("metadata"), cell.get("source")
    mark = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    mark = _names(mark, "grade_id") if isinstance(mark, dict) else {}
    kept = _names(cell, "cell_type", "id") | {"metadata": {"nbgrader": mark} if mark else {}}
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if isinstance(source, str) and len(source) <= MAX_SOURCE:
        kept["source"] = _clean(source)
    return kept


def _names(given: dict[str, Any], *keys: str) -> dict[str, str]:
    texts = {key: given[key] for key in keys if isinstance(given.get(key), str)}
    return {key: _clean(text) for key, text in texts.items() if len(text) <= MAX_NAME}


def _clean(value: str) -> str:
    """Text without halves of characters, which JSON can write and UTF-8 cannot."""
    if value.isascii():
        return value
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def files_in(source: Path) -> Iterator[Found]:
    """Every file below a folder or inside a platform's zip file, in the order of its path.

    Zip files in it are a student's bundles: they are opened once, a zip inside them is not.
    """
    if source.is_dir():
        yield from _files_in_folder(source)
        return
    try:
        archive = zipfile.ZipFile(source)
    except Exception as error:  # zipfile raises a dozen kinds for damage
        told = (
            f"it cannot be opened ({type(error).__name__})" if source.exists() else "is not there"
        )
        raise CollectError(f"{source} is neither a folder nor a zip file: {told}.") from None
    with archive:
        for info in archive.infolist():
            if not info.filename.endswith("/"):
                yield from _entry_of_platform(archive, info)


def _files_in_folder(source: Path) -> Iterator[Found]:
    left = [source]
    while left:
        folder, inside = left.pop(), []
        here = PurePosixPath(folder.relative_to(source).as_posix())
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield _failed(here, error, _EPOCH, here, "")
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                inside.append(Path(entry.path))
            else:
                yield from _file_in_folder(entry, here / entry.name)
        left += reversed(inside)


def _failed(
    path: PurePosixPath, error: Exception, time: datetime, platform: PurePosixPath, told: str
) -> Found:
    """A full disk and the like are our fault; whatever else zipfile raises is in the file."""
    ours = isinstance(error, MemoryError)
    ours |= isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
    problem = f"{'This machine could not read it' if ours else told} ({type(error).__name__})."
    return Found(path, time, problem=problem, platform=platform, ours=ours)


_EPOCH = datetime.fromtimestamp(0).astimezone()


def _file_in_folder(entry: os.DirEntry, path: PurePosixPath) -> Iterator[Found]:
    try:
        state = entry.stat(follow_symlinks=False)
        time = _time(lambda: datetime.fromtimestamp(state.st_mtime))
        if reason := _passed_over(path):
            yield Found(path, time, problem=reason, platform=path)
        elif not stat.S_ISREG(state.st_mode):
            yield Found(path, time, problem=LINK, platform=path)
        else:
            # Between the look above and this a file may have been replaced: ask the kernel.
            handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb", buffering=0) as file:
                yield from _opened(path, time, file)
    except OSError as error:
        yield _failed(path, error, _EPOCH, path, "")


def _time(read: Callable[[], datetime]) -> datetime:
    """A time of this machine's zone; long ago if it is none."""
    try:
        return read().astimezone()
    except (ValueError, OverflowError, OSError):
        return _EPOCH


def _entry_of_platform(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[Found]:
    path, time = _name_of(info), _time(lambda: datetime(*info.date_time))
    if reason := _passed_over(path) or _unreadable(info):
        yield Found(path, time, problem=reason, platform=path)
        return
    try:
        with tempfile.TemporaryFile(buffering=0) as copy:
            with archive.open(info) as packed:
                most = MAX_BUNDLE if is_zip(path) else MAX_FILE
                for piece in _pieces(packed, most + 1):
                    copy.write(piece)
            copy.seek(0)
            yield from _opened(path, time, copy)
    except Exception as error:
        yield _failed(path, error, time, path, "It cannot be unpacked")


def _name_of(info: zipfile.ZipInfo) -> PurePosixPath:
    """Names without the flag for UTF-8 are UTF-8 all the same on a Mac, and cp437 elsewhere."""
    name = info.filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return PurePosixPath(name.replace("\\", "/"))


def _unreadable(info: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return LINK
    if info.flag_bits & 1:
        return "It is encrypted: ask for it without a password."
    return "" if info.compress_type in PACKED else "It is packed in a way that is not read here."


def _passed_over(path: PurePosixPath) -> str:
    """Why a file is not even opened; "" for notebooks and zip files, however they are spelled."""
    if path.name.startswith("._") or any(part in PROGRAMS for part in path.parts):
        return BY_PROGRAM
    if is_zip(path) or is_notebook(path):
        return ""
    return OTHER


def is_zip(path: PurePosixPath) -> bool:
    return path.suffix.casefold() == ".zip"


def is_notebook(path: PurePosixPath) -> bool:
    """By its name; mail programs and browsers append to it: .ipynb.txt, .ipynb.json."""
    return ".ipynb" in path.name.casefold()


def _pieces(file: Any, most: int) -> Iterator[bytes]:
    while most > 0 and (piece := file.read(min(CHUNK, most))):
        most -= len(piece)
        yield piece


def _opened(path: PurePosixPath, time: datetime, file: Any) -> Iterator[Found]:
    """The file itself, or the files in the bundle that it is."""
    if not is_zip(path):
        yield Found(path, time, b"".join(_pieces(file, MAX_FILE + 1)), platform=path)
    elif os.fstat(file.fileno()).st_size > MAX_BUNDLE:
        problem = f"It is larger than {MAX_BUNDLE // 2**20} MiB."
        yield Found(path, time, problem=problem, platform=path)
    else:
        try:
            yield from _files_in_bundle(_ShortReads(file), path, time)
        except Exception as error:  # zipfile raises a dozen kinds for damage
            yield _failed(path, error, time, path, "It is a damaged zip file")


class _ShortReads(io.BufferedReader):
    """A file of which nobody gets much at once: a table of contents is held in memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > MAX_TABLE:
            raise zipfile.BadZipFile("its table of contents is too large")
        return super().read(MAX_TABLE if size is None or size < 0 else size)


def _files_in_bundle(file: BinaryIO, bundle: PurePosixPath, time: datetime) -> Iterator[Found]:
    left = MAX_UNPACKED
    with zipfile.ZipFile(file) as archive:
        entries = [(_name_of(i), i) for i in archive.infolist() if not i.filename.endswith("/")]
        claim = _claim(archive, entries)
        if all(inside.name == RECORD for inside, _ in entries):
            problem = "There is no notebook in this zip file."
            yield Found(bundle, time, problem=problem, platform=bundle, claim=claim)
        for inside, info in entries:
            path, problem, data = bundle / inside, _passed_over(inside), b""
            if inside.name == RECORD:
                continue
            if not problem and is_zip(inside):
                problem = "It is a zip inside a zip: ask for the notebook itself."
            if problem := problem or _unreadable(info):
                yield Found(path, time, problem=problem, platform=bundle)
                continue
            try:
                with archive.open(info) as packed:
                    data = b"".join(_pieces(packed, min(MAX_FILE + 1, left)))
            except Exception as error:
                yield _failed(path, error, time, bundle, "It cannot be unpacked")
                continue
            if not (left := left - len(data)):
                problem = f"The zip holds notebooks of more than {MAX_UNPACKED // 2**20} MiB."
            yield Found(path, time, b"" if problem else data, problem, bundle, claim)


def _claim(archive: zipfile.ZipFile, entries: list[tuple]) -> dict[str, Any]:
    """What the record of `course submit` in a bundle says: text values alone."""
    records = [(len(path.parts), i) for i, (path, _) in enumerate(entries) if path.name == RECORD]
    info = entries[min(records)[1]][1] if records else None
    if info is None or info.file_size > CHUNK or _unreadable(info):
        return {}
    try:
        said = json.loads(archive.read(info))
    except Exception:  # a damaged record says nothing; the notebook still counts
        return {}
    said = said if isinstance(said, dict) else {}
    return {key: text for key, text in said.items() if isinstance(text, str)}
