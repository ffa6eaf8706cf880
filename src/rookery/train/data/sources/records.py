"""Records, from JSON lines, tables or data sets: a text, or a conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rookery.errors import FormatError
from rookery.tokenizer.base import utf8
from rookery.train.data.conversations import conversation_pieces
from rookery.train.data.sources.base import Options, Piece

__all__ = ["CONVERSATIONS", "TEXT", "record_pieces"]

TEXT = "text"
CONVERSATIONS = ("messages", "conversations", "turns")


def record_pieces(record: object, options: Options, where: str) -> Sequence[Piece]:
    """The pieces of a record's document; FormatError, with `where`, for a record without one."""
    if not isinstance(record, Mapping):
        raise FormatError(f"{where}: expected an object with a field {options.field or TEXT!r}, got {_kind(record)}")
    name = options.field or next((name for name in (*CONVERSATIONS, TEXT) if name in record), None)
    if name is None or name not in record:
        raise FormatError(
            f"{where}: no field {name!r}; it has {_listed(record)}; name the one to read"
            if name
            else f"{where}: no text and no conversation; it has {_listed(record)}; name the field that holds the text"
        )
    value = record[name]
    if isinstance(value, str):
        return (Piece(utf8(value)),)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return conversation_pieces(value, options, where)
    raise FormatError(f"{where}: field {name!r} is {_kind(value)}, expected a text or a list of messages")


def _listed(record: Mapping[str, object]) -> str:
    return ", ".join(repr(str(name)[:40]) for name in list(record)[:12]) or "none"


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a text"}
    return names.get(type(value), "a list" if isinstance(value, list) else "an object")
