"""
Vocabularies: from a text file, or from token bytes by id, to the canonical table.

The text format is the one of `rwkv_vocab_v20230424.txt`: lines `<id> <literal> <byte length>`, where the literal is
'...', "..." or b'...' with a handful of escapes.  It is parsed here, never evaluated.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from pathlib import Path

from rookery._native import Trie
from rookery.errors import FormatError

__all__ = ["parse", "read", "table", "written"]

_LINE = re.compile(r"(0|[1-9][0-9]{0,8}) (b?)('.*'|\".*\") ([1-9][0-9]{0,8})", re.DOTALL)
_PIECE = re.compile(r"\\(?:[ntr\\']|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})|(\\.?)", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'"}
_LARGEST_FILE = 1 << 26  # bytes; the World has 1 MB, a tokenizer.json 2 to 20


def read(path: Path) -> bytes:
    """The content of a vocabulary file; FormatError when it cannot be one."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise FormatError(f"{path}: cannot read the tokenizer: {error.strerror}; give the path of its file") from None
    if len(content) > _LARGEST_FILE:
        raise FormatError(f"{path}: larger than {_LARGEST_FILE >> 20} MiB; expected a vocabulary or tokenizer.json")
    return content


def parse(text: bytes, path: Path) -> dict[int, bytes]:
    """Token bytes by id, from the content of a file; FormatError names the file and the line."""
    lines = text.split(b"\n")  # only here: literals may hold other kinds of line ends
    if lines[-1] == b"":
        lines.pop()
    vocabulary: dict[int, bytes] = {}
    ids: dict[bytes, int] = {}
    for number, line in enumerate(lines, 1):
        try:
            id, token = _entry(line.removesuffix(b"\r"))
            _check_new(id, token, vocabulary, ids)
        except ValueError as error:
            raise FormatError(f"{path}, line {number}: {error}") from None
        vocabulary[id] = token
        ids[token] = id
    if not vocabulary:
        raise FormatError(f"{path}: the file is empty; expected a vocabulary with lines like: 33155 'Hello' 5")
    return vocabulary


def table(vocabulary: Mapping[int, bytes]) -> bytes:
    """The canonical form: id, length (little-endian uint32) and bytes of every token that has any, by ascending id."""
    pack = struct.Struct("<II").pack
    return b"".join(pack(id, len(token)) + token for id, token in sorted(vocabulary.items()) if token)


def written(vocabulary: Mapping[int, bytes]) -> bytes:
    """The content of a file from which `parse` reads the same vocabulary."""
    return "".join(f"{id} {_quoted(token)} {len(token)}\n" for id, token in sorted(vocabulary.items())).encode()


def _quoted(token: bytes) -> str:
    """As text where it is UTF-8 whose literal needs no escape that the format lacks, else as bytes."""
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return repr(token)
    literal = repr(text)
    return repr(token) if "\\U" in literal.replace("\\\\", "") else literal


def _entry(line: bytes) -> tuple[int, bytes]:
    try:
        match = _LINE.fullmatch(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8; the file is damaged, fetch it again") from None
    if match is None:
        raise ValueError("expected: id, quoted token, byte length, as in: 33155 'Hello' 5")
    id, prefix, literal, length = match.groups()
    token = _literal(literal[1:-1], literal[0], "latin-1" if prefix else "utf-8")
    if len(token) != int(length):
        raise ValueError(f"token {id} has {len(token)} bytes, but the line says {length}")
    return int(id), token


def _literal(body: str, quote: str, encoding: str) -> bytes:
    """Bytes of a literal; in b'...' (latin-1) \\xNN is a byte, otherwise a code point."""
    raw = encoding == "latin-1"
    if raw and ("\\u" in body.replace("\\\\", "") or not body.isascii()):
        raise ValueError("a b'...' token holds ASCII and \\xNN only")
    text = _PIECE.sub(_unescape, body) if "\\" in body else body
    if quote in _PIECE.sub("", body):
        raise ValueError(f"unescaped {quote} inside the token")
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is not a character") from None


def _unescape(match: re.Match[str]) -> str:
    escape = match[0]
    if match[1] is not None:
        raise ValueError(f"unknown escape {escape}; known: \\n \\t \\r \\\\ \\' \\xNN \\uNNNN")
    return chr(int(escape[2:], 16)) if escape[1] in "xu" else _NAMED[escape[1]]


def _check_new(id: int, token: bytes, vocabulary: dict[int, bytes], ids: dict[bytes, int]) -> None:
    if id == 0:
        raise ValueError("id 0 means end of text and has no bytes; number the tokens from 1")
    if id >= Trie.MOST_IDS:
        raise ValueError(f"id {id} is too high; ids are below {Trie.MOST_IDS}")
    if len(token) > Trie.LONGEST_TOKEN:
        raise ValueError(f"token {id} has {len(token)} bytes; a token has at most {Trie.LONGEST_TOKEN}")
    if id in vocabulary:
        raise ValueError(f"id {id} occurs twice")
    if token in ids:
        raise ValueError(f"token {id} has the same bytes as token {ids[token]}")
