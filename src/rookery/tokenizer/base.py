"""
What every tokenizer does: text to ids, ids to bytes and text, one id at a time to pieces of text.
"""

from __future__ import annotations

import codecs
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from rookery.errors import TokenError

__all__ = ["StreamDecoder", "Text", "Tokenizer"]

Text = str | bytes | bytearray | memoryview


class Tokenizer(ABC):
    """
    name:        "world", "pile", "bytes", or the stem of the vocabulary's file.
    vocab_size:  highest id + 1.  Models may have more rows, for padding.
    fingerprint: hex SHA-256 over the table of ids and bytes; equal for the same vocabulary, wherever it came from.
    """

    name: str
    vocab_size: int
    fingerprint: str

    @abstractmethod
    def encode_array(self, text: Text) -> npt.NDArray[np.int32]:
        """Ids of a text as a new array.  TokenError where the vocabulary cannot represent it."""

    @abstractmethod
    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The exact bytes of ids.  Ids without a token give none; a negative one is a TokenError."""

    def encode(self, text: Text) -> list[int]:
        """Ids of a text.

        In a str, halves of surrogate pairs (from broken JSON) are joined where both are there and otherwise become
        U+FFFD: there is no such character.  Give bytes where every byte counts.
        """
        ids: list[int] = self.encode_array(text).tolist()
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def token_bytes(self, id: int) -> bytes:
        """The bytes of one token: none for end of text (0) and padding ids.  TokenError for a negative id."""
        return self.decode_bytes((id,))

    def stream(self) -> StreamDecoder:
        """A decoder for ids that arrive one by one."""
        return StreamDecoder(self.token_bytes)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}, {self.vocab_size} ids>"


class StreamDecoder:
    """Text from ids that arrive one by one: the pieces and the flush together equal `decode` of all the ids.

    At most 3 bytes are held back, while they can still become a character.
    """

    def __init__(self, token_bytes: Callable[[int], bytes]) -> None:
        self._token_bytes = token_bytes
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, id: int) -> str:
        """The text that this id completes; "" while a character is unfinished."""
        return self._utf8.decode(self._token_bytes(id))

    def flush(self) -> str:
        """What is held back, as U+FFFD; afterwards the decoder is as new."""
        return self._utf8.decode(b"", final=True)


def utf8(text: Text) -> bytes:
    """The bytes to encode; see `Tokenizer.encode` for surrogates."""
    if isinstance(text, bytes):
        return text
    if isinstance(text, (bytearray, memoryview)):
        return bytes(text)
    if not isinstance(text, str):
        raise TokenError(f"cannot encode a {type(text).__name__}; expected str or bytes")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode("utf-8")


def id_array(ids: Iterable[int]) -> npt.NDArray[np.int64]:
    """Ids as a contiguous array; TokenError for what is not an integer."""
    try:
        if isinstance(ids, np.ndarray) and ids.ndim == 1 and ids.dtype.kind in "iu":
            return np.ascontiguousarray(ids, np.int64)
        return np.fromiter(map(operator.index, ids), np.int64)
    except (TypeError, OverflowError) as error:
        raise TokenError(f"token ids must be a sequence of integers below 2^63: {error}") from None
