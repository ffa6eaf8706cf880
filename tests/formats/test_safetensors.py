"""safetensors, against the reference package and against hostile headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import CONFIGS, arrays, checkpoint

from rookery.errors import FormatError, RookeryError, TruncatedFile, UnsupportedError
from rookery.formats import open_checkpoint, safetensors, save_checkpoint

reference: Any = pytest.importorskip("safetensors")
numpy_reference: Any = pytest.importorskip("safetensors.numpy")


@pytest.mark.parametrize("dtype", ["F32", "F16"])
@pytest.mark.parametrize("version", CONFIGS)
def test_the_package_reads_what_we_write(tmp_path: Path, version: str, dtype: str) -> None:
    model = checkpoint(CONFIGS[version])
    save_checkpoint(model, tmp_path / "m.st", dtype=dtype)
    found = numpy_reference.load_file(tmp_path / "m.st")
    given = arrays(CONFIGS[version])
    assert set(found) == set(given)
    for name, x in given.items():
        assert found[name].dtype == {"F32": np.float32, "F16": np.float16}[dtype]
        assert np.array_equal(found[name], x.astype(found[name].dtype))


def test_bf16_header_is_accepted_by_the_package(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / "m.st", dtype="BF16")
    with reference.safe_open(tmp_path / "m.st", framework="np") as file:
        assert file.metadata() == {"format": "pt"}
        assert file.get_slice("head.weight").get_dtype() == "BF16"


def test_we_read_what_the_package_writes(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    types = ["float32", "float16", "float64", "int64", "int32", "int16", "int8", "uint8"]
    tensors = {t: (random.normal(size=(3, 5)) * 50).astype(t) for t in types}
    tensors |= {"scalar": np.array(3, np.float32), "empty": np.zeros((0, 4), np.float32)}
    numpy_reference.save_file(tensors, tmp_path / "m.st", metadata={"a": "b"})
    ours, metadata = safetensors.read_tensors(tmp_path / "m.st")
    assert metadata == {"a": "b"}
    assert set(ours) == set(tensors)
    for name, x in tensors.items():
        assert ours[name].load().dtype == x.dtype
        assert np.array_equal(ours[name].load(), x)


def test_metadata_survives(tmp_path: Path) -> None:
    model = checkpoint(CONFIGS["4"])
    numpy_reference.save_file(arrays(CONFIGS["4"]), tmp_path / "a.st", metadata={"author": "x", "format": "pt"})
    save_checkpoint(open_checkpoint(tmp_path / "a.st"), tmp_path / "b.st")
    found = open_checkpoint(tmp_path / "b.st")
    assert found.metadata == {"author": "x", "format": "pt"}
    assert list(found.tensors) == list(model.tensors)


def file(header: Any, data: bytes = b"", size: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, "little") + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE = {
    "header larger than the file": (file({}, size=1000), TruncatedFile),
    "absurd header": (file({}, size=1 << 39), FormatError),
    "not JSON": (file(b"{]"), FormatError),
    "not UTF-8": (file(b'{"\xff": 1}'), FormatError),
    "deep JSON": (file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), FormatError),
    "long number": (file(b'{"a":' + b"9" * 10_000 + b"}"), FormatError),
    "repeated name": (file(b'{"a":1,"a":1}'), FormatError),
    "repeated key": (
        file(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', b"x" * 8),
        FormatError,
    ),
    "no data": (file({"a": entry()}), TruncatedFile),
    "one byte short": (file({"a": entry()}, b"x" * 7), TruncatedFile),
    "one byte long": (file({"a": entry()}, b"x" * 9), FormatError),
    "gap at the start": (file({"a": entry(offsets=(4, 12))}, b"x" * 12), FormatError),
    "gap": (file({"a": entry(), "b": entry(offsets=(12, 20))}, b"x" * 20), FormatError),
    "overlap": (file({"a": entry(), "b": entry(offsets=(4, 12))}, b"x" * 12), FormatError),
    "same bytes twice": (file({"a": entry(), "b": entry()}, b"x" * 8), FormatError),
    "backwards": (file({"a": entry(offsets=(8, 0))}, b"x" * 8), FormatError),
    "negative": (file({"a": entry(offsets=(-8, 0))}, b"x" * 8), FormatError),
    "offsets are floats": (file({"a": entry(offsets=(0.0, 8.0))}, b"x" * 8), FormatError),
    "offsets are booleans": (file({"a": entry("U8", (1,), (False, True))}, b"x"), FormatError),
    "three offsets": (file({"a": entry(offsets=(0, 8, 8))}, b"x" * 8), FormatError),
    "wrong size": (file({"a": entry(shape=(3,))}, b"x" * 8), FormatError),
    "negative shape": (file({"a": entry(shape=(-1, -2))}, b"x" * 8), FormatError),
    "overflowing shape": (file({"a": entry(shape=(1 << 62, 1 << 62))}, b"x" * 8), FormatError),
    "zero times overflow": (file({"a": entry(shape=(0, 1 << 62), offsets=(0, 0))}), FormatError),
    "too many dimensions": (file({"a": entry(shape=[1] * 70 + [2])}, b"x" * 8), FormatError),
    "shape is a string": (file({"a": entry(shape="2")}, b"x" * 8), FormatError),
    "unknown type": (file({"a": entry("F8_E4M3", (8,))}, b"x" * 8), UnsupportedError),
    "type is a list": (file({"a": entry([1])}, b"x" * 8), UnsupportedError),
    "extra key": (file({"a": entry() | {"more": 1}}, b"x" * 8), FormatError),
    "entry is a list": (file({"a": []}), FormatError),
    "metadata of numbers": (file({"__metadata__": {"a": 1}}), FormatError),
    "metadata is a list": (file({"__metadata__": []}), FormatError),
    "long name": (file({"a" * 1000: entry()}, b"x" * 8), FormatError),
    "surrogate in a name": (file(b'{"\\ud800": {}}'), FormatError),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_headers(tmp_path: Path, case: str) -> None:
    data, error = HOSTILE[case]
    (tmp_path / "m.st").write_bytes(data)
    with pytest.raises(RookeryError) as caught:
        safetensors.read_tensors(tmp_path / "m.st")
    assert type(caught.value) is error
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "m.st"))
    assert len(message) < 1000
    message.encode()  # printable


@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), st.from_type(object) | st.builds(entry)))
def test_random_headers(tmp_path_factory: pytest.TempPathFactory, header: dict[str, Any]) -> None:
    path = tmp_path_factory.getbasetemp() / "random.st"
    path.write_bytes(file(json.dumps(header, default=str).encode(), b"x" * 8))
    try:
        safetensors.read_tensors(path)
    except RookeryError as error:
        assert str(path) in str(error)  # noqa: PT017
