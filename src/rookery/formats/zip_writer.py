"""
Writing ZIP archives of stored entries whose contents begin at multiples of 64 bytes, so that they can be mapped.

ZIP64 records are written where a size or an offset needs them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["ZipWriter"]

Buffer = bytes | memoryview

_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_WIDE = _FULL32  # sizes and offsets from here on go into ZIP64 fields
_ALIGNMENT = 64
_PADDING = 0x4246  # the extra-field tag torch pads with
_ZIP64 = 1
_UTF8 = 0x800
_EPOCH = 0x21  # 1 January 1980, the first date of ZIP: files depend on their contents only


@dataclass(frozen=True, slots=True)
class _Entry:
    name: bytes
    crc: int
    size: int
    header: int


class ZipWriter:
    """An archive being written to a seekable file.  Call `add` for each entry, then `finish`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._entries: list[_Entry] = []

    def add(self, name: str, size: int, pieces: Iterable[Buffer]) -> None:
        """An entry of exactly `size` bytes."""
        header = self._file.tell()
        start = self._local(name.encode(), size, 0)
        crc = 0
        for piece in pieces:
            crc = zlib.crc32(piece, crc)
            self._file.write(memoryview(piece))
        assert self._file.tell() - start == size
        self._file.seek(header)  # the checksum is known only now
        self._local(name.encode(), size, crc)
        self._file.seek(start + size)
        self._entries.append(_Entry(name.encode(), crc, size, header))

    def finish(self) -> None:
        """The directory."""
        start = self._file.tell()
        for entry in self._entries:
            self._central(entry)
        self._end(start, self._file.tell() - start)

    def _local(self, name: bytes, size: int, crc: int) -> int:
        """Write a local header at the current position; returns where the contents begin."""
        wide = size >= _WIDE
        extra = struct.pack("<HHQQ", _ZIP64, 16, size, size) if wide else b""
        content = self._file.tell() + 30 + len(name) + len(extra) + 4
        padding = -content % _ALIGNMENT
        extra += struct.pack("<HH", _PADDING, padding) + bytes(padding)
        short = _FULL32 if wide else size
        version = 45 if wide else 20
        fixed = (b"PK\3\4", version, _UTF8, 0, 0, _EPOCH, crc, short, short, len(name), len(extra))
        self._file.write(struct.pack("<4sHHHHHIIIHH", *fixed) + name + extra)
        return self._file.tell()

    def _central(self, entry: _Entry) -> None:
        wide, far = entry.size >= _WIDE, entry.header >= _WIDE
        field = struct.pack("<QQ", entry.size, entry.size) if wide else b""
        field += struct.pack("<Q", entry.header) if far else b""
        extra = struct.pack("<HH", _ZIP64, len(field)) + field if field else b""
        short = _FULL32 if wide else entry.size
        version = 45 if field else 20
        sizes = (entry.crc, short, short, len(entry.name), len(extra), 0, 0, 0, 0, _FULL32 if far else entry.header)
        head = struct.pack("<4sHHHHHH", b"PK\1\2", version, version, _UTF8, 0, 0, _EPOCH)
        self._file.write(head + struct.pack("<IIIHHHHHII", *sizes) + entry.name + extra)

    def _end(self, start: int, size: int) -> None:
        count = len(self._entries)
        if count >= _FULL16 or start >= _WIDE or size >= _WIDE:
            record = self._file.tell()
            numbers = (b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
            self._file.write(struct.pack("<4sQHHIIQQQQ", *numbers))
            self._file.write(struct.pack("<4sIQI", b"PK\6\7", 0, record, 1))
            count, size, start = _FULL16, _FULL32, _FULL32
        self._file.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, start, 0))
