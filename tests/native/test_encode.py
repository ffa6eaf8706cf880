"""The native encoder that rounds equals the numpy one byte by byte; bad calls are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rookery import _native
from rookery.quant import FORMATS

ROUNDED = [name for name, kind in FORMATS.items() if kind.block == 32 and kind.in_gguf]


def same(name, x):
    kind = FORMATS[name]
    x = x + np.float32(0)  # of 0 and -0 numpy takes either as the smaller
    np.testing.assert_array_equal(_native.encode_rows_nearest(kind.ggml, x), kind.encode(x))


@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize("shape", [(0, 32), (1, 32), (7, 96), (501, 64)])
def test_rounding_equals_numpy(name, shape):
    rng = np.random.default_rng(1)
    x = (rng.standard_normal(shape) * 10.0 ** rng.uniform(-12, 6, (shape[0], 1))).astype(np.float32)
    x[:1] = np.round(x[:1])  # ties and repeated extremes
    same(name, x)


@pytest.mark.parametrize("name", ROUNDED)
@given(x=hnp.arrays(np.float32, (2, 32), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_rounding_equals_numpy_anywhere(name, x):
    same(name, x)


def test_every_scale_is_rounded_as_numpy_rounds():
    """A block whose largest number is 127 d has the scale d: fp16 by fp16, and between them."""
    bits = np.arange(1, 0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    scales = np.concatenate([bits, bits * np.float32(1 + 2**-12), (bits[1:] + bits[:-1]) / 2])
    x = np.zeros((len(scales), 32), np.float32)
    x[:, 3] = scales * 127
    same("Q8_0", x)


@pytest.mark.parametrize("call", [_native.encode_rows, _native.encode_rows_nearest])
@pytest.mark.parametrize(("format_id", "n"), [(0, 32), (1, 32), (30, 32), (4, 32), (-1, 32), (8, 33), (12, 32)])
def test_rows_that_do_not_fit_are_refused(call, format_id, n):
    with pytest.raises(ValueError, match="encode_rows"):
        call(format_id, np.zeros((2, n), np.float32))


def test_rounding_is_for_blocks_of_32():
    with pytest.raises(ValueError, match="blocks of 32"):
        _native.encode_rows_nearest(12, np.zeros((1, 256), np.float32))


@pytest.mark.parametrize("importance", [np.ones(31), np.full(32, -1.0), np.full(32, np.nan), np.full(32, np.inf)])
def test_impossible_importance_is_refused(importance):
    with pytest.raises(ValueError, match="importance"):
        _native.encode_rows(8, np.zeros((1, 32), np.float32), importance.astype(np.float32))


@pytest.mark.parametrize("threads", [-5, 0, 1, 100])
def test_any_number_of_threads(threads):
    x = np.random.default_rng(0).standard_normal((3, 256)).astype(np.float32)
    want = _native.encode_rows(12, x)
    np.testing.assert_array_equal(_native.encode_rows(12, x, threads=threads), want)
