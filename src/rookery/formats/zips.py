"""
The directory of a ZIP archive whose entries are stored, not compressed.

Gives the place of each entry's bytes in the file so that they can be mapped.  ZIP64 is understood.  Names that
occur twice and entries that overlap or lie outside the file are refused.  Compressed entries are listed with
`stored` false: whoever wants their bytes must refuse.  Checksums are not verified: that would mean reading every
byte before the first is used.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

from rookery.errors import FormatError
from rookery.formats.source import Source

__all__ = ["Entry", "directory"]

_LOCAL, _CENTRAL, _END, _END64, _LOCATOR64 = (b"PK" + s for s in (b"\3\4", b"\1\2", b"\5\6", b"\6\6", b"\6\7"))
_END_SIZE, _LOCATOR_SIZE, _LOCAL_SIZE, _CENTRAL_SIZE = 22, 20, 30, 46
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF  # "see the ZIP64 record"
_MAX_NAME = 300  # bytes; torch needs about 30
_MAX_DIRECTORY = 64 << 20  # bytes; a model of 100,000 tensors needs about 10 MB


@dataclass(frozen=True, slots=True)
class Entry:
    """Where the bytes of an entry are: `size` bytes from `offset`; its header begins at `header`.

    stored: false for compressed or encrypted bytes.
    """

    name: str
    header: int
    offset: int
    size: int
    stored: bool


def directory(source: Source) -> dict[str, Entry]:
    """The entries by name."""
    offset, size = _central_extent(source)
    if size > _MAX_DIRECTORY:
        raise FormatError(f"{source.path}: the zip directory has {size} bytes; expected at most {_MAX_DIRECTORY}")
    data = source.view(offset, size, "the zip directory").tobytes()
    entries: dict[str, Entry] = {}
    position = 0
    while position < len(data):
        entry, position = _entry(source, data, position)
        if entry.name in entries:
            raise FormatError(f"{source.path}: the zip entry {entry.name!r} occurs twice; fetch the file again")
        entries[entry.name] = entry
    _check_disjoint(source, entries, offset)
    return entries


def _check_disjoint(source: Source, entries: dict[str, Entry], end: int) -> None:
    """No two entries share bytes, and none reaches into the directory (entries that do are a decompression trick)."""
    ordered = sorted(entries.values(), key=lambda entry: entry.header)
    for entry, following in itertools.zip_longest(ordered, ordered[1:]):
        limit = following.header if following else end
        if entry.offset + entry.size > limit:
            raise FormatError(f"{source.path}: the zip entry {entry.name!r} overlaps what follows it")


def _central_extent(source: Source) -> tuple[int, int]:
    """Offset and size of the central directory."""
    tail_size = min(source.size, _END_SIZE + _FULL16)  # the end record may be followed by a comment
    tail_offset = source.size - tail_size
    tail = source.view(tail_offset, tail_size, "the end of the zip archive").tobytes()
    at = tail.rfind(_END)
    if at < 0 or at + _END_SIZE > tail_size:
        raise FormatError(
            f"{source.path}: the zip directory at the end of the file is missing; the file was not copied "
            "completely, fetch it again"
        )
    disk, _, _, entries, size, offset = struct.unpack_from("<HHHHII", tail, at + 4)
    if _FULL16 in (disk, entries) or _FULL32 in (size, offset):
        return _extent64(source, tail_offset + at - _LOCATOR_SIZE)
    return offset, size


def _extent64(source: Source, locator_offset: int) -> tuple[int, int]:
    locator = source.view(locator_offset, _LOCATOR_SIZE, "the ZIP64 locator").tobytes()
    record_offset = struct.unpack_from("<Q", locator, 8)[0]
    record = source.view(record_offset, 56, "the ZIP64 end record").tobytes()
    if locator[:4] != _LOCATOR64 or record[:4] != _END64:
        raise FormatError(f"{source.path}: the ZIP64 end record is damaged; fetch the file again")
    size, offset = struct.unpack_from("<QQ", record, 40)
    return offset, size


def _entry(source: Source, data: bytes, at: int) -> tuple[Entry, int]:
    """The entry whose central header is at `at`, and where the next header is."""
    if data[at : at + 4] != _CENTRAL or at + _CENTRAL_SIZE > len(data):
        raise FormatError(f"{source.path}: the zip directory is damaged; fetch the file again")
    flags, method = struct.unpack_from("<HH", data, at + 8)
    packed, size, name_size, extra_size, comment_size = struct.unpack_from("<IIHHH", data, at + 20)
    (header,) = struct.unpack_from("<I", data, at + 42)
    if name_size > _MAX_NAME:
        raise FormatError(f"{source.path}: a zip entry has a name of {name_size} bytes; the directory is damaged")
    name_at = at + _CENTRAL_SIZE
    extra_at = name_at + name_size
    name = data[name_at:extra_at].decode("utf-8", "replace")
    sizes = _zip64(data[extra_at : extra_at + extra_size], size, packed, header)
    if sizes is None:
        raise FormatError(f"{source.path}: the zip entry {name!r} lacks its ZIP64 sizes; fetch the file again")
    size, packed, header = sizes
    stored = not flags & 1 and method == 0
    if stored and packed != size:
        raise FormatError(f"{source.path}: the zip entry {name!r} has two different sizes; fetch the file again")
    entry = Entry(name, header, _data_offset(source, data[name_at:extra_at], header, method), packed, stored)
    source.view(entry.offset, packed, f"the zip entry {name!r}")
    return entry, extra_at + extra_size + comment_size


def _zip64(extra: bytes, size: int, packed: int, header: int) -> tuple[int, int, int] | None:
    """The three numbers, those that do not fit 32 bits taken from the ZIP64 field; None when it is too short."""
    at = 0
    while at + 4 <= len(extra):
        tag, length = struct.unpack_from("<HH", extra, at)
        if tag == 1:
            break
        at += 4 + length
    field = extra[at + 4 : at + 4 + length] if at + 4 <= len(extra) else b""
    wide = [size, packed, header]
    for index, value in enumerate(wide):
        if value == _FULL32:
            if len(field) < 8:
                return None
            wide[index], field = struct.unpack_from("<Q", field)[0], field[8:]
    return wide[0], wide[1], wide[2]


def _data_offset(source: Source, name: bytes, header: int, method: int) -> int:
    """Where the bytes begin: behind the local header, whose extra field differs from the directory's."""
    local = source.view(header, _LOCAL_SIZE + len(name), f"the zip header of {name!r}").tobytes()
    same_method, name_size, extra_size = *struct.unpack_from("<H", local, 8), *struct.unpack_from("<HH", local, 26)
    same_name = name_size == len(name) and local.endswith(name)
    if local[:4] != _LOCAL or same_method != method or not same_name:
        raise FormatError(f"{source.path}: the zip header of {name!r} contradicts the directory; fetch the file again")
    return int(header + _LOCAL_SIZE + name_size + extra_size)
