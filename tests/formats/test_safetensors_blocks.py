"""Block formats in safetensors: read as described, refused when the description does not fit."""

import json

import numpy as np
import pytest

from rookery.errors import FormatError, UnsupportedError
from rookery.formats.safetensors import read_tensors
from rookery.quant import FORMATS


def write(path, arrays, formats):
    """By hand, from the published layout.  arrays: name -> (element type, shape, bytes)."""
    header, data = {}, b""
    if formats is not None:
        header["__metadata__"] = {"rookery.formats": formats if isinstance(formats, str) else json.dumps(formats)}
    for name, (dtype, shape, raw) in arrays.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


@pytest.mark.parametrize("name", [n for n, kind in FORMATS.items() if kind.block > 1])
def test_a_block_tensor_has_its_logical_shape(tmp_path, name):
    kind = FORMATS[name]
    x = np.random.default_rng(0).standard_normal((3, 2 * kind.block)).astype(np.float32)
    stored = kind.encode(x)
    arrays = {"a": ("U8", list(stored.shape), stored.tobytes()), "b": ("F32", [1], b"\0" * 4)}
    tensors, metadata = read_tensors(write(tmp_path / "m.safetensors", arrays, {"a": name}))
    assert (tensors["a"].format, tensors["a"].shape) == (name, x.shape)
    assert tensors["b"].format == "F32"
    np.testing.assert_array_equal(tensors["a"].load(), stored)
    np.testing.assert_array_equal(tensors["a"].numpy(), kind.decode(stored))
    assert metadata == {}


@pytest.mark.parametrize(
    ("formats", "error", "words"),
    [
        ({"b": "Q8_0"}, FormatError, "'b' is listed"),
        ({"a": "Q9_9"}, UnsupportedError, "'a' has weight format 'Q9_9'"),
        ({"a": "F16"}, UnsupportedError, "'a' has weight format 'F16'"),
        ({"a": ["Q8_0"]}, UnsupportedError, "'a' has weight format"),
        ({"a": "Q4_0"}, FormatError, "multiple of 18 bytes"),
        ("[]", FormatError, "not a JSON object"),
        ("{", FormatError, "not valid JSON"),
        ('{"a": "Q8_0", "a": "Q8_0"}', FormatError, "twice"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, formats, error, words):
    path = write(tmp_path / "m.safetensors", {"a": ("U8", [2, 34], bytes(68))}, formats)
    with pytest.raises(error, match=words) as caught:
        read_tensors(path)
    assert "m.safetensors" in str(caught.value)


@pytest.mark.parametrize(("dtype", "shape"), [("I8", [2, 34]), ("F16", [34]), ("U8", [])])
def test_only_bytes_can_be_blocks(tmp_path, dtype, shape):
    size = int(np.prod(shape)) * (2 if dtype == "F16" else 1)
    path = write(tmp_path / "m.safetensors", {"a": (dtype, shape, bytes(size))}, {"a": "Q8_0"})
    with pytest.raises(FormatError, match="is not Q8_0"):
        read_tensors(path)


def test_bytes_without_a_description_stay_bytes(tmp_path):
    path = write(tmp_path / "m.safetensors", {"a": ("U8", [2, 34], bytes(68))}, None)
    assert read_tensors(path)[0]["a"].format == "U8"
