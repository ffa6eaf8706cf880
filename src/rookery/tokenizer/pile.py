"""
Byte-level BPE from a Hugging Face `tokenizer.json`: the GPT-NeoX-20B tokenizer of the Pile models.

The `tokenizers` package encodes; decoding is done here, so that every token has its exact bytes.  The text is
normalised (NFC) before it is encoded, so a decomposed accent does not survive a round trip.  As in the official
programs, "<|endoftext|>" written in a text becomes id 0.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rookery.errors import FormatError, MissingExtra, TokenError
from rookery.tokenizer.base import Text, Tokenizer, id_array, utf8
from rookery.tokenizer.vocabulary import read, table

__all__ = ["PileTokenizer"]

PILE_FINGERPRINT = "190351814186a689732841afff40feb7c463dbeab4598ae597872438498958f5"  # of 20B_tokenizer.json


class PileTokenizer(Tokenizer):
    """A byte-level BPE tokenizer.

    path: the `tokenizer.json`; FormatError when it is something else.  MissingExtra without `tokenizers`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        source = read(path)
        self._tokens = _token_bytes(source, path)
        self._bpe = _load(source, path)
        self.vocab_size = max(self._tokens) + 1
        self.fingerprint = hashlib.sha256(table(self._tokens)).hexdigest()
        self.name = "pile" if self.fingerprint == PILE_FINGERPRINT else path.stem

    def encode_array(self, text: Text) -> npt.NDArray[np.int32]:
        try:
            string = utf8(text).decode("utf-8")
        except UnicodeDecodeError as error:
            raise TokenError(
                f"tokenizer {self.name} works on text, and these bytes are not UTF-8 at position {error.start}; "
                "decode them first, with errors='replace' if need be"
            ) from None
        return np.array(self._bpe.encode(string, add_special_tokens=False).ids, np.int32)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        array = id_array(ids)
        if array.size and array.min() < 0:
            raise TokenError(f"token id {array.min()} is negative; ids are 0 or more")
        return b"".join(self._tokens.get(id, b"") for id in array.tolist())


def _load(source: bytes, path: Path) -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtra("the Pile tokenizer needs tokenizers; install it: pip install 'rookery[pile]'") from None
    try:
        bpe = tokenizers.Tokenizer.from_buffer(source)
    except Exception as error:  # the library raises nothing narrower
        raise FormatError(f"{path}: not a tokenizer.json that the tokenizers package can read: {error}") from None
    bpe.no_truncation()
    bpe.no_padding()
    return bpe


def _token_bytes(source: bytes, path: Path) -> dict[int, bytes]:
    """Bytes by id: special tokens have none, added tokens are plain text, all others byte-level characters."""
    try:
        content = json.loads(source)
        pieces = {int(id): str(piece) for piece, id in content["model"]["vocab"].items()}
        added = {int(token["id"]): token for token in content["added_tokens"]}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise FormatError(f"{path}: expected a Hugging Face tokenizer.json with a BPE vocabulary") from None
    if not pieces or min(pieces.keys() | added.keys()) < 0:
        raise FormatError(f"{path}: expected a vocabulary with ids of 0 or more")
    tokens = {id: _invert(piece, path) for id, piece in pieces.items() if id not in added}
    return tokens | {id: b"" if token.get("special") else str(token["content"]).encode() for id, token in added.items()}


def _characters() -> dict[str, int]:
    """The byte of each byte-level character: printable Latin-1 stands for itself, the others follow from U+0100."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE = _characters()


def _invert(piece: str, path: Path) -> bytes:
    try:
        return bytes(_BYTE[character] for character in piece)
    except KeyError:
        raise FormatError(f"{path}: token {piece!r} is not byte-level; only byte-level BPE is supported") from None
