"""Plain data between the grader and the sandbox: JSON for the structure, raw bytes for arrays.

Both sides import this file. The grader trusts nothing it reads: every size, type and shape is
verified before an array is made, and no code is ever chosen by what was read (no pickle). What is
not plain data arrives as an :class:`Opaque` that holds nothing but the name of its type. Whatever
is sent, reading it takes about a second and 100 MB at most: what a message may hold is counted
before anything is made of it.
"""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

HEAD = struct.Struct(">II")
MAX_JSON = 8 * 2**20
MAX_MARKS = 50_000  # commas and brackets in the JSON of one message
MAX_NUMBERS = 2**20  # in all arrays of one message
MAX_BYTES = 8 * MAX_NUMBERS
MAX_ASKED = 2**24  # bytes of all questions during one call: a check may keep what was asked
MAX_DEPTH = 40
MAX_JSON_DEPTH = 4 * MAX_DEPTH  # a dict within a dict is three levels further down
MAX_ALIKE = 64  # keys of one dict with the same hash: more take a time that grows with the square
MAX_NAMES = 64  # of types that are not plain data
LARGEST = 2**1024  # no float is larger, and JSON has trouble with much larger integers
NUMBERS = {"bool", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
PLAIN_KEYS = (type(None), bool, int, float, str, tuple)
STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.S)
BRACKETS = b"[]{}"
NO_BRACKETS = bytes(set(range(256)) - set(BRACKETS))


class Malformed(Exception):
    """What was read is not a message of ours: damaged, or lying about itself."""

    status = "died"  # what becomes of the submission that sent it


class TooLarge(Malformed):
    """More than a message may hold; honest answers can be so, too."""

    status = "output"


class Opaque:
    """Something that is not plain data; the name of its class is all that came along."""


def encode(value: Any, data: list[bytes], handle: Callable[[Any], Any] | None = None) -> Any:
    """A value as something JSON can hold; the bytes of its arrays are appended to ``data``.

    Parameters
    ----------
    value : None, bool, int, float, str, list, tuple, dict, numeric array or tensor, nested freely;
        anything else becomes an :class:`Opaque` on the other side
    data : receives the bytes of the arrays in the order of their occurrence
    handle : called for what is none of these; returns a node of its own, or None
    """
    return _encode(value, data, handle, 0)


def _encode(value: Any, data: list[bytes], handle: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise Malformed("nested too deeply")
    if isinstance(value, int) and abs(int(value)) >= LARGEST:
        return {"other": "int"}
    if value is None or type(value) in (bool, int, float, str):
        return value
    torch = sys.modules.get("torch")  # no tensor can be here unless torch is
    if torch is not None and isinstance(value, torch.Tensor):
        name = str(value.dtype).removeprefix("torch.")
        if name in NUMBERS | {"bfloat16"}:
            plain = value.detach().to_dense() if value.layout != torch.strided else value.detach()
            plain = plain.cpu().contiguous()
            raw = plain.view(torch.int16) if name == "bfloat16" else plain
            data.append(raw.numpy().tobytes())
            return {"tensor": [name, list(value.shape), bool(value.requires_grad)]}
    elif isinstance(value, (np.ndarray, np.generic)) and value.dtype.name in NUMBERS:
        data.append(value.astype(value.dtype.newbyteorder("=")).tobytes())
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: [value.dtype.name, list(value.shape)]}
    for kind in (bool, int, float, str):  # of a subclass only the plain value travels
        if isinstance(value, kind):
            return kind(value)
    if handle is not None and (node := handle(value)) is not None:
        return node
    if isinstance(value, Mapping):
        pairs = [(key, value[key]) for key in list(value)]
        return {"dict": [[_encode(v, data, handle, depth + 1) for v in p] for p in pairs]}
    if isinstance(value, (tuple, Sequence)) and not isinstance(value, (bytes, bytearray)):
        items = [_encode(item, data, handle, depth + 1) for item in value]
        return {"tuple": items} if isinstance(value, tuple) else items
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.name in NUMBERS:
            return _encode(array, data, handle, depth + 1)
    if hasattr(value, "__float__") and not isinstance(value, (complex, np.ndarray)):
        return float(value)
    return {"other": type(value).__name__}


def decode(node: Any, data: memoryview, resolve: Callable[[str, Any], Any] | None = None) -> Any:
    """The value that :func:`encode` was given; ``data`` holds the bytes of all its arrays.

    Raises
    ------
    Malformed : anything that ``encode`` would not have written
    """
    reader = _Reader(data, resolve)
    value = reader.value(node, 0)
    if reader.at != len(data):
        raise Malformed("bytes left over")
    return value


class _Reader:
    def __init__(self, data: memoryview, resolve: Callable[[str, Any], Any] | None) -> None:
        self.data, self.resolve, self.at = data, resolve, 0
        self.left = MAX_NUMBERS
        self.kinds: dict[str, type] = {}

    def value(self, node: Any, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise Malformed("nested too deeply")
        if type(node) is int and abs(node) >= LARGEST:
            raise Malformed("a number without end")
        if node is None or type(node) in (bool, int, float, str):
            return node
        if type(node) is list:
            return [self.value(item, depth + 1) for item in node]
        if type(node) is not dict or len(node) != 1:
            raise Malformed("not a value")
        [(kind, content)] = node.items()
        if kind == "tuple" and type(content) is list:
            return tuple(self.value(item, depth + 1) for item in content)
        if kind == "dict" and type(content) is list:
            return self.mapping(content, depth + 1)
        if kind in ("tensor", "array", "scalar"):
            return self.numbers(kind, content)
        if kind == "other" and type(content) is str:
            return self.opaque(safe_name(content))
        if self.resolve is not None:
            return self.resolve(kind, content)
        raise Malformed(f"a value of kind {kind[:20]!r}")

    def opaque(self, name: str) -> Opaque:
        if name not in self.kinds and len(self.kinds) < MAX_NAMES:
            self.kinds[name] = type(name, (Opaque,), {})
        return self.kinds.get(name, Opaque)()

    def mapping(self, content: list, depth: int) -> dict[Any, Any]:
        pairs = [self.pair(item, depth) for item in content]
        if max(Counter(hash(key) for key, _ in pairs).values(), default=0) > MAX_ALIKE:
            raise Malformed("keys that are all alike")
        return dict(pairs)

    def pair(self, item: Any, depth: int) -> tuple[Any, Any]:
        if type(item) is not list or len(item) != 2:
            raise Malformed("not a pair")
        key = self.value(item[0], depth)
        try:
            hash(key)
        except TypeError:
            raise Malformed("a key that cannot be one") from None
        key = key.item() if isinstance(key, np.generic) else key
        key = key if isinstance(key, PLAIN_KEYS) else type(key).__name__
        return key, self.value(item[1], depth)

    def numbers(self, kind: str, content: Any) -> Any:
        length = 3 if kind == "tensor" else 2
        if type(content) is not list or len(content) != length:
            raise Malformed("not an array")
        name, shape = content[:2]
        allowed = NUMBERS | ({"bfloat16"} if kind == "tensor" else set())
        if type(name) is not str or name not in allowed:
            raise Malformed("numbers of an unknown type")
        if type(shape) is not list or len(shape) > 16:
            raise Malformed("not a shape")
        if not all(type(n) is int and 0 <= n < LARGEST for n in shape):
            raise Malformed("not a shape")
        # A side of 0 does not make the others cheap: rows without numbers are rows.
        self.left -= math.prod(max(n, 1) for n in shape)
        if self.left < 0:
            raise TooLarge("too large: too many numbers")
        width = 2 if name == "bfloat16" else np.dtype(name).itemsize
        size = math.prod(shape) * width
        if size > len(self.data) - self.at:
            raise Malformed("an array with fewer bytes than it claims")
        raw = bytearray(self.data[self.at : self.at + size])
        self.at += size
        if kind == "tensor":
            import torch

            kept = torch.int16 if name == "bfloat16" else getattr(torch, name)
            flat = torch.frombuffer(raw, dtype=kept) if raw else torch.empty(0, dtype=kept)
            tensor = flat.view(getattr(torch, name)).reshape(shape)
            wants = content[2] is True and tensor.is_floating_point()
            return tensor.requires_grad_() if wants else tensor
        array = np.frombuffer(raw, dtype=name).reshape(shape)
        return array if kind == "array" else array[()]


def safe_name(name: str) -> str:
    """A type's name with nothing in it but letters, digits and underscores."""
    return re.sub(r"\W", "_", str(name)[:60]) or "object"


def pack(message: dict[str, Any], data: Sequence[bytes] = ()) -> bytes:
    """One frame: the two lengths, the JSON text, the bytes of all arrays."""
    text = json.dumps(message).encode()
    size = sum(map(len, data))
    if len(text) > MAX_JSON or size > MAX_BYTES:
        raise TooLarge("too large to be sent")
    _count(text)
    return b"".join([HEAD.pack(len(text), size), text, *data])


def unpack(frame: bytearray) -> tuple[dict[str, Any], memoryview] | None:
    """Take one frame off the front of ``frame``; None while it is not complete.

    Raises
    ------
    Malformed : too large, or not JSON
    """
    if len(frame) < HEAD.size:
        return None
    text, size = HEAD.unpack_from(frame)
    if text > MAX_JSON or size > MAX_BYTES:
        raise Malformed("too large")
    end = HEAD.size + text + size
    if len(frame) < end:
        return None
    body = bytes(frame[HEAD.size : end])
    del frame[:end]
    _count(body[:text])
    try:
        message = json.loads(body[:text])
    except ValueError:
        raise Malformed("not JSON") from None
    if type(message) is not dict:
        raise Malformed("not a message")
    return message, memoryview(body)[text:]


def _count(text: bytes) -> None:
    """Refuse a JSON text that holds too many values, or one too far inside others, unread."""
    if text.count(b'"') > 4 * MAX_MARKS:
        raise TooLarge("too large: too many texts")
    marks = STRINGS.sub(b"", text)
    brackets = marks.translate(None, NO_BRACKETS)
    depth = 0
    for bracket in brackets[:MAX_MARKS]:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise Malformed("not JSON of ours: nested too deeply")
    if marks.count(b",") + len(brackets) > MAX_MARKS:
        raise TooLarge("too large: too many values")
