"""
Writing native files: vectors, the embedding, then the matrices packed and in the order a step reads them.

Numbers pass a few megabytes at a time.  The header is written twice: first with zeros for the checksums, which are
known when everything else is on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rookery import __version__, _native
from rookery.config import GROUP_NORM_EPS, optional
from rookery.errors import NumericError
from rookery.fingerprint import combined, sample
from rookery.formats import lazy
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.native_header import ALIGNMENT, PAGE, Extent, aligned, render, sizes
from rookery.formats.native_views import View, program_order, views
from rookery.formats.native_vocabulary import stored_vocabulary
from rookery.formats.removal import noted
from rookery.formats.stream import Part, Progress, converted
from rookery.formats.target import atomic
from rookery.quant import FORMATS

__all__ = ["write"]

_PIECE = 4 << 20  # bytes that pass at a time
_LARGE = 64 << 10  # bytes from which on a page may be filled up: at most 6 % of them
_GROUP = 32  # rows that are packed together
# Metadata that say where a model comes from and what it may be used for, not how GGUF stores it.
_KEPT = ("rookery.", "general.")
_METADATA = 1 << 20  # bytes of them, in JSON: readers refuse headers of 16 MiB
_NOT_KEPT = ("general.architecture", "general.type", "general.file_type", "general.quantization_version")


@dataclass(slots=True)
class _Item:
    """Bytes of the file: a tensor as rows, or a packed view of it.  view: None for rows."""

    name: str
    part: Part
    view: View | None
    extent: Extent

    def entry(self) -> dict[str, Any]:
        entry = {"name": self.name, "format": self.part.format, "shape": list(self.part.tensor.shape)}
        if self.view is not None:
            entry |= {"view": self.view.words, "layout": _native.layout_revision(self.kind.ggml)}
        return entry | self.extent.entry()

    @property
    def kind(self) -> Any:
        return FORMATS[self.part.format]


def write(checkpoint: Checkpoint, path: Path, dtype: str | None = None, progress: Progress | None = None) -> None:
    """Write a checked checkpoint of any version.

    dtype: "F32", "F16" or "BF16" for all tensors; None keeps each as it is stored, bit for bit.
    Raises NumericError, naming the tensor, for NaN and infinity in a matrix and for numbers that dtype cannot hold.
    """
    with atomic(path) as file:
        _Writer(file, checkpoint, dtype, progress).write()


class _Writer:
    """One file being written."""

    def __init__(self, file: BinaryIO, checkpoint: Checkpoint, dtype: str | None, progress: Progress | None) -> None:
        assert checkpoint.config is not None
        self.file = file
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.progress = progress
        self.vocabulary = stored_vocabulary(checkpoint.vocabulary, self.config.vocab)
        self.end = len(self.vocabulary)
        self.items = list(self._place(dtype))
        self.total = sum(item.extent.nbytes for item in self.items)
        self.done = 0
        self.samples: list[tuple[str, tuple[int, ...], np.ndarray]] = []

    def write(self) -> None:
        before = render(self._header("0" * 32), 0)
        self.file.write(before)
        self.file.write(self.vocabulary)
        for name, items in self._tensors():
            tensor = items[0].part.tensor
            stored = tensor.load()
            self._sample(name, items[0].part, stored)
            for item in items:
                self._write(item, stored, len(before))
        header = self._header(combined(self.samples, replace(self.config, group_norm_eps=GROUP_NORM_EPS)))
        self.file.seek(0)
        self.file.write(render(header, len(before) + self.end))

    def _place(self, dtype: str | None) -> Iterator[_Item]:
        """Everything that is written, in order."""
        for name, tensor in _ordered(self.checkpoint).items():
            found = views(name, tensor.shape)
            if tensor.kind.block > 1 and any(view.words for view in found):  # blocks cannot be transposed
                found, tensor = ((), tensor) if dtype is None else (found, lazy.computed(tensor, lambda x: x))
            part = Part(tensor, dtype or tensor.format)
            for view in found or (None,):
                nbytes = part.nbytes if view is None else _packed_bytes(part, view)
                offset = aligned(self.end, PAGE if nbytes >= _LARGE else ALIGNMENT)
                self.end = offset + nbytes
                yield _Item(name, part, view, Extent(offset, nbytes))

    def _tensors(self) -> Iterator[tuple[str, list[_Item]]]:
        """The items of each tensor, which follow one another."""
        found: dict[str, list[_Item]] = {}
        for item in self.items:
            found.setdefault(item.name, []).append(item)
        yield from found.items()

    def _header(self, fingerprint: str) -> dict[str, Any]:
        words = self.vocabulary
        known = self.checkpoint.vocabulary or {}
        extent = Extent(0, len(words), _sum(np.frombuffer(words, np.uint8), len(words)) if words else 0)
        return {
            "writer": f"rookery {__version__}",
            "config": sizes(self.config),
            "fingerprint": fingerprint,
            "metadata": noted(self.config) | _kept(self.checkpoint.metadata),
            "vocabulary": {"tokens": len(known), **extent.entry()} if words else None,
            "tensors": [item.entry() for item in self.items],
        }

    def _sample(self, name: str, part: Part, stored: np.ndarray) -> None:
        if name not in self.checkpoint.tensors:
            return
        numbers = sample(part.tensor.kind, part.tensor.shape, stored)
        if part.format != part.tensor.format:
            encode = FORMATS[part.format].encode
            assert encode is not None
            numbers = FORMATS[part.format].decode(encode(numbers)).astype(np.float32)
        self.samples.append((name, part.tensor.shape, numbers))

    def _write(self, item: _Item, stored: np.ndarray, start: int) -> None:
        self.file.write(bytes(start + item.extent.offset - self.file.tell()))
        rows = stored if item.view is None else item.view.of(stored)
        rows = rows.reshape(-1, rows.shape[-1]) if rows.ndim != 2 else rows
        row_bytes = item.extent.nbytes // len(rows)
        step = max(_GROUP, _PIECE // row_bytes // _GROUP * _GROUP)
        checksum = 0
        for at in range(0, len(rows), step):
            data = np.frombuffer(converted(rows[at : at + step], item.part, item.name), np.uint8)
            if item.view is not None:
                inputs = item.view.shape(item.part.tensor.shape)[1]
                data = _pack(item, data, inputs, self.checkpoint.path)
                piece = _native.group_bytes(item.kind.ggml, inputs)
            else:
                piece = row_bytes
            checksum = _sum(data, piece, checksum)
            self.file.write(data.data)
            self._report(data.nbytes)
        item.extent = Extent(item.extent.offset, item.extent.nbytes, checksum)

    def _report(self, nbytes: int) -> None:
        self.done += nbytes
        self.checkpoint.release()
        if self.progress:
            self.progress(self.done, self.total)


def _ordered(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Vectors and tuned states, the embedding, matrices in program order, and at last what no program reads."""
    assert checkpoint.config is not None
    tensors = checkpoint.tensors | checkpoint.initial_state
    matrices = [name for name in program_order(checkpoint.config) if name in tensors]
    large = {"emb.weight", *matrices}
    vectors = [name for name in tensors if name not in large and not _unread(name, tensors[name])]
    unread = [name for name in tensors if name not in large and _unread(name, tensors[name])]
    return {name: tensors[name] for name in (*vectors, "emb.weight", *matrices, *unread)}


def _unread(name: str, tensor: Tensor) -> bool:
    return optional(name) and len(tensor.shape) > 1


def _packed_bytes(part: Part, view: View) -> int:
    outputs, inputs = view.shape(part.tensor.shape)
    return -(-outputs // _GROUP) * int(_native.group_bytes(FORMATS[part.format].ggml, inputs))


def _pack(item: _Item, rows: np.ndarray, inputs: int, path: Path) -> np.ndarray:
    row_bytes = item.kind.row_bytes(inputs)
    try:
        packed: np.ndarray = _native.pack(item.kind.ggml, rows.reshape(-1, row_bytes), inputs)
    except ArithmeticError:
        raise NumericError.in_tensor(item.name, str(path)) from None
    return packed


def _sum(data: np.ndarray, piece: int, before: int = 0) -> int:
    return int(_native.checksum(data, piece, before))


def _kept(metadata: dict[str, Any]) -> dict[str, Any]:
    """What the file says of itself; texts that would leave no room in the header are left out."""
    found: dict[str, Any] = {}
    room = _METADATA
    for key, value in metadata.items():
        if not key.startswith(_KEPT) or key in _NOT_KEPT or not isinstance(value, str | int):
            continue
        size = len(json.dumps([key, value]))
        if size <= room:
            found[key] = value
            room -= size
    return found
