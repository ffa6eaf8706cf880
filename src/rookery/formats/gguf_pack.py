"""The GGUF container, written: header bytes for typed keys and tensor descriptors.  Knows nothing of RWKV."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from rookery.formats.gguf_container import MAGIC

__all__ = ["ALIGNMENT", "Descriptor", "Key", "aligned", "header"]

ALIGNMENT = 32
VERSION = 3

_TYPES = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?")}
_STRING, _ARRAY = 8, 9


class Key(NamedTuple):
    """kind: "u32", "i32", "f32", "bool" or "str"; a list of values becomes an array."""

    name: str
    kind: str
    value: Any


class Descriptor(NamedTuple):
    """shape: slowest dimension first.  nbytes: of the data, without padding."""

    name: str
    shape: tuple[int, ...]
    type: int
    nbytes: int


def header(keys: Sequence[Key], tensors: Sequence[Descriptor]) -> bytes:
    """Everything before the data of the first tensor, padding included.

    The data of each tensor follow in order, each padded with `aligned`.
    """
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(keys))]
    for key in keys:
        parts += [_string(key.name), *_value(key)]
    offset = 0
    for tensor in tensors:
        dims = tensor.shape[::-1]
        parts += [_string(tensor.name), struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, tensor.type, offset)]
        offset += aligned(tensor.nbytes)
    whole = b"".join(parts)
    return whole.ljust(aligned(len(whole)), b"\0")


def aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def _value(key: Key) -> Iterable[bytes]:
    array = isinstance(key.value, list)
    kind = _STRING if key.kind == "str" else _TYPES[key.kind][0]
    values = key.value if array else [key.value]
    yield struct.pack("<IIQ", _ARRAY, kind, len(values)) if array else struct.pack("<I", kind)
    for value in values:
        yield _string(value) if key.kind == "str" else struct.pack(_TYPES[key.kind][1], value)


def _string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw
