"""Thousands of damaged bundles and notebooks: no run ends, nobody loses by another's file."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import struct
import time

import pytest

from course_lib.grading.collect import CollectError, collect
from course_lib.grading.graft import Unreadable, graft
from course_lib.grading.intake import read_notebook
from tests.grading.books import NAME, STUBS, book, zipped

CASES = int(os.environ.get("FUZZ_CASES", "1200"))  # of each kind
AT_ONCE = 100  # students in one run
SEED = 15


def bundle(rng: random.Random) -> bytes:
    """A bundle as `course submit` makes it, small, so that what is changed is likely to matter."""
    files = {f"{NAME}.ipynb": SMALL, "submission.json": b'{"unit": "01", "made": "2026-11-20"}'}
    return zipped(files if rng.random() < 0.5 else dict(reversed(files.items())))


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut, doubled, or fields of the table of contents set to what hurts."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        way, place = rng.randrange(6), rng.randrange(len(data) or 1)
        if way == 0:
            data[place : place + 1] = bytes([rng.randrange(256)])
        elif way == 1:
            data = data[:place] or bytearray(b"PK")
        elif way == 2:
            data[place:place] = data[place : place + rng.randrange(200)]
        elif way == 3:
            data[place : place + rng.randrange(40)] = b""
        else:
            sign = rng.choice([b"PK\1\2", b"PK\5\6", b"PK\3\4", b"PK\6\6", b"PK\6\7"])
            start = data.rfind(sign)
            place = max(start, 0) + rng.randrange(4, 46)
            value = rng.choice([0, 1, 12, 14, 97, 99, 0xFFFF, 0xFFFFFFFF, rng.randrange(2**32)])
            data[place : place + 4] = struct.pack("<L", value)[: rng.choice([1, 2, 4])]
    return bytes(data)


def strange(rng: random.Random, depth: int = 0):
    """Any JSON value."""
    kind = rng.randrange(4 if depth < 4 else 2)
    if kind < 2:
        return copy.deepcopy(rng.choice(PLAIN))
    if kind == 2:
        return {rng.choice(KEYS): strange(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [strange(rng, depth + 1) for _ in range(rng.randrange(4))]


PLAIN = [None, True, -1, 1e308, float("nan"), "", "\ud800", "answer-01-1", 10**400, [[]] * 9]
KEYS = [
    "cells",
    "metadata",
    "nbgrader",
    "grade_id",
    "source",
    "id",
    "cell_type",
    "solution",
    "\udc80",
]
SMALL = json.dumps({"cells": [c for c in json.loads(book())["cells"] if c["id"] == "answer-01-1"]})
SMALL = SMALL.encode()


def notebook(rng: random.Random) -> bytes:
    """A notebook in which values at random places are replaced, or its bytes damaged."""
    made = json.loads(book(answered=rng.randrange(4)))
    for _ in range(rng.randint(1, 6)):
        place = made
        while isinstance(place, dict | list) and place:
            key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
            if rng.random() < 0.4 or not isinstance(place[key], dict | list):
                place[key] = strange(rng)
                break
            place = place[key]
    data = json.dumps(made).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        depth = rng.choice([700, 100_000])
        data = data[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
    return damaged(data, rng) if rng.random() < 0.3 else data


def classes(make, rng: random.Random):
    """The hostile files of one run after the other, by student."""
    for start in range(0, CASES, AT_ONCE):
        yield {f"s{n:04d}": make(rng) for n in range(start, min(start + AT_ONCE, CASES))}


@pytest.mark.parametrize("kind", ["bundle", "notebook"])
def test_no_file_ends_a_run_or_touches_another(tmp_path, kind):
    rng, begun, states = random.Random(f"{SEED} {kind}"), time.monotonic(), set()
    make, name = (notebook, f"{NAME}.ipynb") if kind == "notebook" else (
        lambda rng: damaged(bundle(rng), rng), "hw.zip")  # fmt: skip
    for files in classes(make, rng):
        ids = list(files)
        honest = {f"{id}/{NAME}.ipynb": book("mine", 3) for id in ("a", "z")}
        out = tmp_path / ids[0]
        (tmp_path / "all.zip").write_bytes(
            zipped(honest | {f"{id}/{name}": data for id, data in files.items()})
        )
        roster = [{"id": id} for id in ("a", "z", *ids)]
        _, notes = collect(tmp_path / "all.zip", roster, NAME, out)
        told = "\n".join(notes)
        assert "a fault of ours" not in told and "This machine" not in told
        assert all(c.isprintable() or c == "\n" for c in told)
        for id in ("a", "z", *ids):
            path = out / f"{id}.json"
            record = json.loads(path.read_text("utf-8")) if path.is_file() else None
            if id in "az":
                assert graft(STUBS, record["notebook"]) == HONEST
            elif record is None:
                assert f"{id}: nothing handed in" in notes and f"{id}/" in told
            else:
                states.add(bool(record["problem"]))
                the_grader_can_use(record)
    assert states == {True, False}  # the damage was neither always fatal nor never
    assert time.monotonic() - begun < 0.05 * CASES


HONEST = graft(STUBS, read_notebook(book("mine", 3))[0])


def the_grader_can_use(record: dict) -> None:
    """It goes to another process and back, and is grafted or refused with a reason."""
    pickle.loads(pickle.dumps(record))
    json.dumps(record, ensure_ascii=False).encode("utf-8")
    if record["problem"]:
        assert record["notebook"] is None and len(record["problem"]) < 200
        return
    try:
        grafted = graft(STUBS, record["notebook"])
    except Unreadable as error:
        raise AssertionError(f"collected, but not gradable: {error}") from None
    assert [id for id, _ in grafted.cells] == [id for id, _ in HONEST.cells]


def test_whole_zip_files_of_a_platform_may_be_damaged_too(tmp_path):
    """Then the command says so, or reads what can be read; it never ends in another way."""
    rng, refused = random.Random(SEED), 0
    good = zipped({f"{id}/{NAME}.ipynb": SMALL for id in "ab"})
    for _ in range(CASES // 4):
        path = tmp_path / "all.zip"
        path.write_bytes(damaged(good, rng))
        try:
            collect(path, [{"id": "a"}, {"id": "b"}], NAME, tmp_path / "out")
        except CollectError:
            refused += 1
    assert 0 < refused < CASES // 4
