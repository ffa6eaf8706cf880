"""The native decoder equals the numpy one bit by bit."""

import numpy as np
import pytest

from rookery import _native
from rookery.quant import FORMATS


def assert_same_bits(got, want):
    """Equal bits; a NaN equals any NaN."""
    assert got.dtype == want.dtype == np.float32
    nan = np.isnan(want)
    np.testing.assert_array_equal(np.isnan(got), nan)
    np.testing.assert_array_equal(got.view(np.uint32)[~nan], want.view(np.uint32)[~nan])


@pytest.mark.parametrize("name", [n for n, f in FORMATS.items() if f.block > 1])
@pytest.mark.parametrize("rows", [0, 1, 7])
@pytest.mark.parametrize("blocks", [1, 2, 31])
def test_block_formats(name, rows, blocks):
    kind = FORMATS[name]
    data = np.random.default_rng(rows + blocks).integers(0, 256, (rows, kind.row_bytes(blocks * kind.block)), np.uint8)
    assert_same_bits(_native.decode_rows(kind.ggml, data, blocks * kind.block), kind.decode(data))


def test_every_half_and_bfloat():
    bits = np.arange(65536, dtype=np.uint16)
    with np.errstate(invalid="ignore"):
        want = bits.view(np.float16).astype(np.float32)
    assert_same_bits(_native.decode_rows(1, bits.view(np.uint8)[None], 65536)[0], want)
    assert_same_bits(_native.decode_rows(30, bits.view(np.uint8)[None], 65536)[0], FORMATS["BF16"].decode(bits))


def test_floats_from_an_unaligned_address():
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    data = np.frombuffer(b"?" + x.tobytes(), np.uint8)[1:].reshape(3, 20)
    np.testing.assert_array_equal(_native.decode_rows(0, data, 5), x)


@pytest.mark.parametrize(
    ("format_id", "nbytes", "n"),
    [(4, 18, 32), (31, 2, 1), (-1, 4, 1), (8, 34, 33), (8, 33, 32), (8, 68, 32), (0, 4, -1), (1, 2, 2)],
)
def test_rows_that_do_not_fit_are_refused(format_id, nbytes, n):
    with pytest.raises(ValueError, match="decode_rows"):
        _native.decode_rows(format_id, np.zeros((2, nbytes), np.uint8), n)
