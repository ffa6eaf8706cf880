"""The zip directory, against Python's zipfile and against archives made to deceive."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from rookery.errors import FormatError, RookeryError
from rookery.formats.source import Source
from rookery.formats.zip_writer import ZipWriter
from rookery.formats.zips import directory

CONTENTS = {"r/data.pkl": b"abc", "r/data/0": bytes(range(200)), "r/empty": b"", "r/später": b"x" * 65}


def written() -> bytes:
    file = io.BytesIO()
    writer = ZipWriter(file)
    for name, content in CONTENTS.items():
        writer.add(name, len(content), [content[:2], content[2:]])
    writer.finish()
    return file.getvalue()


def read(path: Path, data: bytes) -> dict[str, bytes]:
    path.write_bytes(data)
    source = Source(path)
    return {name: source.view(e.offset, e.size, name).tobytes() for name, e in directory(source).items()}


@pytest.mark.parametrize("wide", [0xFFFFFFFF, 100, 0])
def test_python_reads_what_we_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide: int) -> None:
    """wide: where ZIP64 fields begin; small values exercise them on small files."""
    monkeypatch.setattr("rookery.formats.zip_writer._WIDE", wide)
    data = written()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == CONTENTS
    assert read(tmp_path / "z", data) == CONTENTS
    for entry in directory(Source(tmp_path / "z")).values():
        assert entry.offset % 64 == 0


def test_we_read_what_python_writes(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = b"a comment"
        for name, content in CONTENTS.items():
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(content)
    assert read(tmp_path / "z", file.getvalue()) == CONTENTS


def test_compressed_entries_are_marked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"x" * 1000)
    assert not directory(Source(tmp_path / "z"))["a"].stored


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_occur_once(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(FormatError, match="'a' occurs twice"):
        directory(Source(tmp_path / "z"))


def patched(field: int, layout: str, value: int, entry: int = 1) -> bytes:
    """The archive with a number of one central header replaced."""
    data = bytearray(written())
    at = -1
    for _ in range(entry + 1):
        at = data.index(b"PK\1\2", at + 1)
    struct.pack_into(layout, data, at + field, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (patched(42, "<I", 0xFFFFFFF0), "the file has"),
        (patched(42, "<I", 1), "contradicts the directory"),
        (patched(42, "<I", 0), "contradicts the directory"),
        (patched(24, "<I", 0xFFFFFFF0), "two different sizes"),
        (patched(24, "<I", 0xFFFFFFFF), "lacks its ZIP64 sizes"),
        (patched(28, "<H", 60000), "name of 60000 bytes"),
        (patched(0, "<I", 0), "directory is damaged"),
    ],
)
def test_hostile_directories(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(tmp_path / "z", data)


def test_entries_may_not_overlap(tmp_path: Path) -> None:
    data = bytearray(written())
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    struct.pack_into("<II", data, at + 20, 400, 400)
    with pytest.raises(FormatError, match="'r/data/0' overlaps"):
        read(tmp_path / "z", bytes(data))


def test_any_truncation_is_an_error(tmp_path: Path) -> None:
    data = written()
    for size in range(1, len(data)):
        with pytest.raises(FormatError):
            read(tmp_path / "z", data[:size])


def test_any_flipped_bit_is_an_error_or_harmless(tmp_path: Path) -> None:
    data = written()
    start = data.index(b"PK\1\2")
    for bit in range(start * 8, len(data) * 8, 3):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            read(tmp_path / "z", bytes(damaged))
        except RookeryError as error:
            assert str(tmp_path / "z") in str(error)  # noqa: PT017
