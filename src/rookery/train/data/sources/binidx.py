"""
Megatron's `.bin` + `.idx`, in which RWKV's data sets are kept: token ids, read and written.

`.idx`: b"MMIDIDX\\0\\0", uint64 version 1, uint8 element type, uint64 sequences, uint64 length of the document index;
then int32 lengths and int64 byte offsets of the sequences, and int64 document index: document i is the sequences from
index[i] to index[i + 1].  `.bin`: the ids, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from rookery.errors import FormatError, TruncatedFile, UnsupportedError
from rookery.train.data.sources.base import Document, Piece, Source, file_identity, named
from rookery.train.data.tokens import Tokens

__all__ = ["BinIdx", "write_binidx"]

MAGIC = b"MMIDIDX\0\0"
_HEADER = struct.Struct("<9sQBQQ")
_DTYPES = {1: "u1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2"}
_BLOCK = 1 << 20  # tokens copied at a time


class BinIdx(Source):
    """Either of the two files stands for both.  An id that ends every document is known as such when it is encoded."""

    def documents(self) -> Iterator[Document]:
        lengths, offsets, index, dtype = self._index()
        ids = self._ids(dtype)
        starts = offsets // dtype.itemsize
        for i in range(len(index) - 1):
            here = slice(int(index[i]), int(index[i + 1]))
            pieces = [Piece(ids[s : s + n]) for s, n in zip(starts[here], lengths[here], strict=True)]
            if pieces:
                last = int(index[i + 1]) - 1
                read = int(offsets[last]) + int(lengths[last]) * dtype.itemsize
                yield Document(pieces, f"{self.path}, document {i}", read)

    @property
    def size(self) -> int:
        with named(self._bin):
            return self._bin.stat().st_size

    def identity(self) -> list[Any]:
        return [file_identity(self._bin), file_identity(self._bin.with_suffix(".idx"))]

    @property
    def _bin(self) -> Path:
        return self.path.with_suffix(".bin")

    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.dtype[Any]]:
        path = self.path.with_suffix(".idx")
        with named(path), open(path, "rb") as file:
            count, documents, dtype = self._header(path, file)
            lengths = np.fromfile(file, "<i4", count).astype(np.int64)
            offsets = np.fromfile(file, "<i8", count)
            index = np.fromfile(file, "<i8", documents)
        self._check(path, lengths, offsets, dtype)
        return lengths, offsets, _documents(index, count), dtype

    def _header(self, path: Path, file: BinaryIO) -> tuple[int, int, np.dtype[Any]]:
        raw = file.read(_HEADER.size)
        if len(raw) < _HEADER.size or not raw.startswith(MAGIC):
            raise FormatError(f"{path}: not an index of a .bin file; expected it to begin with MMIDIDX")
        _, version, code, count, documents = _HEADER.unpack(raw)
        if version != 1 or code not in _DTYPES:
            raise UnsupportedError(f"{path}: version {version}, element type {code}; known: version 1, whole numbers")
        need = _HEADER.size + 12 * count + 8 * documents
        if path.stat().st_size < need:
            raise TruncatedFile(f"{path}: ends too early, its header promises {need} bytes; fetch it again")
        return count, documents, np.dtype(_DTYPES[code])

    def _check(self, path: Path, lengths: np.ndarray, offsets: np.ndarray, dtype: np.dtype[Any]) -> None:
        size = self.size
        wrong = (lengths < 0) | (offsets < 0) | (offsets > size) | (offsets % dtype.itemsize != 0)
        wrong |= lengths > (size - offsets) // dtype.itemsize
        if wrong.any():
            i = int(np.argmax(wrong))
            raise FormatError(f"{path}: sequence {i} lies outside {self._bin.name} of {size} bytes; fetch both again")

    def _ids(self, dtype: np.dtype[Any]) -> np.ndarray:
        with named(self._bin):
            if not self.size:
                return np.empty(0, dtype)
            return np.memmap(self._bin, dtype, "r", shape=(self.size // dtype.itemsize,))


def _documents(index: np.ndarray, count: int) -> np.ndarray:
    """Some writers leave the document index out, or leave it wrong: then every sequence is a document."""
    good = len(index) > 1 and index[0] == 0 and index[-1] == count and bool((np.diff(index) >= 0).all())
    return index if good else np.arange(count + 1)


def write_binidx(tokens: Tokens, path: str | Path) -> None:
    """Write tokens as `path`.bin and `path`.idx, as RWKV's trainers read them: an ending token after each document.

    The leading token is left out: these trainers have none.  Masks have no place in the format.
    """
    from rookery.formats.target import atomic

    path = Path(str(path).removesuffix(".bin").removesuffix(".idx"))
    lead, end = int(tokens.leading is not None), int(tokens.ending is not None)
    lengths = np.diff(tokens.documents) - lead + end
    if len(lengths) and lengths.max() >= 1 << 31:
        raise UnsupportedError(f"{path}: a document has {int(lengths.max())} tokens; the format holds 2^31 - 1 at most")
    dtype = np.dtype("<u2") if tokens.ids.dtype.itemsize == 2 else np.dtype("<i4")
    with atomic(Path(f"{path}.bin")) as file:
        for start, stop in zip(tokens.documents[:-1].tolist(), tokens.documents[1:].tolist(), strict=True):
            for at in range(start + lead, stop, _BLOCK):
                file.write(tokens.ids[at : min(stop, at + _BLOCK)].astype(dtype).tobytes())
            if end:
                file.write(np.array([tokens.ending], dtype).tobytes())
    with atomic(Path(f"{path}.idx")) as file:
        code = next(code for code, name in _DTYPES.items() if np.dtype(name) == dtype)
        file.write(_HEADER.pack(MAGIC, 1, code, len(lengths), len(lengths) + 1))
        file.write(lengths.astype("<i4").tobytes())
        file.write(((np.cumsum(lengths) - lengths) * dtype.itemsize).astype("<i8").tobytes())
        file.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
