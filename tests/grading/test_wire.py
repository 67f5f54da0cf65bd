"""Plain data survives the way to the sandbox and back; everything else is named or refused."""

from __future__ import annotations

import collections
import decimal
import json
import math
import types

import numpy as np
import pytest
import torch

from course_lib.checks.reading import difference, read
from course_lib.checks.results import Wrong
from course_lib.grading import wire


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
