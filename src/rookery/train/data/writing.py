"""Writing a folder of tokens, document by document."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from rookery.formats.target import flush
from rookery.train.data.encoding import Encoded
from rookery.train.data.tokens import DOCUMENTS, MASK, TOKENS

__all__ = ["TokenWriter"]

_SHORT = 1 << 16  # the largest vocabulary that 16 bits can number
_ONES = b"\1" * (1 << 20)


class TokenWriter:
    """Files of a folder of tokens; all but meta.json.  On leaving without an error they are on the disk."""

    def __init__(self, folder: Path, vocabulary: int) -> None:
        self.tokens = self.documents = self.masked = self.bytes = self.empty = 0
        self._folder = folder
        self._dtype = np.dtype("<u2" if vocabulary <= _SHORT else "<u4")
        self._files = ExitStack()
        self._ids = self._opened(TOKENS)
        self._index = self._opened(DOCUMENTS)
        self._mask: BinaryIO | None = None
        self._index.write(bytes(8))

    def add(self, document: Encoded) -> None:
        """Append a document; one without tokens is counted and left out."""
        before = self.tokens
        for ids, target in document.parts:
            self._append(ids, target)
        self.bytes += document.bytes
        if self.tokens == before:
            self.empty += 1
            return
        self.documents += 1
        self._index.write(np.int64(self.tokens).astype("<i8").tobytes())

    def counts(self) -> dict[str, Any]:
        """For meta.json."""
        return {
            "dtype": "uint16" if self._dtype.itemsize == 2 else "uint32",
            "documents": self.documents,
            "tokens": self.tokens,
            "targets": self.tokens - self.masked,
            "bytes": self.bytes,
            "empty": self.empty,
            "masked": self._mask is not None,
        }

    def _append(self, ids: np.ndarray, target: bool) -> None:
        if not target and self._mask is None:
            self._mask = self._opened(MASK)
            self._fill(self._mask, self.tokens)
        self._ids.write(ids.astype(self._dtype).tobytes())
        if self._mask is not None:
            self._mask.write((b"\1" if target else b"\0") * len(ids))
        self.masked += 0 if target else len(ids)
        self.tokens += len(ids)

    @staticmethod
    def _fill(file: BinaryIO, count: int) -> None:
        for at in range(0, count, len(_ONES)):
            file.write(_ONES[: count - at])

    def _opened(self, name: str) -> BinaryIO:
        return self._files.enter_context(open(self._folder / name, "wb", buffering=1 << 20))

    def __enter__(self) -> TokenWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._files:
            if kind is None:
                for file in (self._ids, self._index, self._mask):
                    if file is not None:
                        flush(file)
