"""
The header of a native file: 32 bytes of sizes, then JSON.  Knows bytes and places, nothing of models.

Every number is little-endian.  docs/native-file.md is the specification.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rookery import _native
from rookery.config import Config
from rookery.errors import FormatError, TruncatedFile, UnsupportedError
from rookery.formats.safetensors import parse_json
from rookery.formats.source import Source

__all__ = ["ALIGNMENT", "MAGIC", "PAGE", "Extent", "aligned", "parse", "render", "sizes", "start_of_data"]

MAGIC = b"\x8eROOKERY"  # the first byte is no text in any encoding that is common
VERSION = 1
ALIGNMENT = 64  # of everything: a line of the processor's cache
PAGE = 4096  # of what is large, and of the first byte behind the header

_HEAD = struct.Struct("<8sIIQQ")  # magic, version, bytes of JSON, bytes of the file, checksum
_SUMMED = _HEAD.size - 8  # the checksum covers what stands before it, and the JSON
_MAX_JSON = 16 << 20  # a model of 10,000 tensors needs 2 MB, and parsed JSON takes many times its size
_MOST = 1 << 62  # bytes
_REMEDY = "convert the model again from its source with this version of rookery"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where some bytes lie.

    offset: from the first byte behind the header.
    checksum: of the pieces (rows or packed groups), see `_native.checksum`.
    """

    offset: int
    nbytes: int
    checksum: int = 0

    def entry(self) -> dict[str, Any]:
        return {"offset": self.offset, "bytes": self.nbytes, "checksum": f"{self.checksum:016x}"}

    @classmethod
    def of(cls, entry: dict[str, Any], what: str) -> Extent:
        """From JSON; FormatError, beginning with `what`, for anything that is no place in a file."""
        offset, nbytes, checksum = (entry.get(key) for key in ("offset", "bytes", "checksum"))
        if not isinstance(offset, int) or not isinstance(nbytes, int) or not 0 <= offset < _MOST or offset % ALIGNMENT:
            raise FormatError(f"{what} has no valid place; expected an offset in steps of {ALIGNMENT}, and bytes")
        if not 0 < nbytes < _MOST:
            raise FormatError(f"{what} claims {nbytes} bytes; fetch the file again")
        if not isinstance(checksum, str) or len(checksum) != 16 or not set(checksum) <= set("0123456789abcdef"):
            raise FormatError(f"{what} has no valid checksum; expected 16 hex digits")
        return cls(offset, nbytes, int(checksum, 16))


def render(header: dict[str, Any], file_bytes: int) -> bytes:
    """Everything before the data, padding included; its length does not depend on checksums nor on `file_bytes`."""
    text = json.dumps(header, separators=(",", ":")).encode()
    front = _HEAD.pack(MAGIC, VERSION, len(text), file_bytes, 0)[:_SUMMED]
    whole = front + _checksum(front, text).to_bytes(8, "little") + text
    return whole.ljust(start_of_data(len(text)), b"\0")


def parse(source: Source) -> tuple[dict[str, Any], int]:
    """The JSON object, and where the data begin.

    FormatError or TruncatedFile when the file is damaged, UnsupportedError for another version, naming the file.
    """
    path = source.path
    head = source.take(_HEAD.size, "the header")
    magic, version, length, file_bytes, checksum = _HEAD.unpack(head)
    if magic != MAGIC:
        raise FormatError(f"{path}: this is no native file of rookery; expected it to begin with {MAGIC!r}")
    if version != VERSION:
        raise UnsupportedError(f"{path}: version {version} of the native file; this rookery reads {VERSION}: {_REMEDY}")
    if source.size < file_bytes:
        raise TruncatedFile(
            f"{path}: the file has {source.size} of {file_bytes} bytes; it was not copied completely, fetch it again"
        )
    if length > _MAX_JSON or start_of_data(length) > file_bytes or source.size > file_bytes:
        raise FormatError(f"{path}: the sizes in its header do not fit the file; fetch it again")
    text = source.take(length, "the header")
    if _checksum(head[:_SUMMED], text) != checksum:
        raise FormatError(f"{path}: the checksum of the header is wrong; fetch the file again")
    return parse_json(text, f"{path}: the header"), start_of_data(length)


def sizes(config: Config) -> dict[str, Any]:
    """A config as the header states it: all that follows from tensors.  The rest is metadata, or said when loading."""
    found = {**asdict(config), "ranks": dict(config.ranks)}
    return {key: value for key, value in found.items() if key not in ("group_norm_eps", "removal")}


def start_of_data(json_bytes: int) -> int:
    return aligned(_HEAD.size + json_bytes, PAGE)


def aligned(offset: int, step: int) -> int:
    return -(-offset // step) * step


def _checksum(front: bytes, text: bytes) -> int:
    whole = np.frombuffer(front + text, np.uint8)
    return int(_native.checksum(whole, whole.size))
