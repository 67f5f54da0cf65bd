"""Notebooks and zip files as students hand them in, for the tests of what comes in."""

from __future__ import annotations

import copy
import io
import json
import zipfile

from course_lib.grading.checking import RELEASED

NAME = "01_behaviour"
STUBS = json.loads((RELEASED / f"{NAME}.ipynb").read_text("utf-8"))
NOON = (2026, 11, 20, 12, 0, 0)


def book(text: str = "x = 1", answered: int = 1, **more) -> bytes:
    """The released notebook with ``text`` in so many answer cells."""
    made = copy.deepcopy(STUBS) | more
    cells = [c for c in made["cells"] if c["metadata"].get("nbgrader", {}).get("solution")]
    for cell in cells[:answered]:
        cell["source"] = text
    return json.dumps(made).encode()


def zipped(files: dict[str, bytes], time: tuple = NOON, **modes: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, time)
            info.external_attr = modes.get(name.split(".")[0], 0) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
