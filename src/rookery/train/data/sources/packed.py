"""Files as they are, or packed with gzip or xz: opened alike."""

from __future__ import annotations

import gzip
import lzma
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from rookery.train.data.sources.base import Span, named

__all__ = ["SUFFIXES", "Reading", "opened", "plain_suffix", "whole"]

_UNPACKERS: dict[str, Callable[[BinaryIO], gzip.GzipFile | lzma.LZMAFile]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw),
    ".xz": lzma.LZMAFile,
}
SUFFIXES = tuple(_UNPACKERS)


class Reading:
    """A stream of bytes, and how far into its file it is."""

    def __init__(self, stream: BinaryIO, raw: BinaryIO) -> None:
        self.stream, self._raw = stream, raw

    @property
    def read(self) -> int:
        """Bytes of the file, packed as it is."""
        return self._raw.tell()


@contextmanager
def opened(path: Path) -> Iterator[Reading]:
    """The unpacked content of a file."""
    with named(path), open(path, "rb") as raw:
        if path.suffix not in SUFFIXES:
            yield Reading(raw, raw)
            return
        with _UNPACKERS[path.suffix](raw) as stream:
            yield Reading(cast(BinaryIO, stream), raw)


def whole(path: Path) -> Span:
    """All bytes of a file: mapped, so that its size does not matter, unless it is packed."""
    with opened(path) as reading:
        if path.suffix not in SUFFIXES and path.stat().st_size:
            return cast(Span, mmap.mmap(reading.stream.fileno(), 0, access=mmap.ACCESS_READ))
        return reading.stream.read()


def plain_suffix(path: Path) -> str:
    """The suffix that says what is inside: ".jsonl" of "tales.jsonl.xz"."""
    return Path(path.stem if path.suffix in SUFFIXES else path.name).suffix.lower()
