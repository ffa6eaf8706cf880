"""One document: its pieces encoded, each on its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from rookery._native import Trie
from rookery.errors import TokenError
from rookery.tokenizer import Tokenizer, WorldTokenizer
from rookery.train.data.sources import Document
from rookery.train.data.sources.base import Span

__all__ = ["Encoded", "encoded"]

CHUNK = 4 << 20  # bytes of a long text encoded at a time; more than twice the longest token


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document as tokens.

    parts: (ids, whether they are learned), the leading token first; drawn when written, so that a long document
           need not fit memory.
    bytes: of its text.
    """

    parts: Iterator[tuple[np.ndarray, bool]]
    bytes: int


def encoded(document: Document, tokenizer: Tokenizer, leading: int | None, ending: int | None) -> Encoded:
    """The tokens of a document.  TokenError where the vocabulary cannot represent it, or ids are not in it.

    leading: put in front of all that are not empty.  Ids that come with it already, or with the ending token behind
             them, have it once.
    """
    document = _stripped(document, leading, ending)
    size = sum(_bytes(piece.text, tokenizer) for piece in document.pieces)
    if size <= CHUNK:  # now, in the caller's thread
        return Encoded(iter(list(_parts(document, tokenizer, leading))), size)
    return Encoded(_parts(document, tokenizer, leading), size)


def _bytes(text: Span | np.ndarray, tokenizer: Tokenizer) -> int:
    if not isinstance(text, np.ndarray):
        return len(text)
    known = (text[at : at + CHUNK].astype(np.int64).clip(0) for at in range(0, len(text), CHUNK))
    return sum(
        len(tokenizer.decode_bytes(ids)) for ids in known
    )  # whether they are good is checked as they are written


def _parts(document: Document, tokenizer: Tokenizer, leading: int | None) -> Iterator[tuple[np.ndarray, bool]]:
    if leading is not None and any(len(piece.text) for piece in document.pieces):
        yield np.array([leading], np.int32), True
    try:
        for piece in document.pieces:
            for ids in _ids(piece.text, tokenizer):
                yield ids, piece.target
    except TokenError as error:
        raise TokenError(f"{document.where}: {error}") from None


def _stripped(document: Document, leading: int | None, ending: int | None) -> Document:
    """Ids without the tokens around them that are put there anyway."""
    if not any(isinstance(piece.text, np.ndarray) for piece in document.pieces):
        return document
    pieces = [piece for piece in document.pieces if len(piece.text)]
    if pieces and isinstance(ids := pieces[0].text, np.ndarray) and ids[0] == leading:
        pieces[0] = pieces[0]._replace(text=ids[1:])
    if pieces and isinstance(ids := pieces[-1].text, np.ndarray) and len(ids) and ids[-1] == ending:
        pieces[-1] = pieces[-1]._replace(text=ids[:-1])
    return replace(document, pieces=pieces)


def _checked(ids: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= tokenizer.vocab_size):
        wrong = int(ids[(ids < 0) | (ids >= tokenizer.vocab_size)][0])
        raise TokenError(
            f"token {wrong} is outside the vocabulary {tokenizer.name} of {tokenizer.vocab_size} ids; give the "
            "tokenizer that these data were made with"
        )
    return ids


def _ids(text: Span | np.ndarray, tokenizer: Tokenizer) -> Iterator[np.ndarray]:
    """The ids of a text of any length, exactly as if it were encoded whole.

    A greedy tokenizer looks ahead by one token at most.  So all tokens of a chunk are final except those that begin
    within the longest token's length of its end; these are encoded again with the next chunk.
    """
    if isinstance(text, np.ndarray):
        yield _checked(text, tokenizer)
        return
    if len(text) <= CHUNK or not isinstance(tokenizer, WorldTokenizer):
        yield tokenizer.encode_array(text[: len(text)])
        return
    at = 0
    while at < len(text):
        found = tokenizer.encode_array(text[at : at + CHUNK])
        if at + CHUNK < len(text):
            keep, size = len(found), 0
            while keep and size < Trie.LONGEST_TOKEN:
                keep -= 1
                size += len(tokenizer.token_bytes(int(found[keep])))
            found, at = found[:keep], at + CHUNK - size
        else:
            at = len(text)
        yield found
