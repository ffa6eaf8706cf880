"""
Greedy longest match over bytes: the World tokenizer, and any other vocabulary that works this way.

No merges, no splitting into words, no normalisation: at each byte the longest token that matches is taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rookery._native import Trie
from rookery.errors import TokenError
from rookery.tokenizer import vocabulary as vocabularies
from rookery.tokenizer.base import Text, Tokenizer, id_array, utf8
from rookery.tokenizer.cache import trie_for

__all__ = ["WORLD_FINGERPRINT", "WorldTokenizer"]

WORLD_FINGERPRINT = "1e6e1adc8d10aeee528862d6d6ce66db9c4ae254a7e6636f81cd6765ca053219"  # of rwkv_vocab_v20230424


class WorldTokenizer(Tokenizer):
    """A tokenizer of token bytes by id.

    Tokens without bytes are never encoded; all others must be distinct.  The World vocabulary is named "world"
    whatever name is given.
    """

    def __init__(self, vocabulary: Mapping[int, bytes], name: str = "world") -> None:
        from rookery.formats.native_vocabulary import StoredVocabulary

        # What is stored is a table already; the trie refuses what is wrong with it.
        table = vocabulary.table if isinstance(vocabulary, StoredVocabulary) else _checked_table(vocabulary, name)
        self._take(name, table, lambda: table)

    @classmethod
    def parse(cls, text: bytes, path: Path) -> WorldTokenizer:
        """From the content of a vocabulary file; FormatError names the file and the line that is wrong."""
        tokenizer = cls.__new__(cls)
        tokenizer._take(path.stem, text, lambda: vocabularies.table(vocabularies.parse(text, path)))
        return tokenizer

    def _take(self, name: str, source: bytes, table: Callable[[], bytes]) -> None:
        try:
            self._trie = trie_for(source, table)
        except ValueError as error:
            raise TokenError(f"vocabulary {name}: {error}") from None
        self.vocab_size = self._trie.size
        self.fingerprint = hashlib.sha256(self._trie.table).hexdigest()
        self.name = "world" if self.fingerprint == WORLD_FINGERPRINT else name

    def encode_array(self, text: Text) -> npt.NDArray[np.int32]:
        data = utf8(text)
        try:
            ids: npt.NDArray[np.int32] = self._trie.encode(data)
        except ValueError as error:
            raise TokenError(f"vocabulary {self.name}: {error}") from None
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        array = id_array(ids)
        try:
            text: bytes = self._trie.decode(array)
        except ValueError as error:
            raise TokenError(str(error)) from None
        return text


def _checked_table(vocabulary: Mapping[int, bytes], name: str) -> bytes:
    for id, token in vocabulary.items():
        if not 0 <= id < Trie.MOST_IDS or not isinstance(token, bytes):
            raise TokenError(f"vocabulary {name}: expected ids from 0 to {Trie.MOST_IDS - 1} with bytes, got id {id}")
    return vocabularies.table(vocabulary)
