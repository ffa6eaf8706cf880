"""
Checkpoints as `torch.save` writes them, read without torch.

A ZIP archive with a pickle that describes the tensors and one stored entry per block of numbers, which is mapped,
not read.  `pickles` makes sure that nothing in the file is executed.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import FormatError, UnsupportedError
from rookery.formats import lazy, names, pickles
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.source import Source
from rookery.formats.zips import Entry, directory

__all__ = ["NAME", "read", "read_tensors", "read_unnamed", "sniff"]

NAME = "pth"

_ZIP = b"PK\x03\x04"
_LEGACY = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # LONG1 of torch's magic number before version 1.6
_MAX_PICKLE = 16 << 20  # bytes; real checkpoints need about 150 per tensor
_MAX_NAME = 500
_Item = tuple[str, pickles.TensorRecord]
_CONVERTED = ("_strategy", "_version", "_rescale_layer")  # marks of the official package's converted files


def sniff(path: Path, head: bytes) -> bool:
    """Zip archives; and bare pickles, so that `read` can say what is wrong with them."""
    return head.startswith(_ZIP) or (head[:1] == b"\x80" and head[1:2] in b"\2\3\4\5" and len(head) > 2)


def read(path: Path) -> Checkpoint:
    """The tensors under official names, unchecked."""
    opened = read_unnamed(path)
    return replace(opened, tensors=names.official(opened.tensors, str(path)))


def read_unnamed(path: Path) -> Checkpoint:
    """The tensors under the names in the file."""
    source = Source(path)
    return Checkpoint(path, NAME, _tensors(source), release=source.release)


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """Every tensor of a file written by `torch.save`, with no idea of what it means.

    The file holds a flat dictionary of tensors, or a list of tensors, which get the names "0", "1", ...
    Element types are those of `lazy.DTYPES`.  FormatError, UnsafeFile or UnsupportedError, naming the file.
    """
    return _tensors(Source(Path(path)))


def _tensors(source: Source) -> dict[str, Tensor]:
    _refuse_bare_pickle(source)
    entries = directory(source)
    root = _root(source, entries)
    _check_byteorder(source, entries.get(f"{root}byteorder"))
    entry = entries[f"{root}data.pkl"]
    if entry.size > _MAX_PICKLE:
        raise FormatError(f"{source.path}: data.pkl has {entry.size} bytes; expected at most {_MAX_PICKLE}")
    data = source.view(entry.offset, entry.size, "data.pkl").tobytes()
    records = _named(source.path, pickles.load(data, str(source.path)))
    return {name: _tensor(source, entries, f"{root}data/", (name, record)) for name, record in records.items()}


def _refuse_bare_pickle(source: Source) -> None:
    head = source.view(0, min(source.size, 64), "the header").tobytes()
    remedy = "load it with torch and write it again with torch.save(torch.load(old, weights_only=True), new)"
    if _LEGACY in head:
        raise UnsupportedError(f"{source.path}: this is a checkpoint of torch before 1.6; {remedy}")
    if not head.startswith(_ZIP):
        raise UnsupportedError(f"{source.path}: this is a bare pickle, not a zip archive of torch; {remedy}")


def _root(source: Source, entries: dict[str, Entry]) -> str:
    """The folder of the archive, with its slash.  Any name; never assumed to be the file's."""
    roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
    if len(roots) != 1 or roots[0].count("/") != 1:
        raise FormatError(f"{source.path}: a zip archive, but not a checkpoint of torch; expected one NAME/data.pkl")
    if any(name.startswith((roots[0] + "code/", roots[0] + "constants.pkl")) for name in entries):
        raise UnsupportedError(
            f"{source.path}: this is a TorchScript program, not a checkpoint; use the .pth file it was made from"
        )
    packed = next((name for name, entry in entries.items() if not entry.stored), None)
    if packed:
        raise UnsupportedError(
            f"{source.path}: the zip entry {packed!r} is compressed or encrypted; expected stored entries, as "
            "torch.save writes them"
        )
    return roots[0]


def _check_byteorder(source: Source, entry: Entry | None) -> None:
    if entry is None:
        return
    order = source.view(entry.offset, min(entry.size, 16), "byteorder").tobytes()
    if order.strip() != b"little":
        raise UnsupportedError(f"{source.path}: byte order {order!r}; only little-endian checkpoints are read")


def _named(path: Path, root: Any) -> dict[str, pickles.TensorRecord]:
    """The top level of the pickle as names and tensor records."""
    if isinstance(root, list | tuple) and root:
        root = {str(index): item for index, item in enumerate(root)}
    if not isinstance(root, dict):
        raise FormatError(f"{path}: the file holds a {_kind(root)}; expected a dictionary of tensors")
    if any(mark in root for mark in _CONVERTED):
        raise UnsupportedError(
            f"{path}: this file was converted by the rwkv package for one strategy, which changes its numbers; "
            "use the original .pth file"
        )
    for name, value in root.items():
        if not isinstance(name, str) or len(name) > _MAX_NAME:
            raise FormatError(f"{path}: a key of the dictionary is not a tensor name: {str(name)[:80]!r}")
        if type(value) is not pickles.TensorRecord:
            raise FormatError(
                f"{path}: entry {name!r} is a {_kind(value)}, expected a tensor; if this is a training snapshot, "
                "save only the model's state_dict()"
            )
    return root


def _kind(value: Any) -> str:
    kinds = {dict: "dictionary", pickles.TensorRecord: "single tensor", str: "string"} | dict.fromkeys(
        (bool, int, float), "number"
    )
    return kinds.get(type(value), type(value).__name__)


def _tensor(source: Source, entries: dict[str, Entry], folder: str, item: _Item) -> Tensor:
    """A tensor over its mapped storage.  Offset and strides are honoured once they are known to stay inside."""
    name, record = item
    what = f"{source.path}: tensor {name!r}"
    storage = record.storage
    entry = entries.get(folder + storage.key)
    dtype = lazy.DTYPES[storage.format]
    if entry is None:
        raise FormatError(f"{what} refers to the data entry {storage.key[:80]!r}, which is missing")
    if storage.count * dtype.itemsize > entry.size:
        raise FormatError(
            f"{what} needs {storage.count * dtype.itemsize} bytes of data, but entry {storage.key!r} has {entry.size}"
        )
    shape, strides = _extent(record, what)
    start = entry.offset + record.offset * dtype.itemsize
    if strides == lazy.row_major(shape):
        return lazy.mapped(source, start, storage.format, shape, f"tensor {name!r}")
    steps = tuple(stride * dtype.itemsize for stride in strides)

    def load() -> np.ndarray:
        numbers = source.view(entry.offset, storage.count * dtype.itemsize, f"tensor {name!r}").view(dtype)
        return np.lib.stride_tricks.as_strided(numbers[record.offset :], shape, steps, writeable=False)

    return Tensor(storage.format, shape, load)


def _extent(record: pickles.TensorRecord, what: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and strides, proven to stay inside the storage.

    Strides of dimensions with one element mean nothing and are replaced by the regular ones.
    """
    shape = lazy.check_shape(record.shape, what)
    given = lazy.check_shape(record.strides, f"{what}: the strides of it")
    if len(given) != len(shape) or type(record.offset) is not int or record.offset < 0:
        raise FormatError(f"{what} has strides or an offset that do not fit its shape {shape}")
    regular = lazy.row_major(shape)
    strides = tuple(r if n < 2 else s for n, s, r in zip(shape, given, regular, strict=True))
    count = math.prod(shape)
    last = record.offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if count else 0
    if count > record.storage.count or last >= max(record.storage.count, 1) or record.offset > record.storage.count:
        raise FormatError(f"{what} of shape {shape} reaches beyond its storage of {record.storage.count} elements")
    return shape, strides
