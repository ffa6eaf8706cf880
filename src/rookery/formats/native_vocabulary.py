"""
The vocabulary inside a native file: id, length (uint32) and bytes of every token, by ascending id.

That is the form tokenizers are built from, so a model can be used without 65,000 tokens having been taken apart.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cached_property

from rookery.errors import FormatError, SettingsError

__all__ = ["StoredVocabulary", "stored_vocabulary"]

_ENTRY = struct.Struct("<II")


class StoredVocabulary(Mapping[int, bytes]):
    """Token bytes by id, as they lie in a file.

    table:  the bytes in the file; they are taken apart, and FormatError is raised for what no writer writes, when
            somebody first asks for a token.
    tokens: how many there are.
    what:   the beginning of every message.
    """

    def __init__(self, table: bytes, tokens: int, what: str) -> None:
        self.table = table
        self._count = tokens
        self._what = what

    def __getitem__(self, id: int) -> bytes:
        return self._tokens[id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._tokens)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def _tokens(self) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        at, last, end = 0, -1, len(self.table)
        while at + _ENTRY.size <= end:
            id, length = _ENTRY.unpack_from(self.table, at)
            at += _ENTRY.size + length
            if id <= last or not length or at > end:
                break
            found[id] = self.table[at - length : at]
            last = id
        if at != end or len(found) != self._count:
            raise FormatError(
                f"{self._what} is damaged after token {last}; expected {self._count} tokens, their ids ascending"
            )
        return found


def stored_vocabulary(vocabulary: Mapping[int, bytes] | None, rows: int) -> bytes:
    """The bytes for the file of a model with `rows` rows; empty where there is no vocabulary.

    SettingsError for a token without bytes and for ids that the model does not have.
    """
    if isinstance(vocabulary, StoredVocabulary):
        return vocabulary.table
    known = sorted((vocabulary or {}).items())
    wrong = next((id for id, token in known if not 0 <= id < rows or not token), None)
    if wrong is not None:
        raise SettingsError(f"token {wrong} of the vocabulary is empty or beyond the model's {rows} rows")
    return b"".join(_ENTRY.pack(id, len(token)) + token for id, token in known)
