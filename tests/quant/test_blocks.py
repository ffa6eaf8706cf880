"""The block formats of GGUF against the reference package, published vectors and their own promises."""

import json

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rookery.errors import FormatError, NumericError
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS, scaled

BLOCKS = sorted(name for name in LAYOUTS if FORMATS[name].in_gguf)  # the others: test_own.py
WRITTEN = [name for name in BLOCKS if FORMATS[name].block == 32]  # rounded to nearest; the others: test_searched.py

# code range of each written format: how many steps the largest distance from the anchor is divided into
STEPS = {"Q4_0": 8, "Q5_0": 16, "Q8_0": 127, "Q4_1": 15, "Q5_1": 31}


def reference(name):
    return gguf.GGMLQuantizationType[name]


def random_blocks(name, shape, seed=0):
    """Random bytes with finite scales."""
    blocks = np.random.default_rng(seed).integers(0, 256, (*shape, LAYOUTS[name].itemsize), np.uint8)
    view = blocks.view(LAYOUTS[name])
    for field in ("d", "m", "dmin"):
        if field in LAYOUTS[name].names:
            view[field] = np.nan_to_num(view[field], nan=1.5, posinf=2.0, neginf=-2.0)
    return blocks.reshape(*shape[:-1], -1)


def numbers(limit=1e4):
    element = st.floats(-limit, limit, width=32)
    return st.integers(1, 5).flatmap(lambda n: hnp.arrays(np.float32, (n, 32), elements=element))


@pytest.mark.parametrize("name", BLOCKS)
def test_the_sizes_are_those_of_the_reference(name):
    block, nbytes = gguf.GGML_QUANT_SIZES[reference(name)]
    assert (FORMATS[name].block, FORMATS[name].nbytes, FORMATS[name].ggml) == (block, nbytes, int(reference(name)))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (2, 3, 2), (33, 5)])
def test_decode_equals_the_reference(name, shape):
    data = random_blocks(name, shape, sum(shape))
    got = FORMATS[name].decode(data)
    want = gguf.dequantize(data, reference(name))
    assert got.dtype == np.float32
    assert got.shape == want.shape
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("shape", [(1, 32), (3, 96), (2, 5, 64), (501, 32)])
def test_encode_gives_the_bytes_of_the_reference(name, shape):
    rng = np.random.default_rng(5)
    x = (rng.standard_normal(shape) * 10.0 ** rng.uniform(-9, 3.5, (*shape[:-1], 1))).astype(np.float32)
    x[0] = np.round(x[0])  # ties and repeated extremes
    np.testing.assert_array_equal(FORMATS[name].encode(x), gguf.quantize(x, reference(name)))


@pytest.mark.parametrize("name", WRITTEN)
@given(x=numbers())
def test_encode_gives_the_bytes_of_the_reference_anywhere(name, x):
    # The reference overflows where it divides by a subnormal step.
    x = np.where(np.abs(x).max(axis=-1, keepdims=True) < 1e-30, np.float32(0), x)
    x = np.where(np.ptp(x, axis=-1, keepdims=True) < 1e-30, x[:, :1], x)
    np.testing.assert_array_equal(FORMATS[name].encode(x), gguf.quantize(x, reference(name)))


@pytest.mark.parametrize("name", WRITTEN)
@given(x=numbers())
def test_a_round_trip_is_off_by_half_a_step(name, x):
    back = FORMATS[name].decode(FORMATS[name].encode(x))
    low, high = x.min(axis=-1, keepdims=True), x.max(axis=-1, keepdims=True)
    peak = np.abs(x).max(axis=-1, keepdims=True)
    step = ((high - low) if name.endswith("_1") else peak) / STEPS[name]
    lost = 2.0**-10 * peak * 2 + 2.0**-24 * STEPS[name] + 2.0**-24  # scale and offset are rounded to fp16
    if name in ("Q4_0", "Q5_0"):
        # the side opposite to the extreme ends one code earlier
        extreme = np.take_along_axis(x, np.abs(x).argmax(-1, keepdims=True), -1)
        step = np.where(x * np.sign(extreme) < -step * (STEPS[name] - 1.5), 2 * step, step)
    assert (np.abs(back - x) <= step / 2 + lost).all()


@pytest.mark.parametrize("name", WRITTEN)
@given(x=numbers(limit=float(np.finfo(np.float32).max)))
def test_no_magnitude_becomes_infinite(name, x):
    assert np.isfinite(FORMATS[name].decode(FORMATS[name].encode(x))).all()


@pytest.mark.parametrize("name", WRITTEN)
def test_zero_rows_stay_zero(name):
    x = np.zeros((3, 64), np.float32)
    np.testing.assert_array_equal(FORMATS[name].decode(FORMATS[name].encode(x)), x)


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused(name, bad):
    x = np.zeros((2, 32), np.float32)
    x[1, 5] = bad
    with pytest.raises(NumericError, match=name):
        FORMATS[name].encode(x)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_partial_block_is_refused(name):
    with pytest.raises(FormatError, match=name):
        FORMATS[name].decode(np.zeros((2, FORMATS[name].nbytes + 1), np.uint8))
    if FORMATS[name].encode:
        with pytest.raises(FormatError, match=name):
            FORMATS[name].encode(np.zeros((2, 33), np.float32))


@pytest.mark.parametrize("name", BLOCKS)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_bytes_decode(name, seed):
    data = np.random.default_rng(seed).integers(0, 256, (2, 3 * FORMATS[name].nbytes), np.uint8)
    assert FORMATS[name].decode(data).shape == (2, 3 * FORMATS[name].block)


@pytest.mark.parametrize("name", BLOCKS)
def test_views_and_empty_tensors_decode(name):
    data = random_blocks(name, (6, 2))
    np.testing.assert_array_equal(FORMATS[name].decode(data[::2]), FORMATS[name].decode(data)[::2])
    assert FORMATS[name].decode(data[:0]).shape == (0, 2 * FORMATS[name].block)


def test_pieces_join():
    data = random_blocks("Q4_K", (3, 5000))
    np.testing.assert_array_equal(FORMATS["Q4_K"].decode(data), gguf.dequantize(data, reference("Q4_K")))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("power", [0, 1, 5])
def test_scaling_by_a_power_of_two_is_exact(name, power):
    data = random_blocks(name, (5, 3))
    for field in ("d", "m", "dmin"):
        if field in LAYOUTS[name].names:
            view = data.view(LAYOUTS[name])
            view[field] = np.clip(view[field], -100, 100)
    before = data.copy()
    want = np.ldexp(FORMATS[name].decode(data), power)
    np.testing.assert_array_equal(FORMATS[name].decode(scaled(name, data, power)), want)
    np.testing.assert_array_equal(data, before)


@pytest.mark.shared
def test_published_vectors(shared):
    cases = json.loads((shared / "fixtures/official_vectors/quant_blocks.json").read_text())
    assert {case["type"] for case in cases} == set(BLOCKS)
    for case in cases:
        data = np.frombuffer(bytes.fromhex(case["hex"]), np.uint8)
        got = FORMATS[case["type"]].decode(data)
        scale = np.abs(case["values"]).max()
        np.testing.assert_allclose(got, case["values"], rtol=0, atol=1e-6 * scale, err_msg=case["type"])
