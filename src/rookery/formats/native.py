"""
Native files (.rookery): a model whose matrices lie in the file as the native kernels read them.

Loading is one pass from the first byte of the matrices to the last, copying.  Everybody else sees ordinary tensors:
`load` unpacks, bit for bit.  See docs/native-file.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rookery import _native
from rookery.config import Config
from rookery.errors import FormatError, UnsupportedError
from rookery.formats import lazy
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.native_header import MAGIC, PAGE, Extent, parse, sizes
from rookery.formats.native_views import View, views
from rookery.formats.native_vocabulary import StoredVocabulary
from rookery.formats.source import Source
from rookery.quant import FORMATS, WeightFormat
from rookery.weights import Packed

__all__ = ["NAME", "read", "sniff"]

NAME = "rookery"

_SMALL = 1 << 20  # bytes up to which rows are checked whenever they are read
_LONGEST = (1 << 31) - 64  # rows or columns of a matrix: what the kernels count with
_MOST = 1 << 60  # numbers of a tensor
_LEAST_TOKEN = 9  # bytes: id, length, and a byte
_MAX_NAME = 500
_ROWS = {"name", "format", "shape", "offset", "bytes", "checksum"}
_KEYS = (_ROWS, _ROWS | {"view", "layout"})


def sniff(path: Path, head: bytes) -> bool:
    """Whether a file that begins with `head` is a native file."""
    return head.startswith(MAGIC)


def read(path: Path) -> Checkpoint:
    """A native file as a checkpoint; no number has been read yet.

    FormatError or TruncatedFile when the file is damaged, UnsupportedError for versions, layouts and weight formats
    that this rookery does not read, each naming the file.
    """
    source = Source(path)
    file = _File(source, *parse(source))
    tensors = file.tensors()
    config = Config.infer({name: tensor.shape for name, tensor in tensors.items()}, str(path))
    file.check_config(config)
    return Checkpoint(
        path=path,
        format=NAME,
        tensors=tensors,
        metadata=file.metadata(),
        vocabulary=file.vocabulary(),
        fingerprint=file.fingerprint(),
        verify=file.verify,
        release=source.release,
    )


@dataclass(frozen=True, slots=True)
class _Item:
    """A tensor as rows, or a packed view of it, of which `load` gives the bytes; view: None for rows."""

    name: str
    kind: WeightFormat
    shape: tuple[int, ...]
    view: View | None
    extent: Extent
    load: Callable[[], np.ndarray]

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows and columns of what lies in the file."""
        if self.view is not None:
            return self.view.shape(self.shape)
        return math.prod(self.shape[:-1]), self.shape[-1] if self.shape else 1

    def checked(self, path: Path) -> np.ndarray:
        """The bytes, read once; FormatError where the checksum is wrong."""
        columns = self.matrix[1]
        piece = self.kind.row_bytes(columns) if self.view is None else _native.group_bytes(self.kind.ggml, columns)
        data = self.load()
        if _native.checksum(data, piece) != self.extent.checksum:
            raise FormatError.damaged(self.name, str(path))
        return data


class _File:
    """An opened file: its header and where the data begin."""

    def __init__(self, source: Source, header: dict[str, Any], start: int) -> None:
        self.source = source
        self.path = source.path
        self.header = header
        self.start = start
        listed = header.get("tensors")
        if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
            raise FormatError(f"{self.path}: the header lists no tensors; fetch the file again")
        self.items = [self._item(entry) for entry in listed]
        self.words = self._words()
        self._check_cover()

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by its official name."""
        by_name: dict[str, list[_Item]] = {}
        for item in self.items:
            by_name.setdefault(item.name, []).append(item)
        return {name: self._tensor(name, items) for name, items in by_name.items()}

    def metadata(self) -> dict[str, Any]:
        found = self.header.get("metadata", {})
        if not isinstance(found, dict) or not all(isinstance(x, str | int | float) for x in found.values()):
            raise FormatError(f"{self.path}: 'metadata' must map names to strings and numbers; fetch the file again")
        return found

    def fingerprint(self) -> str:
        mark = self.header.get("fingerprint")
        if not isinstance(mark, str) or len(mark) != 32 or not set(mark) <= set("0123456789abcdef"):
            raise FormatError(f"{self.path}: the fingerprint must be 32 hex digits; fetch the file again")
        return mark

    def check_config(self, config: Config) -> None:
        """The sizes the header states are those of the tensors."""
        if self.header.get("config") != sizes(config):
            raise FormatError(f"{self.path}: the header says other sizes than the tensors have; fetch the file again")

    def vocabulary(self) -> StoredVocabulary | None:
        if self.words is None:
            return None
        what = f"{self.path}: the vocabulary"
        data = self._bytes(self.words, "the vocabulary")
        if _native.checksum(data, data.size) != self.words.checksum:
            raise FormatError(f"{what} is not what was written: its checksum is wrong; fetch the file again")
        tokens = self.header["vocabulary"].get("tokens")
        if type(tokens) is not int or not 0 < tokens <= data.size // _LEAST_TOKEN:
            raise FormatError(f"{what} says no number of tokens that it has room for; fetch the file again")
        return StoredVocabulary(data.tobytes(), tokens, what)

    def verify(self) -> None:
        for item in self.items:
            item.checked(self.path)
            self.source.release()

    def _item(self, entry: dict[str, Any]) -> _Item:
        name = entry.get("name")
        if not isinstance(name, str) or len(name) > _MAX_NAME or entry.keys() not in _KEYS:
            raise FormatError(f"{self.path}: a tensor has no valid entry; expected {', '.join(sorted(_ROWS))}")
        what = f"{self.path}: tensor {name!r}"
        kind = FORMATS.get(entry["format"]) if isinstance(entry["format"], str) else None
        if kind is None:
            known = ", ".join(FORMATS)
            raise UnsupportedError(f"{what} has weight format {str(entry['format'])[:40]!r}; expected one of {known}")
        shape = lazy.check_shape(entry["shape"], what)
        extent = Extent.of(entry, what)
        view = self._view(name, shape, kind, entry, what)
        self.source.view(self.start + extent.offset, extent.nbytes, f"tensor {name!r}")
        item = _Item(name, kind, shape, view, extent, lambda: self._bytes(extent, f"tensor {name!r}"))
        needed = _needed(item, what)
        if needed != extent.nbytes:
            raise FormatError(f"{what}, {kind.name} of shape {shape}, needs {needed} bytes, not {extent.nbytes}")
        return item

    def _view(
        self, name: str, shape: tuple[int, ...], kind: WeightFormat, entry: dict[str, Any], what: str
    ) -> View | None:
        if "view" not in entry:
            return None
        if 0 in shape or max(shape, default=0) > _LONGEST or math.prod(shape) > _MOST:
            raise FormatError(f"{what} has shape {shape}, which no packed matrix can have; fetch the file again")
        found = next((view for view in views(name, shape) if view.words == entry["view"]), None)
        if found is None or (kind.block > 1 and found.words):
            raise FormatError(f"{what} of shape {shape} has no packed view {str(entry['view'])[:40]!r}")
        mine = _native.layout_revision(kind.ggml)
        if entry["layout"] != mine:
            raise UnsupportedError(
                f"{what} is packed in layout {str(entry['layout'])[:40]} of {kind.name}, written by "
                f"{str(self.header.get('writer'))[:40]}; this rookery reads layout {mine}: convert the model again "
                "from its source"
            )
        return found

    def _words(self) -> Extent | None:
        entry = self.header.get("vocabulary")
        if entry is None:
            return None
        if not isinstance(entry, dict):
            raise FormatError(f"{self.path}: the vocabulary has no valid entry; fetch the file again")
        return Extent.of(entry, f"{self.path}: the vocabulary")

    def _check_cover(self) -> None:
        """Nothing lies over anything else, no large hole is left, and the last byte is somebody's."""
        extents = sorted([item.extent for item in self.items] + ([self.words] if self.words else []), key=_begin)
        edges = [Extent(-PAGE, PAGE), *extents, Extent(self.source.size - self.start, 1)]
        for before, after in pairwise(edges):
            hole = after.offset - before.offset - before.nbytes
            if not 0 <= hole < (PAGE if after is not edges[-1] else 1):
                raise FormatError(
                    f"{self.path}: {-hole if hole < 0 else hole} bytes at {after.offset} of the data are "
                    f"{'claimed twice' if hole < 0 else 'claimed by nothing'}; fetch the file again"
                )

    def _bytes(self, extent: Extent, what: str) -> np.ndarray:
        return self.source.view(self.start + extent.offset, extent.nbytes, what)

    def _tensor(self, name: str, items: list[_Item]) -> Tensor:
        first = items[0]
        if first.view is None and len(items) == 1:
            return self._rows(first)
        wanted = [view.words for view in views(name, first.shape)]
        alike = all((item.kind, item.shape) == (first.kind, first.shape) for item in items)
        if not alike or [item.view and item.view.words for item in items] != wanted:
            expected = f"the views {', '.join(map(repr, wanted))}, or rows" if wanted else "rows"
            raise FormatError(f"{self.path}: tensor {name!r} is listed wrongly; expected {expected}, once")
        packed = {
            name + words: Packed(item.load, item.extent.checksum) for words, item in zip(wanted, items, strict=True)
        }
        return Tensor(first.kind.name, first.shape, lambda: _unpacked(items, self.path), packed=packed)

    def _rows(self, item: _Item) -> Tensor:
        offset = self.start + item.extent.offset
        plain = lazy.mapped(self.source, offset, item.kind.name, item.shape, f"tensor {item.name!r}")

        def load() -> np.ndarray:
            item.checked(self.path)
            return plain.load()

        return Tensor(plain.format, plain.shape, load) if item.extent.nbytes <= _SMALL else plain


def _begin(extent: Extent) -> int:
    return extent.offset


def _needed(item: _Item, what: str) -> int:
    """Bytes of what lies in the file."""
    rows, columns = item.matrix
    whole = lazy.stored_bytes(item.kind.name, (rows, columns), what)
    return whole if item.view is None else -(-rows // 32) * int(_native.group_bytes(item.kind.ggml, columns))


def _unpacked(items: list[_Item], path: Path) -> np.ndarray:
    """The storage array of a tensor whose views are packed."""
    if [item.view and item.view.words for item in items] == [""]:
        return next(_parts(items, path))
    shape, kind = items[0].shape, items[0].kind
    whole = np.empty(shape, lazy.DTYPES[kind.name])  # only dense tensors have views that are not all of them
    for item, numbers in zip(items, _parts(items, path), strict=True):
        assert item.view is not None
        item.view.of(whole)[...] = numbers
    return whole


def _parts(items: list[_Item], path: Path) -> Iterator[np.ndarray]:
    for item in items:
        rows, columns = item.matrix
        raw: np.ndarray = _native.unpack(item.kind.ggml, item.checked(path), rows, columns)
        yield raw if item.kind.block > 1 else raw.view(lazy.DTYPES[item.kind.name])
