"""
The GGUF container: keys, values and tensor descriptors, read in one strict pass.

Knows nothing of RWKV.  Every length is compared with the file before it is used, and no tensor data are touched.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from rookery.errors import FormatError, TruncatedFile, UnsupportedError
from rookery.formats.source import Source

__all__ = ["MAGIC", "Container", "Entry", "parse"]

MAGIC = b"GGUF"

# Far above any real file; they bound the work a hostile header can ask for.
MAX_KEYS = 1 << 14
MAX_TENSORS = 1 << 16
MAX_ARRAY = 1 << 22
MAX_STRING = 1 << 24
MAX_NAME = 1 << 10
MAX_DIMS = 4

_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {
    0: "u1",
    1: "i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "u1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor descriptor: shape slowest dimension first, ggml type id, offset from the start of the file."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True, slots=True)
class Container:
    """metadata: numbers and bools as such, strings as str; arrays as numpy arrays or, of strings, lists of bytes."""

    version: int
    metadata: dict[str, Any]
    entries: list[Entry]


def parse(source: Source) -> Container:
    """The header of a GGUF file (versions 2 and 3, little-endian)."""
    read = _Cursor(source)
    version = _version(read)
    tensors = read.count(MAX_TENSORS, "tensors")
    keys = read.count(MAX_KEYS, "keys")
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        key = read.name("a key")
        if key in metadata:
            raise read.bad(f"key {key!r} occurs twice")
        metadata[key] = _value(read, key)
    entries = [_entry(read) for _ in range(tensors)]
    return Container(version, metadata, _placed(read, entries, _alignment(read, metadata)))


def _version(read: _Cursor) -> int:
    if bytes(read.take(4, "the magic number")) != MAGIC:
        raise read.bad("this is no GGUF file: it does not begin with 'GGUF'")
    version = read.integer("<I", "the version")
    if version in (2, 3):
        return version
    if version & 0xFFFF == 0 and version:
        raise UnsupportedError(f"{read.path}: a big-endian GGUF file; convert it to little-endian")
    raise UnsupportedError(f"{read.path}: GGUF version {version}, expected 2 or 3; convert the model again")


def _value(read: _Cursor, key: str) -> Any:
    kind = read.integer("<I", f"the type of key {key!r}")
    if kind == _STRING:
        return bytes(read.string(MAX_STRING, f"key {key!r}")).decode("utf-8", "replace")
    if kind == _ARRAY:
        return _array(read, key)
    if kind not in _NUMBERS:
        raise read.bad(f"key {key!r} has the unknown type {kind}")
    return _numbers(read, kind, 1, key)[0].item()


def _array(read: _Cursor, key: str) -> Any:
    kind = read.integer("<I", f"the element type of key {key!r}")
    count = read.count(MAX_ARRAY, f"elements of key {key!r}")
    if kind == _STRING:
        return read.strings(count, f"key {key!r}")
    if kind == _ARRAY:
        raise UnsupportedError(f"{read.path}: key {key!r} is an array of arrays, which is not supported")
    if kind not in _NUMBERS:
        raise read.bad(f"key {key!r} has elements of the unknown type {kind}")
    return _numbers(read, kind, count, key)


def _numbers(read: _Cursor, kind: int, count: int, key: str) -> np.ndarray:
    dtype = np.dtype(_NUMBERS[kind])
    numbers = np.frombuffer(bytes(read.take(count * dtype.itemsize, f"key {key!r}")), dtype)
    if kind != _BOOL:
        return numbers
    if (numbers > 1).any():
        raise read.bad(f"key {key!r} is a bool, but neither 0 nor 1")
    return numbers.astype(bool)


def _entry(read: _Cursor) -> Entry:
    name = read.name("a tensor name")
    dims = read.integer("<I", f"the dimensions of tensor {name!r}")
    if not 1 <= dims <= MAX_DIMS:
        raise read.bad(f"tensor {name!r} has {dims} dimensions, expected 1 to {MAX_DIMS}")
    fastest_first = [read.integer("<Q", f"the dimensions of tensor {name!r}") for _ in range(dims)]
    if 0 in fastest_first:
        raise read.bad(f"tensor {name!r} is empty, dimensions {fastest_first}")
    type_id, offset = read.integer("<I", f"tensor {name!r}"), read.integer("<Q", f"tensor {name!r}")
    return Entry(name, tuple(reversed(fastest_first)), type_id, offset)


def _alignment(read: _Cursor, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
        raise read.bad(f"general.alignment is {alignment!r}, expected a power of two")
    return alignment


def _placed(read: _Cursor, entries: list[Entry], alignment: int) -> list[Entry]:
    """The entries with offsets from the start of the file."""
    start = -(-read.position // alignment) * alignment
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise read.bad(f"tensor {entry.name!r} occurs twice")
        if entry.offset % alignment:
            raise read.bad(f"tensor {entry.name!r} is at offset {entry.offset}, expected a multiple of {alignment}")
        seen.add(entry.name)
    return [Entry(e.name, e.shape, e.type, start + e.offset) for e in entries]


class _Cursor:
    """Walks through the header; every step stays inside the file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.path = source.path
        self.position = 0
        self.data = source.view(0, source.size, "the file").data

    def bad(self, message: str) -> FormatError:
        return FormatError(f"{self.path}: {message}")

    def take(self, count: int, what: str) -> memoryview:
        self.source.view(self.position, count, what)
        start, self.position = self.position, self.position + count
        return self.data[start : self.position]

    def integer(self, layout: str, what: str) -> int:
        (number,) = struct.unpack(layout, self.take(struct.calcsize(layout), what))
        return int(number)

    def count(self, limit: int, what: str) -> int:
        count = self.integer("<Q", f"the number of {what}")
        if count > limit:
            raise self.bad(f"the header claims {count} {what}; rookery reads at most {limit}")
        return count

    def string(self, limit: int, what: str) -> memoryview:
        length = self.integer("<Q", what)
        if length > limit:
            raise self.bad(f"{what} is a string of {length} bytes; rookery reads at most {limit}")
        return self.take(length, what)

    def name(self, what: str) -> str:
        raw = bytes(self.string(MAX_NAME, what))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.bad(f"{what} is not UTF-8: {raw[:40]!r}") from None

    def strings(self, count: int, what: str) -> list[bytes]:
        """Many strings in one pass: a vocabulary has 65536 of them."""
        data, position, size = self.data, self.position, self.source.size
        found = []
        for index in range(count):
            start = position + 8
            position = start + _U64.unpack_from(data, position)[0] if start <= size else size + 1
            if position > size:
                raise TruncatedFile(f"{self.path}: the file ends inside string {index} of {count} of {what}")
            found.append(bytes(data[start:position]))
        self.position = position
        return found
