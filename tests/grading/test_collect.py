"""What was handed in is read as data, found by what is in it, and never followed or run."""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import time
import tracemalloc
import zipfile
from datetime import datetime

import pytest

from course_lib import cli
from course_lib.grading import collect as collecting
from course_lib.grading import handing, intake
from course_lib.grading.collect import CollectError, collect, files_in
from course_lib.grading.graft import graft
from course_lib.grading.intake import read_notebook
from tests.grading.books import NAME, STUBS, book, zipped

ROSTER = [
    {"id": "ada", "name": "Ada Lovelace", "number": "4711"},
    {"id": "bob", "name": "Bob Ross", "number": "4712"},
    {"id": "ada2", "name": "Ada de la Vega", "number": "4713"},
]
APPLE = bytes([0, 5, 22, 7, 0, 2, 0, 0]) + b"Mac OS X        " + bytes(60)


def text_in(record: dict) -> str:
    """What stands in the first answer cell of a record."""
    cells = record["notebook"]["cells"]
    return next(c["source"] for c in cells if c.get("id") == "answer-01-1")


BOOK = book()
WALK = json.dumps({"cells": [{"cell_type": "code", "source": "1", "metadata": {}}]}).encode()


def taken(source, tmp_path, roster=ROSTER):
    """Records and notes; a source may be the bytes of a platform's zip file."""
    if isinstance(source, bytes):
        (tmp_path / "all.zip").write_bytes(source)
        source = tmp_path / "all.zip"
    ids, notes = collect(source, roster, NAME, tmp_path / "out")
    paths = (tmp_path / "out").glob("*.json")
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}, notes


def put(folder, files: dict[str, bytes], when: float = 1_700_000_000):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (when, when))
    return folder


def test_folder_with_every_kind_of_entry(tmp_path):
    source = put(tmp_path / "in", {f"{s}/{NAME}.ipynb": BOOK for s in ("ada", "eve")})
    put(source, {"ada/side.py": b"raise SystemExit", "bob/x.txt": b"", "ada2/x.txt": b""})
    secret = tmp_path / "secret"
    secret.write_text('{"secret": 1}')
    (source / "bob" / f"{NAME}.ipynb").symlink_to(secret)
    os.mkfifo(source / "ada2" / f"{NAME}.ipynb")
    (source / "ada" / "loop").symlink_to(source)
    got, notes = taken(source, tmp_path)
    assert text_in(got["ada"]) == "x = 1" and got["ada"]["problem"] == ""
    assert {got[s]["problem"] for s in ("bob", "ada2")} == {"It is a link or a device, not a file."}
    assert "secret" not in json.dumps(got) and sorted(got) == ["ada", "ada2", "bob"]
    assert f"eve/{NAME}.ipynb: fits nobody of the roster" in notes
    assert "ada/loop and 1 more: neither a notebook nor a zip file" in notes


def test_zip_of_a_platform_with_bundles_inside(tmp_path):
    bundle = zipped({f"{NAME}.ipynb": BOOK, "submission.json": b"{}"})
    data = zipped(
        {
            f"Ada Lovelace_1_file_/{NAME}-20261120.zip": bundle,
            f"Bob Ross_2_file_/{NAME} (1).ipynb": BOOK,
            f"../../../etc/{NAME}.ipynb": BOOK,
            "ada2.ipynb": b"/etc/passwd",
        },
        ada2=stat.S_IFLNK | 0o777,
    )
    got, notes = taken(data, tmp_path)
    assert text_in(got["ada"]) == text_in(got["bob"]) == "x = 1"
    assert got["ada"]["file"].endswith(f"{NAME}-20261120.zip/{NAME}.ipynb")
    assert got["bob"]["received"].startswith("2026-11-20T12:00:00")
    assert got["ada2"]["problem"].startswith("It is a link")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "ada.json", "ada2.json", "bob.json"]  # fmt: skip
    assert f"../../../etc/{NAME}.ipynb: fits nobody of the roster" in notes


BAD_FILES = {
    "empty": (b"", "The file is empty."),
    "cut": (b'{"cells": [', "not JSON"),
    "binary": (bytes(range(256)), "not JSON"),
    "deep": (b"[" * 200_000, "nested too deeply"),
    "deeper": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    "long number": (b"1" * 5000, "not JSON"),
    "UTF-16": (BOOK.decode().encode("utf-16"), "not JSON in UTF-8"),
    "Latin-1": ('{"cells": ["\u00e9"]}'.encode("latin-1"), "not JSON in UTF-8"),
    "list": (b"[1, 2]", "not a notebook"),
    "cells": (b'{"cells": {}}', "not a notebook"),
    "none": (WALK, "None of the answer cells"),
    "many values": (b'{"cells": [' + b"{}," * 600_000 + b"{}]}", "more than 500,000 values"),
    "much text": (json.dumps({"cells": [{"source": "x" * 190_000}] * 30}).encode(), "characters"),
    "many cells": (b'{"cells": [' + b"{}," * 6000 + b"{}]}", "more than 5,000 cells"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_damaged_files_are_kept_with_a_reason(tmp_path, name):
    data, reason = BAD_FILES[name]
    source = put(tmp_path / "in", {f"ada/{NAME}.ipynb": data, f"bob/{NAME}.ipynb": BOOK})
    got, notes = taken(source, tmp_path)
    assert got["ada"]["notebook"] is None and reason in got["ada"]["problem"]
    assert [note for note in notes if note.startswith(f"ada/{NAME}") and reason in note]
    assert got["bob"]["problem"] == ""


@pytest.mark.parametrize("depth", [700, 900])
def test_what_is_unused_in_a_notebook_is_not_kept(tmp_path, depth):
    """A stored notebook neither nests nor grows, and its answers count."""
    deep = json.loads("[" * depth + "]" * depth)
    data = book(metadata={"x": deep}, outputs="y" * 10**6)
    got, _ = taken(put(tmp_path / "in", {f"ada/{NAME}.ipynb": data}), tmp_path)
    assert text_in(got["ada"]) == "x = 1" and got["ada"]["problem"] == ""
    stored = tmp_path / "out/ada.json"
    assert stored.stat().st_size < len(data) / 4
    assert '"metadata": {"x"' not in stored.read_text()


LONG = "\U0001f600" * 10**6
SWOLLEN = {
    "ids": {"id": LONG, "cell_type": LONG},
    "grade ids": {"metadata": {"nbgrader": {"grade_id": LONG, "solution": True}}},
    "marks": {"metadata": {"nbgrader": {f"\u20ac{n}": "\u20ac" for n in range(50_000)}}},
}


@pytest.mark.parametrize("kind", SWOLLEN)
def test_what_names_a_cell_is_short(tmp_path, kind):
    """A stored notebook would grow threefold by names alone: JSON writes 12 bytes for a smile."""
    made = json.loads(BOOK)
    made["cells"].append({"cell_type": "code", "source": "", "metadata": {}} | SWOLLEN[kind])
    data = json.dumps(made, ensure_ascii=False).encode()
    got, _ = taken(put(tmp_path / "in", {f"ada/{NAME}.ipynb": data}), tmp_path)
    assert text_in(got["ada"]) == "x = 1" and got["ada"]["problem"] == ""
    assert (tmp_path / "out/ada.json").stat().st_size < 1.1 * len(BOOK)


@pytest.mark.parametrize("kind", ["bundle", "folder"])
def test_of_many_notebooks_one_at_a_time_is_held(tmp_path, kind):
    files = {f"{NAME}-{n}.ipynb": book(f"# {n}" + "\U0001f600" * 40_000, 9) for n in range(24)}
    if kind == "bundle":
        files = {"hw.zip": zipped(files)}
    source = put(tmp_path / "in", {f"ada/{name}": data for name, data in files.items()})
    del files
    tracemalloc.start()
    got, notes = taken(source, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text_in(got["ada"]).startswith("# ") and len(notes) == 25
    assert peak < 30 * 2**20, peak


def test_half_characters_become_whole_ones(tmp_path):
    data = book("good \ud800 text \U0001f600 \udfff").replace(b"good", b"fine")
    got, _ = taken(put(tmp_path / "in", {f"ada/{NAME}.ipynb": data}), tmp_path)
    assert text_in(got["ada"]) == "fine \ufffd text \U0001f600 \ufffd"
    text_in(got["ada"]).encode("utf-8")


def test_sizes_are_limited_also_of_what_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "MAX_FILE", 100_000)
    bomb = zipped({f"{NAME}.ipynb": b" " * 50_000_000})
    assert len(bomb) < 100_000
    files = {f"ada/{NAME}.ipynb": b" " * 100_001, f"bob/{NAME}.zip": bomb}
    got, _ = taken(put(tmp_path / "in", files), tmp_path)
    assert all("larger than" in got[student]["problem"] for student in ("ada", "bob"))


@pytest.mark.parametrize("inside", [True, False])
def test_what_costs_hours_to_unpack_is_refused(tmp_path, inside):
    files = {}
    for student, method in (("ada", zipfile.ZIP_BZIP2), ("bob", zipfile.ZIP_LZMA)):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for n in range(3):
                archive.writestr(f"{NAME}-{n}.ipynb", b" " * 2_000_000)
        files[f"{student}/hw.zip"] = buffer.getvalue()
    many = {f"{n}.ipynb": b" " * 19_000_000 for n in range(8)}
    files["ada2/hw.zip"] = zipped(many)
    begun = time.monotonic()
    got, _ = taken(zipped(files) if inside else put(tmp_path / "in", files), tmp_path)
    assert time.monotonic() - begun < 10
    assert "packed in a way" in got["ada"]["problem"] and "packed in a way" in got["bob"]["problem"]
    assert "ada2" not in got or got["ada2"]["problem"]


def test_a_table_of_contents_is_not_read_whole_whatever_its_size(tmp_path):
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    table = (entry + b"a") * 200_000
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, len(table), 0, 0)
    (tmp_path / "in/ada").mkdir(parents=True)
    (tmp_path / "in/ada/hw.zip").write_bytes(table + end)
    tracemalloc.start()
    got, _ = taken(tmp_path / "in", tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "damaged" in got["ada"]["problem"] and peak < 30 * 2**20


def test_zip_in_zip_is_opened_once_only(tmp_path):
    inner = zipped({f"ada/{NAME}.ipynb": BOOK})
    outer = zipped({"bob/a.zip": zipped({f"ada/{NAME}.zip": inner, f"{NAME}.ipynb": BOOK})})
    got, notes = taken(outer, tmp_path)
    assert sorted(got) == ["bob"] and text_in(got["bob"]) == "x = 1"
    assert [note for note in notes if "a zip inside a zip" in note]
    got, _ = taken(put(tmp_path / "in", {f"ada/{NAME}.zip": b"PK\3\4 damaged"}), tmp_path)
    assert got["ada"]["problem"] == "It is a damaged zip file (BadZipFile)."


@pytest.mark.parametrize("files", [{}, {"submission.json": b"{}"}])
def test_a_bundle_without_files_is_not_passed_over(tmp_path, files):
    got, notes = taken(zipped({"ada/hw.zip": zipped(files)}), tmp_path)
    assert got["ada"]["problem"] == "There is no notebook in this zip file."
    assert "ada/hw.zip: There is no notebook in this zip file." in notes


def test_a_fault_of_this_machine_is_no_fault_of_a_student(tmp_path, monkeypatch):
    source = put(tmp_path / "in", {f"{s}/{NAME}.ipynb": BOOK for s in ("ada", "bob", "ada2")})
    opened, read = os.open, intake.read_notebook

    def failing(path, *more, **options):
        if "in/ada/" in str(path):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more, **options)

    def faulty(data):
        calls.append(1)
        return read(data) if len(calls) > 1 else 1 / 0

    calls = []
    monkeypatch.setattr(os, "open", failing)
    monkeypatch.setattr(collecting, "read_notebook", faulty)
    got, notes = taken(source, tmp_path)
    assert len(got) == 1 and not next(iter(got.values()))["problem"]
    assert [note for note in notes if "This machine could not read it (PermissionError)" in note]
    assert [note for note in notes if "a fault of ours" in note and "ZeroDivisionError" in note]


# --- which of several files counts ---------------------------------------------------------------

COURSE = "course-01/exercises/01_behaviour/"
BESIDE = {
    "AppleDouble": {"__MACOSX/._01_behaviour.ipynb": APPLE, f"{COURSE}._01_behaviour.ipynb": APPLE},
    "walkthrough": {"course-01/notebooks/01_behaviour.ipynb": WALK},
    "clean copy": {f"{COURSE}clean/01_behaviour.ipynb": book(answered=0)},
    "clean copy with a word": {f"{COURSE}clean/01_behaviour.ipynb": book("?", 1)},
    "checkpoint": {f"{COURSE}.ipynb_checkpoints/01_behaviour-checkpoint.ipynb": book("old", 7)},
    "git": {"course-01/.git/01_behaviour.ipynb": book("old", 7)},
    "copy": {f"{COURSE}01_behaviour-Copy1.ipynb": book("old", 3)},
    "another unit": {"course-01/exercises/02_attribution/02_attribution.ipynb": WALK},
    "damaged": {f"{COURSE}z_01_behaviour.ipynb": b"{"},
    "code": {f"course-01/course_lib/{n}.py": b"" for n in range(50)},
}


@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("source", ["bundle", "bundle first", "clone", "platform"])
def test_the_answers_count_whatever_lies_beside_them(tmp_path, kind, source):
    usual, beside = {f"{COURSE}{NAME}.ipynb": book("mine", 4)}, BESIDE[kind]
    if source == "clone":  # each file has a time of its own
        put(tmp_path / "in/ada", usual, 1_700_000_000)
        got, notes = taken(put(tmp_path / "in/ada", beside, 1_700_000_009).parent, tmp_path)
    elif source == "platform":
        files = {f"ada/{name}": data for name, data in (usual | beside).items()}
        got, notes = taken(zipped(files), tmp_path)
    else:
        files = beside | usual if source == "bundle first" else usual | beside
        got, notes = taken(zipped({"ada/hw.zip": zipped(files)}), tmp_path)
    assert got["ada"]["file"].endswith(f"{COURSE}{NAME}.ipynb") and text_in(got["ada"]) == "mine"
    [first, *_] = beside
    assert sum(first in note for note in notes) == 1 and len(notes) <= 2 + 2  # two others lack


def test_the_latest_hand_in_counts_and_one_with_answers_goes_first(tmp_path):
    day = 86_400
    for n, (name, data) in enumerate({
        "a": book("a", 7), "c": book("c", 1), "b": book("b", 7), "d": book(answered=0), "e": b"{",
    }.items()):  # fmt: skip
        put(tmp_path / "in/ada", {f"{NAME}-{name}.ipynb": data}, 1e9 + day * [1, 3, 2, 4, 5][n])
    (tmp_path / f"in/ada/{NAME}-f.ipynb").symlink_to(tmp_path / f"in/ada/{NAME}-a.ipynb")
    got, notes = taken(tmp_path / "in", tmp_path)
    assert text_in(got["ada"]) == "c"
    assert sum("ada handed in several; the latest counts" in note for note in notes) == 2
    assert f"ada/{NAME}-d.ipynb: ada handed in several; the one with answers counts" in notes


def test_an_older_or_worse_file_does_not_replace_what_was_collected(tmp_path):
    files = {"1": (book("late", 3), 2e9), "2": (book("early", 9), 1e9), "3": (b"{", 3e9),
             "4": (book(answered=0), 3e9), "5": (book("last", 1), 2.1e9)}  # fmt: skip
    for name, (data, when) in files.items():
        got, notes = taken(put(tmp_path / name, {f"ada/{NAME}.ipynb": data}, when), tmp_path)
        assert text_in(got["ada"]) == ("last" if name == "5" else "late")
        assert any("not taken" in note for note in notes) is (name in "234")
    (tmp_path / "out/ada.json").write_text("{")  # damaged: anything is better
    got, _ = taken(tmp_path / "2", tmp_path)
    assert text_in(got["ada"]) == "early"


def test_a_second_zip_with_the_late_ones_misses_nobody(tmp_path):
    taken(zipped({f"{s}/{NAME}.ipynb": BOOK for s in ("ada", "bob")}), tmp_path)
    _, notes = taken(zipped({f"ada2/{NAME}.ipynb": BOOK}), tmp_path)
    assert notes == []


def test_another_notebook_does_not_count(tmp_path):
    other = json.loads((collecting.RELEASED / "02_attribution.ipynb").read_text("utf-8"))
    files = {"ada/02_attribution.ipynb": json.dumps(other).encode(), "bob/hw.ipynb": BOOK}
    got, notes = taken(put(tmp_path / "in", files), tmp_path)
    assert sorted(got) == ["bob"] and "not a notebook of 01_behaviour" in notes[0]
    assert "ada: nothing handed in" in notes


NAMES = {
    "IPYNB": f"{NAME}.IPYNB", "ZIP": "hw.ZIP", "text": f"{NAME}.ipynb.txt",
    "json": f"{NAME}.ipynb.json", "again": f"{NAME} (1).ipynb", "tar": f"{NAME}.tar.gz",
    "7z": "hw.7z", "rar": "hw.rar", "code": f"{NAME}.py", "page": f"{NAME}.html", "none": "hw",
    "python": "hw.py",
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("inside", [True, False])
def test_a_file_of_any_name_is_read_or_listed(tmp_path, kind, inside):
    name = f"ada/{NAMES[kind]}"
    data = zipped({"x.ipynb": BOOK}) if kind == "ZIP" else BOOK
    files = {name: data, "bob/hw.ipynb": BOOK}
    got, notes = taken(zipped(files) if inside else put(tmp_path / "in", files), tmp_path)
    read = kind in ("IPYNB", "ZIP", "text", "json", "again")
    assert ("ada" in got and got["ada"]["problem"] == "") is read
    assert any(note.startswith(name) for note in notes) is (kind not in ("IPYNB", "ZIP", "again"))


# --- whose file it is, and when it came ----------------------------------------------------------


@pytest.mark.parametrize("inner", [
    f"bob/{NAME}.ipynb", f"Bob Ross_4712_assignsubmission_file_/{NAME}.ipynb",
    f"rossbob_4712_9_{NAME}.ipynb", f"submitted/bob/{NAME}/{NAME}.ipynb",
])  # fmt: skip
@pytest.mark.parametrize("bundle", [
    "Ada Lovelace_4711_assignsubmission_file_/hw.zip", "ada/bob.zip", "ada.zip",
    f"lovelaceada_4711_77_{NAME}.zip",
])  # fmt: skip
def test_nothing_that_a_student_packed_names_a_student(tmp_path, inner, bundle):
    packed = zipped({inner: book("of Ada")}, (2107, 12, 31, 23, 59, 58))
    mine = zipped({f"{NAME}.ipynb": book("of Bob")}, (1990, 1, 1, 0, 0, 0))
    got, _ = taken(zipped({bundle: packed, "bob/hw.zip": mine}), tmp_path)
    assert {s: text_in(r) for s, r in got.items()} == {"ada": "of Ada", "bob": "of Bob"}
    assert {r["received"][:10] for r in got.values()} == {"2026-11-20"}


def claimed(text: str, **claim: str) -> bytes:
    return zipped({f"{NAME}.ipynb": book(text), "submission.json": json.dumps(claim).encode()},
                  (2026, 11, 1, 4, 0, 0))  # fmt: skip


def test_of_platform_and_record_the_platform_counts_and_contradictions_are_flagged(tmp_path):
    wrong = claimed("a", student="bob", unit="02", sha256="0", made="2026-12-01T00:00:00+00:00")
    own = claimed("2", student="ada2")
    files = {"ada/hw.zip": wrong, "nobody.zip": own, "stranger.zip": claimed("s", student="ada")}
    got, notes = taken(zipped(files), tmp_path)
    assert {s: text_in(r) for s, r in got.items()} == {"ada": "a", "ada2": "2"}
    told = "; ".join(got["ada"]["flags"])
    for part in (
        "names bob",
        "unit 02",
        "not the one in the submission record",
        "by its own clock",
    ):
        assert part in told
    assert got["ada2"]["flags"] == ["only the submission record names the student"]
    assert [n for n in notes if "stranger.zip" in n and "named by the platform counts" in n]


@pytest.mark.parametrize(
    "record",
    [b"", b"[" * 9999, b"[1]", b'{"made": 1, "student": ["bob"]}', bytes(2_000_000),
     b'{"made": "9999-99-99", "unit": "01"}'],
)  # fmt: skip
def test_a_damaged_submission_record_says_nothing(tmp_path, record):
    bundle = zipped({"submission.json": record, f"{NAME}.ipynb": BOOK})
    got, _ = taken(zipped({"ada/hw.zip": bundle}), tmp_path)
    assert got["ada"]["flags"] == [] and got["ada"]["problem"] == ""


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Asia/Tokyo"])
@pytest.mark.parametrize(
    "inner", [(2026, 12, 1, 4, 26, 42), (2107, 1, 1, 0, 0, 0), (1980, 0, 0, 0, 0, 0)]
)
def test_when_it_came_is_what_the_platform_says(tmp_path, monkeypatch, zone, inner):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        bundle = zipped({f"{NAME}.ipynb": BOOK}, inner)
        got, _ = taken(zipped({"ada/hw.zip": bundle}, (2026, 11, 5, 9, 0, 0)), tmp_path)
        expected = datetime(2026, 11, 5, 9).astimezone().isoformat()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert got["ada"]["received"] == expected and got["ada"]["flags"] == []


@pytest.mark.parametrize(
    "when", [(1980, 1, 1, 0, 0, 0), (1980, 0, 0, 0, 0, 0), (2107, 1, 1, 0, 0, 0)]
)
def test_a_time_that_no_platform_can_mean_is_flagged(tmp_path, when):
    got, _ = taken(zipped({f"ada/{NAME}.ipynb": BOOK}, when), tmp_path)
    assert "cannot be right" in got["ada"]["flags"][0]


@pytest.mark.parametrize("flag", [0, 0x800])
def test_names_of_a_zip_in_any_encoding(tmp_path, flag):
    """A Mac writes UTF-8 without saying so, and takes accents apart."""
    name = "Zo\u00eb Nu\u0301n\u0303ez_1_assignsubmission_file_/hw.ipynb"
    data = bytearray(zipped({"x" * len(name.encode()): BOOK}))
    data = bytes(data).replace(b"x" * len(name.encode()), name.encode())
    if flag:
        data = zipped({name: BOOK})
    got, _ = taken(data, tmp_path, [{"id": "z", "name": "Zo\u00eb N\u00fa\u00f1ez"}])
    assert sorted(got) == ["z"]


def test_windows_writes_paths_the_other_way_round(tmp_path):
    data = zipped({"ada/hw.ipynb": BOOK}).replace(b"ada/hw", b"ada\\hw")
    got, _ = taken(data, tmp_path)
    assert sorted(got) == ["ada"]


# --- what is said --------------------------------------------------------------------------------


def test_file_names_do_not_act_on_the_terminal(tmp_path, capsys):
    for name in (
        "\x1b[2J\x1b]0;x\x07.ipynb",
        "a\rb\nc.zip",
        "\u202egnp.ipynb",
        "\udcff.py",
        "\x9b1m",
    ):
        (tmp_path / "in/ada").mkdir(parents=True, exist_ok=True)
        (tmp_path / "in/ada" / name).write_bytes(BOOK)
    (tmp_path / "roster.csv").write_text("id\nada\nbob\n")
    assert cli.main(["collect", "01", str(tmp_path / "in"), "--class", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in said) and "\\x1b[2J" in said
    assert "1 of 2 have handed in" in said


@pytest.mark.parametrize("kind", ["none", "text", "damaged"])
def test_a_source_that_is_none_is_named(tmp_path, kind, capsys):
    path = tmp_path / "source.zip"
    if kind != "none":
        path.write_bytes({"text": b"hello", "damaged": zipped({"a.ipynb": BOOK})[:-30]}[kind])
    with pytest.raises(CollectError, match="neither a folder nor a zip file"):
        list(files_in(path))
    with pytest.raises(CollectError, match="no assignment 99_none"):
        collect(tmp_path, ROSTER, "99_none", tmp_path / "out")


PREVIEWED = {name: data for name, (data, _) in BAD_FILES.items()} | {
    "good": BOOK, "BOM": b"\xef\xbb\xbf" + BOOK, "large": book(outputs="x" * 21 * 2**20),
}  # fmt: skip


@pytest.mark.parametrize("name", PREVIEWED)
def test_the_preview_and_the_grader_agree(tmp_path, name):
    course = put(tmp_path / "course", {f"exercises/{NAME}/{NAME}.ipynb": PREVIEWED[name]})
    bundle = handing.make_bundle("01", course, tmp_path / "handed-in")
    got, _ = taken(put(tmp_path / "in", {"ada/hw.zip": bundle.path.read_bytes()}, 1.9e9), tmp_path)
    problem = got["ada"]["problem"]
    warned = [w.removeprefix("this file cannot be graded. ") for w in bundle.warnings
              if w.startswith("this file cannot be graded")]  # fmt: skip
    assert warned == [problem] * bool(problem) and bool(problem) is (name not in ("good", "BOM"))
    assert name == "large" or got["ada"]["sha256"] == bundle.receipt
    assert [flag for flag in got["ada"]["flags"] if "submission record" in flag] == []


# --- writing -------------------------------------------------------------------------------------


def test_a_write_is_whole_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a" / "x.json"
    collecting.write_json(path, {"a": 1})
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        collecting.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1} and len(list(path.parent.iterdir())) == 1


def test_what_was_collected_is_for_its_owner_alone(tmp_path):
    mask = os.umask(0)
    try:
        (tmp_path / "out").mkdir(mode=0o755)
        taken(put(tmp_path / "in", {f"ada/{NAME}.ipynb": BOOK}), tmp_path)
        collecting.write_json(tmp_path / "a/b/x.json", 1)
    finally:
        os.umask(mask)
    modes = {name: (tmp_path / name).stat().st_mode & 0o777 for name in
             ("out", "out/ada.json", "a", "a/b", "a/b/x.json")}  # fmt: skip
    assert modes == {
        "out": 0o700,
        "out/ada.json": 0o600,
        "a": 0o700,
        "a/b": 0o700,
        "a/b/x.json": 0o600,
    }


def test_what_is_kept_is_what_the_grader_reads():
    for data in (BOOK, book("é", 5), book("def f(): pass", 9)):
        kept, problem = read_notebook(data)
        assert problem == "" and graft(STUBS, kept) == graft(STUBS, json.loads(data))
