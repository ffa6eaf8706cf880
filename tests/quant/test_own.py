"""Formats that GGUF does not have, against their formulas in float64 and their own promises."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rookery.errors import FormatError, NumericError
from rookery.quant import FORMATS, encode_rows

OWN = [name for name, kind in FORMATS.items() if not kind.in_gguf]
FLOAT_MAX = float(np.finfo(np.float32).max)


def normal_float():
    """NF4 as its paper constructs it: quantiles at even distances, 8 above zero and 7 below, the largest made 1."""
    quantile, offset = NormalDist().inv_cdf, 0.9677083
    above = [quantile(p) for p in np.linspace(offset, 0.5, 9)[:-1]]
    below = [-quantile(p) for p in np.linspace(offset, 0.5, 8)[:-1]]
    return np.sort([0.0, *above, *below]) / max(above)


# fmt: off
# The tables of C4 and C5 as files have them: whoever changes these breaks files.
TABLES = {
    "C4": [
        [-64, -54, -44, -33, -25, -17, -10, -5, 0, 6, 12, 19, 27, 36, 44, 56],
        [-38, -29, -23, -19, -14, -10, -6, -3, 0, 3, 7, 11, 15, 20, 24, 31],
    ],
    "C5": [
        [-64, -58, -52, -46, -42, -38, -32, -28, -25, -21, -17, -14, -11, -8, -5, -2,
         0, 3, 6, 9, 12, 16, 19, 23, 27, 31, 36, 40, 45, 50, 56, 59],
        [-36, -34, -30, -27, -24, -21, -19, -16, -14, -12, -10, -8, -6, -4, -3, -1,
         0, 2, 4, 5, 7, 9, 11, 13, 15, 17, 20, 22, 25, 28, 31, 34],
    ],
}
# fmt: on


def by_hand(name, row):
    """A row of C4 or C5, number by number in float64, from docs/formats-quant.md."""
    whole = float(np.frombuffer(row[:4].tobytes(), "<f4")[0])
    size, out = (36, []) if name == "C4" else (44, [])
    for block in row[4:].reshape(-1, size).tolist():
        for j in range(64):
            scale, narrow = block[j // 32], block[2 + j // 32] >> (j % 32 // 4) & 1
            code = block[size - 32 + j % 32] >> (4 if j >= 32 else 0) & 15
            if name == "C5":
                code |= (block[4 + j // 8] >> (j % 8) & 1) << 4
            unit = (-1) ** (scale >> 7) * 2.0 ** (scale >> 4 & 7) * (1 + (scale & 15) / 16)
            out.append(whole * unit * TABLES[name][narrow][code])
    return np.array(out)


def rows(name, limit=1e4, blocks=2):
    elements = st.floats(-limit, limit, width=32)
    return hnp.arrays(np.float32, (2, blocks * FORMATS[name].block), elements=elements)


def both(name, x):
    return [FORMATS[name].encode(x), encode_rows(FORMATS[name], x)]


@pytest.mark.parametrize("name", OWN)
def test_sizes(name):
    kind = FORMATS[name]
    x = np.zeros((3, 5 * kind.block), np.float32)
    for stored in both(name, x):
        assert stored.shape == (3, kind.row_bytes(x.shape[1])) == (3, kind.head + 5 * kind.nbytes)
    assert kind.numbers(stored.shape[1]) == x.shape[1]
    assert kind.holds_rows_of(stored.shape[1])
    assert not kind.holds_rows_of(stored.shape[1] + 1)
    assert kind.bits == 8 * kind.nbytes / kind.block


def test_int8_bytes_mean_what_they_should():
    stored = np.zeros((1, 36), np.uint8)
    stored[0, :4] = np.frombuffer(np.float32(0.25).tobytes(), np.uint8)
    stored[0, 4:] = np.arange(120, 152)
    want = np.r_[np.arange(120, 128), np.arange(-128, -104)] * 0.25
    np.testing.assert_array_equal(FORMATS["INT8"].decode(stored)[0], want)


def test_nf4_bytes_mean_what_they_should():
    stored = np.zeros((1, 34), np.uint8)
    stored[0, :2] = np.frombuffer(np.float16(2).tobytes(), np.uint8)
    stored[0, 2:] = np.arange(32) % 16 | (15 - np.arange(32) % 16) << 4
    want = 2 * np.r_[normal_float(), normal_float(), normal_float()[::-1], normal_float()[::-1]]
    np.testing.assert_allclose(FORMATS["NF4"].decode(stored)[0], want, atol=2e-7)


@pytest.mark.parametrize("name", ["C4", "C5"])
@given(seed=st.integers(0, 2**32 - 1))
def test_bytes_of_two_tables_mean_what_they_should(name, seed):
    rng = np.random.default_rng(seed)
    row = rng.integers(0, 256, FORMATS[name].row_bytes(192), np.uint8)
    row[:4] = np.frombuffer(np.float32(rng.standard_normal()).tobytes(), np.uint8)
    np.testing.assert_allclose(FORMATS[name].decode(row), by_hand(name, row), rtol=2e-7)


@pytest.mark.parametrize(("name", "together", "step"), [("INT8", 0, 1 / 127), ("NF4", 64, 0.3038)])
@given(data=st.data())
def test_rounding_is_off_by_half_a_step(name, together, step, data):
    """Half the largest distance of two codes in units of the largest number, and what the stored scale is off."""
    x = data.draw(rows(name))
    back = FORMATS[name].decode(FORMATS[name].encode(x))
    groups = x.reshape(-1, together or x.shape[-1])
    peak = np.abs(groups).max(axis=-1, keepdims=True)
    error = np.abs(back - x).reshape(groups.shape)
    assert (error <= peak * (step / 2 * (1 + 1e-5) + 2.0**-11) + 2.0**-24).all()


@pytest.mark.parametrize(("name", "share"), [("C4", 0.2), ("C5", 0.12)])
@given(data=st.data())
def test_searching_is_off_by_a_share_of_the_largest(name, share, data):
    """Of 32 numbers, as long as their scale is not below the smallest that the row's scale allows."""
    x = data.draw(rows(name))
    back = FORMATS[name].decode(FORMATS[name].encode(x))
    peak = np.abs(x.reshape(2, -1, 32)).max(axis=-1, keepdims=True)
    smallest = peak.max(axis=1, keepdims=True) / 124
    error = np.abs(back - x).reshape(2, -1, 32)
    assert (error <= share * np.maximum(peak, smallest) + 1e-37).all()


@pytest.mark.parametrize("name", OWN)
@given(data=st.data())
def test_any_finite_row_stays_finite(name, data):
    x = data.draw(rows(name, FLOAT_MAX))
    for stored in both(name, x):
        assert np.isfinite(FORMATS[name].decode(stored)).all()


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("size", [1e-45, 1e-42, 1e-38, 1e-30, 6e-8, 1e-5])
def test_small_scales_lose_accuracy_and_nothing_else(name, size):
    x = (np.random.default_rng(0).uniform(-1, 1, (3, 128)) * size).astype(np.float32)
    for stored in both(name, x):
        assert np.abs(FORMATS[name].decode(stored) - x).max() <= size + 1e-45


@pytest.mark.parametrize("name", OWN)
def test_zero_rows_stay_zero(name):
    x = np.zeros((3, 128), np.float32)
    for stored in both(name, x):
        np.testing.assert_array_equal(FORMATS[name].decode(stored), x)


@pytest.mark.parametrize("name", OWN)
def test_an_outlier_is_kept_within_a_few_percent(name):
    x = np.random.default_rng(1).standard_normal((4, 256)).astype(np.float32)
    x[:, 100] = [60, -60, 300, -300]
    for stored in both(name, x):
        np.testing.assert_allclose(FORMATS[name].decode(stored)[:, 100], x[:, 100], rtol=0.05)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(name, bad):
    x = np.zeros((2, 64), np.float32)
    x[1, 5] = bad
    with pytest.raises(NumericError, match=name):
        FORMATS[name].encode(x)


@pytest.mark.parametrize("name", OWN)
def test_a_partial_block_is_refused(name):
    kind = FORMATS[name]
    with pytest.raises(FormatError, match=name):
        kind.decode(np.zeros((2, kind.row_bytes(kind.block) + 1), np.uint8))
    with pytest.raises(FormatError, match=name):
        kind.decode(np.zeros((2, kind.row_bytes(kind.block)), np.int8))
    with pytest.raises(FormatError, match=name):
        kind.encode(np.zeros((2, kind.block + 1), np.float32))


@pytest.mark.parametrize("name", OWN)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_bytes_decode(name, seed):
    kind = FORMATS[name]
    data = np.random.default_rng(seed).integers(0, 256, (2, kind.row_bytes(3 * kind.block)), np.uint8)
    assert kind.decode(data).shape == (2, 3 * kind.block)


@pytest.mark.parametrize("name", OWN)
def test_views_and_empty_tensors_decode(name):
    kind = FORMATS[name]
    data = kind.encode(np.random.default_rng(0).standard_normal((2, 3, 2 * kind.block)).astype(np.float32))
    np.testing.assert_array_equal(kind.decode(data[:, ::2]), kind.decode(data)[:, ::2])
    assert kind.decode(data[:0]).shape == (0, 3, 2 * kind.block)


@pytest.mark.parametrize("name", [name for name in OWN if FORMATS[name].head])
def test_rows_are_encoded_under_a_given_scale(name):
    """As calibration does it: columns in pieces, one scale for the whole row."""
    kind = FORMATS[name]
    x = np.random.default_rng(2).standard_normal((5, 4 * kind.block)).astype(np.float32)
    whole = encode_rows(kind, x)
    heads = np.ascontiguousarray(whole[:, : kind.head])
    np.testing.assert_array_equal(encode_rows(kind, x, heads=heads), whole)
    parts = [encode_rows(kind, x[:, i : i + kind.block], heads=heads) for i in range(0, x.shape[1], kind.block)]
    assert all((part[:, : kind.head] == heads).all() for part in parts)
    joined = np.concatenate([heads, *(part[:, kind.head :] for part in parts)], axis=1)
    near = np.abs(kind.decode(joined) - x)
    assert np.sqrt(np.mean(near**2)) <= 1.02 * np.sqrt(np.mean((kind.decode(whole) - x) ** 2))


def test_heads_are_for_formats_that_have_them():
    with pytest.raises(ValueError, match="heads"):
        encode_rows(FORMATS["Q8_0"], np.zeros((2, 32), np.float32), heads=np.zeros((2, 4), np.uint8))
    with pytest.raises(ValueError, match="heads"):
        encode_rows(FORMATS["INT8"], np.zeros((2, 32), np.float32), heads=np.zeros((1, 4), np.uint8))
