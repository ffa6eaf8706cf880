"""
Reading files we do not trust.

`Source` maps a file and checks every range before it is touched.  `regular` opens only what can be mapped: nothing
waits for the other end of a pipe.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rookery.errors import FormatError, TruncatedFile

__all__ = ["Source", "regular"]


@contextlib.contextmanager
def regular(path: Path) -> Iterator[BinaryIO]:
    """A file open for reading; FormatError for what is no file at all: a directory, a pipe, a device."""
    try:
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except IsADirectoryError:
        raise FormatError(f"{path}: cannot be opened (a directory); expected a file") from None
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise FormatError(f"{path}: cannot be opened (a pipe or a device); expected a file")
        yield file


def _without_waiting(path: str, flags: int) -> int:
    """As `os.open`, but opening a pipe does not wait for its other end; files do not care."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Source:
    """A read-only mapped file.  `take` walks through it; `view` looks anywhere."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        with regular(path) as file:
            self.size = os.fstat(file.fileno()).st_size
            if self.size == 0:
                raise FormatError(f"{path}: the file is empty; expected a model")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(self._map, np.uint8)

    def view(self, offset: int, count: int, what: str) -> np.ndarray:
        """`count` bytes from `offset` as a uint8 view; TruncatedFile, naming `what`, when they are not there."""
        if offset < 0 or count < 0 or offset + count > self.size:
            raise TruncatedFile(
                f"{self.path}: {what} should occupy bytes {offset} to {offset + count}, but the file has "
                f"{self.size}; it is damaged or was not copied completely, fetch it again"
            )
        return self._bytes[offset : offset + count]

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes."""
        data = self.view(self.position, count, what).tobytes()
        self.position += count
        return data

    def unpack(self, layout: str, what: str) -> tuple[int, ...]:
        """The next numbers, by a `struct` layout."""
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))

    def release(self) -> None:
        """Give pages that were read back to the system; they are read again when needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
