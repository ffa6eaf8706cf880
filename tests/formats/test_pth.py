"""Checkpoints that lie about their tensors."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rookery.errors import FormatError, RookeryError, UnsafeFile, UnsupportedError
from rookery.formats import pth
from rookery.formats.pth_writer import _global, _integer, _string, _tuple
from rookery.formats.zip_writer import ZipWriter

FLOATS = np.arange(24, dtype="<f4")


def numbers(values: tuple[int, ...]) -> bytes:
    return _tuple(*map(_integer, values))


def tensor(
    shape: tuple[int, ...] = (4, 6),
    strides: tuple[int, ...] = (6, 1),
    offset: int = 0,
    count: int = 24,
    key: str = "0",
) -> bytes:
    storage = _tuple(
        _string("storage"), _global("torch", "FloatStorage"), _string(key), _string("cpu"), _integer(count)
    )
    hooks = _global("collections", "OrderedDict") + b")R"
    arguments = _tuple(storage + b"Q", _integer(offset), numbers(shape), numbers(strides), b"\x89", hooks)
    return _global("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def archive(path: Path, pickle: bytes, extra: dict[str, bytes] | None = None) -> Path:
    """A checkpoint with one storage of 24 floats."""
    entries = {"some name/data.pkl": pickle, "some name/data/0": FLOATS.tobytes(), "some name/version": b"3\n"}
    with open(path, "wb") as file:
        writer = ZipWriter(file)
        for name, content in (entries | (extra or {})).items():
            writer.add(name, len(content), [content])
        writer.finish()
    return path


def one(value: bytes) -> bytes:
    return b"\x80\x02}(" + _string("t") + value + b"u."


def read(path: Path, value: bytes) -> np.ndarray:
    return pth.read_tensors(archive(path, one(value)))["t"].load()


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "expected"),
    [
        ((4, 6), (6, 1), 0, FLOATS.reshape(4, 6)),
        ((6, 4), (1, 6), 0, FLOATS.reshape(4, 6).T),
        ((2, 3), (12, 2), 1, FLOATS.reshape(4, 6)[::2, 1::2]),
        ((3,), (1,), 21, FLOATS[21:]),
        ((1, 3), (999, 1), 21, FLOATS[None, 21:]),
        ((), (), 23, FLOATS[23]),
        ((0, 5), (5, 1), 0, np.zeros((0, 5), np.float32)),
        ((2, 2), (0, 1), 3, np.stack([FLOATS[3:5]] * 2)),
    ],
)
def test_views(
    tmp_path: Path, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, expected: np.ndarray
) -> None:
    found = read(tmp_path / "m", tensor(shape, strides, offset))
    assert np.array_equal(found, expected)
    assert found.shape == np.shape(expected)
    assert not found.flags.writeable


@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": (4, 7), "strides": (7, 1)},
        {"offset": 1},
        {"offset": -1},
        {"offset": 1 << 62},
        {"strides": (7, 1)},
        {"strides": (1 << 40, 1)},
        {"strides": (-6, 1)},
        {"strides": (6,)},
        {"shape": (1 << 62, 4)},
        {"shape": (1 << 20, 1 << 20), "strides": (0, 0)},
        {"shape": (-4, -6)},
        {"shape": (1,) * 70, "strides": (1,) * 70},
        {"count": 25},
        {"count": 1 << 62},
        {"key": "1"},
        {"key": "../data.pkl"},
        {"key": "x" * 1000},
    ],
)
def test_tensors_outside_their_storage(tmp_path: Path, arguments: dict[str, object]) -> None:
    with pytest.raises(FormatError) as caught:
        read(tmp_path / "m", tensor(**arguments))  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"{tmp_path / 'm'}: ")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("pickle", "error", "message"),
    [
        (one(b"K\x01"), FormatError, "entry 't' is a number"),
        (one(b"}"), FormatError, r"is a dictionary, expected a tensor.*state_dict\(\)"),
        (b"]" + tensor() + b"a" + b"Na.", FormatError, "entry '1' is a NoneType"),
        (b"]" + b".", FormatError, "holds a list"),
        (b"K\x07.", FormatError, "holds a number"),
        (tensor() + b".", FormatError, "single tensor"),
        (b"}(K\x01" + tensor() + b"u.", FormatError, "not a tensor name"),
        (b"}(" + _string("n" * 501) + tensor() + b"u.", FormatError, "not a tensor name"),
        (b"}(" + _string("_strategy") + _string("cuda fp16") + b"u.", UnsupportedError, "original .pth"),
        (b"}(" + _string("_version") + b"G" + struct.pack(">d", 0.7) + b"u.", UnsupportedError, "original .pth"),
        (b"cos\nsystem\n(" + _string("id") + b"tR.", UnsafeFile, "'os.system'"),
        (b"", FormatError, "ends too early"),
    ],
)
def test_contents_that_are_no_tensors(tmp_path: Path, pickle: bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        pth.read_tensors(archive(tmp_path / "m", pickle))


def test_a_list_of_tensors(tmp_path: Path) -> None:
    found = pth.read_tensors(archive(tmp_path / "m", b"](" + tensor() + tensor((3,), (1,)) + b"e."))
    assert [(name, t.shape) for name, t in found.items()] == [("0", (4, 6)), ("1", (3,))]


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"some name/byteorder": b"big"}, "byte order"),
        ({"some name/constants.pkl": b""}, "TorchScript"),
        ({"some name/code/a.py": b""}, "TorchScript"),
        ({"other/data.pkl": b""}, "not a checkpoint of torch"),
        ({"some name/data.pkl": bytes(17 << 20)}, "at most 16777216"),
    ],
)
def test_archives_of_other_kinds(tmp_path: Path, extra: dict[str, bytes], message: str) -> None:
    with pytest.raises(RookeryError, match=message):
        pth.read_tensors(archive(tmp_path / "m", one(tensor()), extra))


def test_a_zip_of_something_else(tmp_path: Path) -> None:
    with open(tmp_path / "m", "wb") as file:
        writer = ZipWriter(file)
        writer.add("word/document.xml", 3, [b"<a>"])
        writer.finish()
    with pytest.raises(FormatError, match="not a checkpoint of torch"):
        pth.read_tensors(tmp_path / "m")


def test_recompressed_checkpoints_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m", "w") as file:
        file.writestr("a/data.pkl", one(tensor()))
        file.writestr("a/data/0", FLOATS.tobytes(), zipfile.ZIP_DEFLATED)
    with pytest.raises(UnsupportedError, match="'a/data/0' is compressed"):
        pth.read_tensors(tmp_path / "m")
