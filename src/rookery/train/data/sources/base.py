"""What every kind of source gives: documents, one after another, and a word on which data they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from rookery.errors import FormatError

__all__ = ["Document", "Options", "Piece", "Source", "Span", "file_identity", "named"]

WHOLE = 64 << 20  # bytes; larger files are known by samples and their date
SAMPLES, SAMPLE = 64, 4096


@runtime_checkable
class Span(Protocol):
    """Bytes that can be cut: bytes, or a mapped file that need not fit memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class Piece(NamedTuple):
    """A stretch of a document, encoded on its own.

    text:   bytes to encode, or token ids that are ready.
    target: whether the model learns to say it.
    """

    text: Span | np.ndarray
    target: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """What a model reads from a fresh state.

    where: the file and line or record, for errors.
    read:  bytes of the source that have been read so far, this document included.
    """

    pieces: Sequence[Piece]
    where: str
    read: int = 0

    @classmethod
    def of_text(cls, text: Span, where: str, read: int) -> Document:
        return cls((Piece(text),), where, read)


@dataclass(frozen=True, slots=True)
class Options:
    """How sources are read.

    separator: of documents in a text file: a line of this content; "" for blank lines; None: the file is one document.
    field:     of a record, that holds its text; None takes "text", or a conversation where there is one.
    format:    the name of the prompt format that conversations are written in.
    targets:   of conversations: "assistant", or "all" to learn every word.
    """

    separator: str | None = None
    field: str | None = None
    format: str = "world"
    targets: str = "assistant"

    def described(self) -> dict[str, Any]:
        """As JSON says it; with the version of the prompt format."""
        from rookery.prompts import format_named

        names = {name: getattr(self, name) for name in self.__slots__}
        return names | {"format_version": format_named(self.format).version}


class Source:
    """Documents of one file or data set.  Each kind overrides `documents`."""

    def __init__(self, path: Path, options: Options | None = None) -> None:
        self.path = path
        self.options = options or Options()

    def documents(self) -> Iterator[Document]:
        """The documents, in order.  FormatError names the file and the line or record that is wrong."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Bytes to read, as `Document.read` counts them."""
        with named(self.path):
            return self.path.stat().st_size

    def identity(self) -> list[Any]:
        """Changes when the content does; the same in whatever folder it lies."""
        return file_identity(self.path)


def file_identity(path: Path) -> list[Any]:
    """Name, size and hash of a file: of all of it, or of samples together with its date where it is large."""
    digest = hashlib.blake2b(digest_size=16)
    with named(path), open(path, "rb") as file:
        status = path.stat()
        if status.st_size <= WHOLE:
            digest.update(file.read())
            return [path.name, status.st_size, digest.hexdigest()]
        for at in np.linspace(0, status.st_size - SAMPLE, SAMPLES).astype(np.int64):
            file.seek(int(at))
            digest.update(file.read(SAMPLE))
    return [path.name, status.st_size, status.st_mtime_ns, digest.hexdigest()]


class named:
    """Errors of the system while a source is read, as a FormatError about it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import lzma
        import zlib

        if isinstance(error, EOFError | lzma.LZMAError | zlib.error) or type(error).__name__ == "BadGzipFile":
            raise FormatError(
                f"{self._path}: the compressed data are damaged ({error}); fetch the file again"
            ) from None
        if isinstance(error, OSError):
            raise FormatError(
                f"{self._path}: cannot be read ({error.strerror or error}); give the path of a file of training data"
            ) from None
