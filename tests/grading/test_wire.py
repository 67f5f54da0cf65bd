"""Plain data survives the way to the sandbox and back; everything else is named or refused."""

from __future__ import annotations

import builtins
import collections
import decimal
import json
import math
import random
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.checks import exercises
from course_lib.checks.reading import difference, mark, read
from course_lib.checks.results import Wrong
from course_lib.grading import marking, wire

ROOT = Path(__file__).resolve().parents[2]


def there_and_back(value, handle=None, resolve=None):
    data = []
    node = wire.encode(value, data, handle)
    message, rest = wire.unpack(bytearray(wire.pack({"value": node}, data)))
    return wire.decode(message["value"], rest, resolve)


PLAIN = [
    None, True, False, 0, -7, 2**70, 1.5, -0.0, math.inf, "", "ä\ud800\n", [], (), {}, [[], [()]],
    {"a": 1, 2: [None], (1, "b"): {"c": (1.0,)}, None: True, 1.5: "x"},
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_are_the_same(value):
    got = there_and_back(value)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("name", sorted(wire.NUMBERS | {"bfloat16"}))
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_and_tensors_keep_type_shape_and_values(name, shape):
    values = torch.arange(math.prod(shape)).reshape(shape)
    if not name.startswith("u") or name == "uint8":
        tensor = values.to(getattr(torch, name))
        got = there_and_back(tensor)
        assert got.dtype == tensor.dtype and got.shape == shape and torch.equal(got, tensor)
    if name != "bfloat16":
        array = values.numpy().astype(name)
        got = there_and_back(array)
        assert got.dtype == array.dtype and np.array_equal(got, array) and got.flags.writeable


def test_views_gradients_and_big_ends():
    base = torch.arange(12.0).reshape(3, 4)
    assert torch.equal(there_and_back(base.T[1:]), base.T[1:])
    assert there_and_back(base.clone().requires_grad_()).requires_grad
    assert torch.equal(there_and_back((base * 2).to_sparse()), base * 2)
    turned = np.arange(4, dtype=">f8")[::-1]
    assert np.array_equal(there_and_back(turned), turned)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.OrderedDict(a=1), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.namedtuple("Pair", "a b")(1, 2), (1, 2)),
        (range(3), [0, 1, 2]),
        (collections.deque([1]), [1]),
        (decimal.Decimal("0.5"), 0.5),
        (np.float64(0.5), 0.5),
    ],
    ids=repr,
)
def test_what_a_notebook_accepts_arrives_as_plain_data(value, expected):
    assert there_and_back(value) == expected


@pytest.mark.parametrize(
    "value", [object(), len, {1}, b"x", 1j, np.array([1j]), np.array(["a"]), 10**400, Exception]
)
def test_the_rest_is_only_a_name(value):
    got = there_and_back(value)
    assert isinstance(got, wire.Opaque) and type(got).__name__ == type(value).__name__
    for like in (1.0, np.ones(1), {"a": 1.0}, (1.0, 2.0), [("a", "b")]):
        with pytest.raises(Wrong):
            read(got, like)
    for like in (None, "a"):
        with pytest.raises(Wrong):
            assert difference(read(got, like), like, 1e-5) == ""


def test_a_number_type_that_is_no_number_stays_one_that_checks_refuse():
    with pytest.raises(Wrong, match="bool"):
        read(there_and_back(np.bool_(True)), 1.0)


def test_functions_travel_as_handles():
    ours = []

    def keep(value):
        if callable(value):
            ours.append(value)
            return {"call": len(ours) - 1}

    got = there_and_back({"f": [len]}, keep, lambda kind, which: (kind, ours[which]))
    assert got == {"f": [("call", len)]}


BAD = [
    {"array": ["object", [1]]},
    {"array": ["float64", [2]]},
    {"array": ["float64", [-1]]},
    {"array": ["float64", [True]]},
    {"array": ["float64", [2**40, 0, 2**40]]},
    {"array": ["float64", 1]},
    {"array": ["float64"]},
    {"array": [["float64"], [1]]},
    {"array": ["bfloat16", [4]]},
    {"tensor": ["float64", [1]]},
    {"tensor": ["int64", [0], 1], "x": 1},
    {"scalar": ["float64", [0]], "other": "x"},
    {"dict": [[1]]},
    {"dict": [[[1], 1]]},
    {"dict": {"a": 1}},
    {"call": 0},
    {"model": "course-lm"},
    {"__reduce__": ["os.system", "true"]},
    {"tuple": "abc"},
    {"other": 3},
    {},
    None,  # with bytes left over
]


@pytest.mark.parametrize("node", BAD, ids=json.dumps)
def test_what_encode_never_writes_is_refused(node):
    with pytest.raises(wire.Malformed):
        wire.decode(node, memoryview(b"12345678"))


def test_deep_nesting_is_refused_on_both_sides():
    value = []
    for _ in range(1000):
        value = [value]
    with pytest.raises(wire.Malformed):
        wire.encode(value, [])
    with pytest.raises(wire.Malformed):
        wire.decode(value, memoryview(b""))


@pytest.mark.parametrize(
    "frame",
    [
        wire.HEAD.pack(2**32 - 1, 0),
        wire.HEAD.pack(2, 2**32 - 1),
        wire.HEAD.pack(3, 0) + b"nul",
        wire.HEAD.pack(2, 0) + b"[]",
        wire.HEAD.pack(2, 0) + b"\xff\xff",
        wire.HEAD.pack(6000, 0) + b"1" * 6000,
        wire.HEAD.pack(100_000, 0) + b"[" * 100_000,
    ],
    ids=lambda frame: repr(frame[:12]),
)
def test_frames_that_are_none(frame):
    with pytest.raises(wire.Malformed):
        wire.unpack(bytearray(frame))


# --- hostile replies -----------------------------------------------------------------------------

SCRIPT = """
import json, time
from tests.grading.size import largest_size
import numpy as np
from course_lib.checks.reading import difference, mark, read
from course_lib.checks.results import Wrong
from course_lib.grading import wire

P = 2**61 - 1  # every multiple of it has the hash 0


def value(node):
    return json.dumps({"value": node}).encode()


REPLIES = {
    "whole numbers alike": (value({"dict": [[k * P, 0] for k in range(1, 9000)]}), b""),
    "tuples alike": (value({"dict": [[{"tuple": [k * P]}, 0] for k in range(1, 6000)]}), b""),
    "fractions alike": (value({"dict": [[k * 2.0**61 * P, 0] for k in range(1, 9000)]}), b""),
    "arrays as keys": (value({"dict": [[{"scalar": ["int64", []]}, 0]] * 5000}), bytes(40_000)),
    "tensors as keys": (value({"dict": [[{"tensor": ["int8", [60], 0]}, 0]] * 4000}),
                        bytes(240_000)),
    "rows without numbers": (value({"array": ["float64", [2**24, 0]]}), b""),
    "many such rows": (value([{"array": ["float64", [2**18, 0]]}] * 5000), b""),
    "booleans": (value({"array": ["bool", [2**23]]}), bytes(2**23)),
    "a million numbers": (value({"array": ["float64", [2**20]]}), bytes(2**23)),
    "others": (value([{"other": "a"}] * 400_000), b""),
    "others of many names": (value([{"other": f"a{k}"} for k in range(12_000)]), b""),
    "lists": (b'{"value": [' + b"[]," * 2_600_000 + b"0]}", b""),
    "lists in lists": (b'{"value": [' + b"[[[[[[[[[[]]]]]]]]]]," * 390_000 + b"0]}", b""),
    "texts": (b'{"value": [' + b'"",' * 2_600_000 + b"0]}", b""),
    "quotes": (b'{"value": "' + b'\\\\"' * 2_700_000, b""),
    "a long text": (value("x" * 8_000_000), b""),
    "digits": (b'{"value": 0.' + b"1" * 8_000_000 + b"}", b""),
    "whole digits": (b'{"value": [' + (b"1" * 4300 + b",") * 1900 + b"0]}", b""),
    "numbers": (b'{"value": [' + b"1.5," * 49_000 + b"0]}", b""),
    "small tensors": (value([{"tensor": ["float32", [2], True]}] * 6000), bytes(48_000)),
    "depth": (b'{"value":' + b"[" * 4_000_000 + b"]" * 4_000_000 + b"}", b""),
    "depth of a few": (b'{"value":' + b"[" * 700 + b"]" * 700 + b"}", b""),
}
for name, (text, data) in REPLIES.items():
    begun = time.process_time()
    try:
        message, rest = wire.unpack(bytearray(wire.HEAD.pack(len(text), len(data)) + text + data))
        got = wire.decode(message["value"], rest)
        for like in (1.0, "a", np.ones(3), (1.0, 2.0), [1.5], {"a": 1.0}):
            try:
                plain = read(got, like)
                mark(plain), difference(plain, like, 1e-5)
            except Wrong:
                pass
    except wire.Malformed:
        pass
    print(f"{time.process_time() - begun:.2f} {name}")
print(largest_size(), "peak")
"""


def test_reading_any_reply_takes_little_time_and_memory():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT)
    *times, peak = [line.split(" ", 1) for line in run.stdout.splitlines()]
    assert len(times) == 22, run.stderr
    assert [(seconds, name) for seconds, name in times if float(seconds) > 6] == []  # of six each
    assert int(peak[0]) < 600, peak


def random_node(rng, depth=0):
    """Something that looks like a value on the wire, right or slightly wrong."""
    kinds = ["plain", "list", "tuple", "dict", "array", "tensor", "scalar", "other", "odd"]
    kind = rng.choice(kinds if depth < 6 else ["plain", "odd"])
    inner = [random_node(rng, depth + 1) for _ in range(rng.randrange(4))] if depth < 6 else []
    plain = [None, True, -1, 0.5, 1e400, 2**70, 10**400, "", "a\ud800", "nan"]
    if kind == "plain":
        return rng.choice(plain)
    if kind == "dict":
        return {"dict": [[random_node(rng, 6), node] for node in inner]}
    if kind in ("array", "tensor", "scalar"):
        names = [*sorted(wire.NUMBERS), "bfloat16", "object", "", 3]
        shape = [rng.choice([0, 1, 2, 3, -1, 2**24, 2**70, True, "2"]) for _ in range(len(inner))]
        return {kind: [rng.choice(names), shape, True][: 3 - (kind != "tensor")]}
    if kind == "odd":
        odd = [{}, {"a": 1, "b": 2}, {"call": 0}, {"model": "x"}, {"tuple": 3}, {"dict": [3]}]
        return rng.choice(odd)
    return {"list": inner, "tuple": {"tuple": inner}, "other": {"other": rng.choice("a<é ")}}[kind]


def damaged(rng, frame):
    """A frame with some bytes changed, left out or repeated."""
    frame = bytearray(frame)
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(frame))
        frame[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return frame


def test_thousands_of_random_replies_are_read_or_refused():
    rng, outcomes = random.Random(5), collections.Counter()
    rights = (1.0, "a", np.ones(2), (1.0, None), [np.ones(1)], {"a": 1.0})
    for _ in range(2500):
        data = rng.randbytes(rng.choice([0, 0, 1, 4, 8, 24]))
        frame = wire.pack({"value": random_node(rng)}, [data])
        try:
            found = wire.unpack(damaged(rng, frame))
            got = wire.decode(found[0].get("value"), found[1]) if found else None
        except wire.Malformed as error:
            outcomes[error.status] += 1
            continue
        for like in rights:
            try:
                plain = read(got, like)
                assert difference(plain, like, 1e-5) is not None and mark(plain)
                outcomes["read"] += 1
            except Wrong:
                outcomes["wrong"] += 1
    assert min(outcomes[kind] for kind in ("died", "read", "wrong")) > 100, outcomes


class Replies:
    """A sandbox that answers with whatever comes next."""

    def __init__(self, rng):
        self.rng, self.sandbox, self.running = rng, self, True

    def ready(self):
        pass

    def look(self, name):
        return "there"

    def call(self, name, args, kwargs):
        rng = self.rng
        parts = [None, 3, "a" * 3000, ["x"], {"a": []}, "NotImplementedError", *dir(builtins)]
        likely = [None, 0.5, "a", [0.5], {"tuple": [1.0, "b"]}, {"dict": [["a", 1]]}, [[1], [2]]]
        told = {key: rng.choice(parts) for key in ("type", "base", "message", "where")}
        reply = {
            "do": rng.choice(["answer", "answer", "error", "done", 3, None]),
            "value": random_node(rng) if rng.random() < 0.2 else rng.choice(likely),
            "changed": rng.choice([False, False, True, None, []]),
            "error": rng.choice([told, told, told, "x", None, []]),
        }
        # With bytes that belong to nothing no value would ever be looked at.
        data = memoryview(bytes(8 * (rng.random() < 0.05)))
        return {k: v for k, v in reply.items() if rng.random() < 0.9}, data


def test_random_replies_are_never_a_fault_of_ours_and_earn_nothing():
    rng, statuses = random.Random(6), collections.Counter()
    allowed = {"partial", "died", "output", "memory"}  # as what it claims to have raised
    todo = list(exercises("01").values())
    for _ in range(400):
        result = marking.grade_exercise(Replies(rng), rng.choice(todo))
        statuses[result["status"]] += 1
        assert result["earned"] == 0 and json.dumps(result).isascii(), result
        assert all(part["message"] for part in result["parts"]), result
    assert {"partial", "died"} <= set(statuses) <= allowed, statuses


def test_frames_come_in_pieces_and_in_a_row():
    frames = wire.pack({"a": 1}, [b"xy"]) + wire.pack({"b": 2})
    buffer, got = bytearray(), []
    for byte in frames:
        buffer.append(byte)
        if found := wire.unpack(buffer):
            got.append((found[0], bytes(found[1])))
    assert got == [({"a": 1}, b"xy"), ({"b": 2}, b"")] and not buffer


def test_too_large_is_refused_before_it_is_sent():
    with pytest.raises(wire.Malformed):
        wire.pack({"a": "x" * wire.MAX_JSON})


def test_names_from_outside_are_made_harmless():
    assert wire.safe_name("a.b<c> d") == "a_b_c__d"
    assert wire.safe_name("") == "object" and len(wire.safe_name("x" * 500)) == 60
