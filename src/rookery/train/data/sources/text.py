"""Text files: one document, or many with a separator between them."""

from __future__ import annotations

from collections.abc import Iterator

from rookery.errors import FormatError
from rookery.train.data.sources.base import Document, Source
from rookery.train.data.sources.packed import Reading, opened, whole

__all__ = ["LONGEST_LINE", "TextSource", "lines"]

LONGEST_LINE = 1 << 30  # bytes


class TextSource(Source):
    """`.txt`, `.md` and the like, also packed; the bytes count as they are."""

    def documents(self) -> Iterator[Document]:
        if self.options.separator is None:
            yield Document.of_text(whole(self.path), str(self.path), self.size)
            return
        with opened(self.path) as reading:
            yield from self._separated(reading, self.options.separator.encode())

    def _separated(self, reading: Reading, separator: bytes) -> Iterator[Document]:
        """Blank lines around a separator belong to nobody; between others they stay."""
        held: list[bytes] = []
        start = 1
        for number, line in lines(reading, str(self.path)):
            if line.strip() == separator:
                yield from self._document(held, start, reading.read)
                held, start = [], number + 1
            else:
                held.append(line)
        yield from self._document(held, start, reading.read)

    def _document(self, held: list[bytes], start: int, read: int) -> Iterator[Document]:
        text = b"".join(held).strip(b"\r\n")
        if text:
            yield Document.of_text(text, f"{self.path}, line {start}", read)


def lines(reading: Reading, name: str) -> Iterator[tuple[int, bytes]]:
    """The lines of a file with their numbers, from 1; FormatError for one that is no line."""
    number = 0
    while line := reading.stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise FormatError(
                f"{name}, line {number}: longer than {LONGEST_LINE >> 20} MiB; expected one document on each line"
            )
        yield number, line
