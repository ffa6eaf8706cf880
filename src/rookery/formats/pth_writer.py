"""
Writing checkpoints that `torch.load(path, weights_only=True)` opens, without torch.

A dictionary of contiguous tensors, each with a storage of its own.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from pathlib import Path

from rookery.formats import lazy
from rookery.formats.checkpoint import Checkpoint
from rookery.formats.pickles import STORAGES
from rookery.formats.stream import Part, Progress, Stream, dense_parts
from rookery.formats.target import atomic
from rookery.formats.zip_writer import ZipWriter

__all__ = ["write", "write_stream"]

_ROOT = "archive"
_CLASSES = {format: name for name, format in STORAGES.items()}


def write(checkpoint: Checkpoint, path: Path, dtype: str | None, progress: Progress | None) -> None:
    """Official names and shapes; every tensor in one type, vectors too, as the official trainers write them."""
    write_stream(path, Stream(dense_parts(checkpoint, dtype), checkpoint.release, progress))


def write_stream(path: Path, stream: Stream) -> None:
    """A file with the parts of the stream in its order."""
    pickle = _pickle(stream.parts)
    with atomic(path) as file:
        archive = ZipWriter(file)
        for name, text in (("data.pkl", pickle), ("byteorder", b"little"), ("version", b"3\n")):
            archive.add(f"{_ROOT}/{name}", len(text), [text])
        for key, (name, part) in enumerate(stream.parts.items()):
            archive.add(f"{_ROOT}/data/{key}", part.nbytes, stream.bytes_of(name))
        archive.finish()


def _pickle(parts: Mapping[str, Part]) -> bytes:
    """Protocol 2: {name: _rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())}."""
    items = b"".join(_string(name) + _tensor(str(key), part) for key, (name, part) in enumerate(parts.items()))
    return b"\x80\x02}(" + items + b"u."


def _tensor(key: str, part: Part) -> bytes:
    shape = part.tensor.shape
    kind = _global("torch", _CLASSES[part.format])
    storage = _tuple(_string("storage"), kind, _string(key), _string("cpu"), _integer(math.prod(shape))) + b"Q"
    strides = _tuple(*map(_integer, lazy.row_major(shape)))
    hooks = _global("collections", "OrderedDict") + b")R"
    arguments = _tuple(storage, _integer(0), _tuple(*map(_integer, shape)), strides, b"\x89", hooks)
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _string(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _integer(value: int) -> bytes:
    """BININT holds 31 bits; storages of large models need LONG1."""
    if value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)
