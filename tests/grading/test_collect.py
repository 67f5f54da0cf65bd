"""What was handed in is read as data, found under the right student, and never followed or run."""

from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from pathlib import PurePosixPath

import pytest

from course_lib.grading import collect as collecting
from course_lib.grading.collect import CollectError, collect, files_in, read_roster, whose

NAME = "01_behaviour"
BOOK = json.dumps({"cells": [], "nbformat": 4}).encode()
ROSTER = [
    {"id": "ada", "name": "Ada Lovelace", "number": "4711"},
    {"id": "bob", "name": "Bob Ross", "number": "4712"},
    {"id": "ada2", "name": "Ada de la Vega", "number": "4713"},
]


def zipped(files: dict[str, bytes], **attributes: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, (2026, 11, 20, 12, 0, 0))
            info.external_attr = attributes.get(name.split(".")[0], 0) << 16
            archive.writestr(info, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def taken(source, tmp_path):
    ids, notes = collect(source, ROSTER, NAME, tmp_path / "out")
    paths = (tmp_path / "out").glob("*.json")
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}, notes


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("ada/01_behaviour.ipynb", ["ada"]),
        ("submitted/bob/01_behaviour/01_behaviour.ipynb", ["bob"]),
        ("Ada Lovelace_99_assignsubmission_file_/01_behaviour.ipynb", ["ada"]),
        ("lovelaceada_99_1234_01_behaviour.ipynb", ["ada"]),
        ("Ross Bob_99_x/01_behaviour.ipynb", ["bob"]),
        ("anything_4713_x/01_behaviour.ipynb", ["ada2"]),
        ("vegaadadela_1_2_01_behaviour.ipynb", ["ada2"]),
        ("01_behaviour.ipynb", []),
        ("ada/bob/01_behaviour.ipynb", ["ada", "bob"]),
        ("adam/01_behaviour.ipynb", []),
        ("../ADA/01_behaviour.ipynb", ["ada"]),
    ],
)
def test_whose_file_it_is(path, expected):
    assert whose(PurePosixPath(path), ROSTER) == expected


def test_folder_with_every_kind_of_entry(tmp_path):
    source = tmp_path / "in"
    for student in ("ada", "bob", "ada2", "eve"):
        (source / student).mkdir(parents=True)
    (source / "ada" / f"{NAME}.ipynb").write_bytes(BOOK)
    (source / "ada" / "side.py").write_text("raise SystemExit")
    secret = tmp_path / "secret"
    secret.write_text('{"secret": 1}')
    (source / "bob" / f"{NAME}.ipynb").symlink_to(secret)
    os.mkfifo(source / "ada2" / f"{NAME}.ipynb")
    (source / "eve" / f"{NAME}.ipynb").write_bytes(BOOK)
    (source / "ada" / "loop").symlink_to(source)
    got, notes = taken(source, tmp_path)
    assert got["ada"]["notebook"] == json.loads(BOOK) and got["ada"]["problem"] == ""
    assert {got[s]["problem"] for s in ("bob", "ada2")} == {"It is a link or a device, not a file."}
    assert "secret" not in json.dumps(got) and sorted(got) == ["ada", "ada2", "bob"]
    assert notes == [f"eve/{NAME}.ipynb: fits nobody of the roster"]


def test_zip_of_a_platform_with_bundles_inside(tmp_path):
    bundle = zipped({f"{NAME}.ipynb": BOOK, "submission.json": b"{}"})
    link = stat.S_IFLNK | 0o777
    data = zipped(
        {
            f"Ada Lovelace_1_file_/{NAME}-20261120.zip": bundle,
            f"Bob Ross_2_file_/{NAME} (1).ipynb": BOOK,
            f"../../../etc/{NAME}.ipynb": BOOK,
            "ada2.ipynb": b"/etc/passwd",
        },
        ada2=link,
    )
    path = tmp_path / "all.zip"
    path.write_bytes(data)
    got, notes = taken(path, tmp_path)
    assert got["ada"]["notebook"] == got["bob"]["notebook"] == json.loads(BOOK)
    assert got["ada"]["file"].endswith(f"{NAME}-20261120.zip/{NAME}.ipynb")
    assert got["bob"]["received"].startswith("2026-11-20T12:00:00")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["ada.json", "bob.json"]
    assert f"../../../etc/{NAME}.ipynb: fits nobody of the roster" in notes


BAD_FILES = {
    "empty": (b"", "The file is empty."),
    "cut": (b'{"cells": [', "not JSON"),
    "binary": (bytes(range(256)), "not JSON"),
    "deep": (b"[" * 200_000, "not JSON"),
    "long number": (b"1" * 5000, "not JSON"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_damaged_files_are_kept_with_a_reason(tmp_path, name):
    data, reason = BAD_FILES[name]
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / f"{NAME}.ipynb").write_bytes(data)
    got, _ = taken(tmp_path / "in", tmp_path)
    assert got["ada"]["notebook"] is None and reason in got["ada"]["problem"]


def test_sizes_are_limited_also_of_what_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "MAX_FILE", 100_000)
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "bob").mkdir()
    (tmp_path / "in" / "ada" / f"{NAME}.ipynb").write_bytes(b" " * 100_001)
    bomb = zipped({f"{NAME}.ipynb": b" " * 50_000_000})
    assert len(bomb) < 100_000
    (tmp_path / "in" / "bob" / f"{NAME}.zip").write_bytes(bomb)
    got, _ = taken(tmp_path / "in", tmp_path)
    assert all("larger than" in got[student]["problem"] for student in ("ada", "bob"))


def test_zip_in_zip_is_opened_once_only(tmp_path):
    inner = zipped({f"ada/{NAME}.ipynb": BOOK})
    path = tmp_path / "all.zip"
    path.write_bytes(zipped({"bob/a.zip": zipped({f"ada/{NAME}.zip": inner})}))
    assert list(files_in(path)) == []
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / f"{NAME}.zip").write_bytes(b"PK\3\4 damaged")
    [found] = files_in(tmp_path / "in")
    assert found.problem == "It is a damaged zip file."


def test_the_latest_of_several_counts_and_a_readable_one_goes_first(tmp_path):
    folder = tmp_path / "in" / "ada"
    folder.mkdir(parents=True)
    for n, (name, text) in enumerate([("a", "[1]"), ("b", "[2]"), ("c", "[3]")]):
        path = folder / f"{NAME}-{name}.ipynb"
        path.write_text(text)
        os.utime(path, (1_700_000_000 + [5, 9, 7][n],) * 2)
    (folder / f"{NAME}-d.ipynb").symlink_to(folder / f"{NAME}-a.ipynb")
    got, notes = taken(tmp_path / "in", tmp_path)
    assert got["ada"]["notebook"] == [2]
    assert sum("several" in note for note in notes) == 3


def test_another_notebook_does_not_count(tmp_path):
    (tmp_path / "in" / "ada").mkdir(parents=True)
    (tmp_path / "in" / "ada" / "02_attribution.ipynb").write_bytes(BOOK)
    got, notes = taken(tmp_path / "in", tmp_path)
    assert got == {} and "not a notebook of" in notes[0] and "ada: nothing handed in" in notes


@pytest.mark.parametrize(
    "text",
    ["id,name\n", "name\nAda\n", "id\n../x\n", "id\n.x\n", "id\nada\nADA\n", "id\n\n \n", "\x00"],
)
def test_roster_that_cannot_be_used(tmp_path, text):
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(CollectError):
        read_roster(tmp_path / "roster.csv")


def test_roster_of_a_spreadsheet(tmp_path):
    (tmp_path / "roster.csv").write_text("\ufeffid,name,number\nada, Ada Lovelace ,4711\n", "utf-8")
    assert read_roster(tmp_path / "roster.csv") == ROSTER[:1]
    with pytest.raises(CollectError):
        list(files_in(tmp_path / "roster.csv"))


def test_a_write_is_whole_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a" / "x.json"
    collecting.write_json(path, {"a": 1})
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        collecting.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
