"""Encoding by search: never worse than rounding, as good as the standard quantiser, and fit for any numbers."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rookery.errors import FormatError, NumericError
from rookery.quant import FORMATS, encode_rows

BLOCKS = [name for name, kind in FORMATS.items() if kind.block > 1]
KS = [name for name in BLOCKS if FORMATS[name].block == 256]
ROUNDED = [name for name in BLOCKS if name not in (*KS, "C4", "C5")]

# Distributions that weights have, rows x columns.
DRAWS = {
    "gaussian": lambda rng, shape: rng.standard_normal(shape),
    "heavy tails": lambda rng, shape: rng.standard_t(4, shape),
    "even": lambda rng, shape: rng.uniform(-1, 1, shape),
    "off centre": lambda rng, shape: rng.uniform(-1, 3, shape),
    "outlier columns": lambda rng, shape: rng.standard_normal(shape) * np.where(np.arange(shape[1]) % 61, 0.1, 3),
}

# Mean squared error relative to the mean square of gaussian numbers, of a quantiser that is as good as can be expected:
# measured once, rounded up by 3 %.
EXPECTED = {"Q4_K": 5.0e-3, "Q5_K": 1.23e-3, "Q6_K": 2.95e-4, "Q4_0": 6.8e-3, "Q4_1": 4.95e-3, "Q5_0": 1.66e-3} | {
    "C4": 3.8e-3,
    "C5": 1.0e-3,
    "NF4": 7.0e-3,
}


def drawn(name, shape=(16, 512), seed=0):
    return np.ascontiguousarray(DRAWS[name](np.random.default_rng(seed), shape), np.float32)


def error(kind, stored, x, importance=1.0):
    return float(np.mean(importance * np.square(kind.decode(stored) - x, dtype=np.float64)))


def equal(x):
    return np.ones(x.shape[-1], np.float32)


@pytest.mark.parametrize("name", ROUNDED)
@pytest.mark.parametrize("draw", DRAWS)
def test_searching_is_never_worse_than_rounding(name, draw):
    kind, x = FORMATS[name], drawn(draw)
    rows = [error(kind, encode_rows(kind, row, equal(row)), row) for row in x]
    rounded = [error(kind, kind.encode(row), row) for row in x]
    assert (np.array(rows) <= np.array(rounded) * (1 + 1e-6)).all()
    gain = 1 if name == "INT8" else 0.995  # one scale for a whole row has little to win
    assert np.mean(rows) < gain * np.mean(rounded)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_error_is_what_the_format_allows(name):
    kind, x = FORMATS[name], drawn("gaussian", (64, 1024))
    assert error(kind, encode_rows(kind, x, equal(x)), x) < EXPECTED[name] * np.mean(np.square(x))


@pytest.mark.parametrize("name", BLOCKS)
def test_what_was_encoded_is_encoded_again_without_loss(name):
    """Numbers that the format can hold have an encoding without error; the search comes near it."""
    kind = FORMATS[name]
    rng = np.random.default_rng(3)
    blocks = encode_rows(kind, np.ascontiguousarray(rng.standard_normal((40, kind.block)), np.float32))
    x = kind.decode(blocks)
    again = kind.decode(encode_rows(kind, x, equal(x)))
    assert np.sqrt(np.mean((again - x) ** 2)) < 8e-3 * np.sqrt(np.mean(x**2))


@pytest.mark.parametrize("name", BLOCKS)
def test_importance_moves_the_error_where_it_matters_less(name):
    kind, x = FORMATS[name], drawn("gaussian", (32, 512), seed=1)
    importance = np.exp(1.5 * np.random.default_rng(2).standard_normal(512)).astype(np.float32)
    informed, plain = encode_rows(kind, x, importance), encode_rows(kind, x, equal(x))
    assert error(kind, informed, x, importance) < 0.98 * error(kind, plain, x, importance)
    assert error(kind, plain, x) < error(kind, informed, x)


@pytest.mark.parametrize("name", BLOCKS)
def test_only_proportions_of_importance_count(name):
    kind, x = FORMATS[name], drawn("heavy tails", (4, 512))
    importance = np.random.default_rng(4).uniform(0.1, 1, 512).astype(np.float32)
    np.testing.assert_array_equal(encode_rows(kind, x, importance), encode_rows(kind, x, importance * 1024))


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("power", [-60, -3, 7])
def test_scaling_by_powers_of_two_changes_scales_only(name, power):
    """Scales are exact within their normal range, so the codes must be the same."""
    kind, x = FORMATS[name], drawn("gaussian", (4, 512)) * 64
    if power == -60 and not kind.head:
        assert not kind.decode(encode_rows(kind, np.ldexp(x, -60))).any()  # below every fp16
        return
    want = np.ldexp(kind.decode(encode_rows(kind, x)), power)
    np.testing.assert_allclose(kind.decode(encode_rows(kind, np.ldexp(x, power))), want, atol=4e-3 * np.abs(want).max())


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_constant_rows(name, value):
    x = np.full((2, 512), value, np.float32)
    np.testing.assert_allclose(FORMATS[name].decode(encode_rows(FORMATS[name], x)), x, rtol=2e-3)


@pytest.mark.parametrize("name", BLOCKS)
@given(data=st.data())
def test_any_finite_row_is_encoded_and_stays_finite(name, data):
    limit = float(np.finfo(np.float32).max)
    kind = FORMATS[name]
    x = data.draw(hnp.arrays(np.float32, (2, kind.block), elements=st.floats(-limit, limit, width=32)))
    weights = data.draw(st.none() | hnp.arrays(np.float32, (kind.block,), elements=st.floats(0, limit, width=32)))
    back = kind.decode(encode_rows(kind, x, weights))
    assert np.isfinite(back).all()


@pytest.mark.parametrize("name", BLOCKS)
def test_threads_and_views_change_nothing(name):
    kind, x = FORMATS[name], drawn("gaussian", (14, 512))
    want = encode_rows(kind, x)
    np.testing.assert_array_equal(encode_rows(kind, x, threads=3), want)
    np.testing.assert_array_equal(encode_rows(kind, x[::2]), want[::2])
    np.testing.assert_array_equal(encode_rows(kind, x.reshape(2, 7, 512)).reshape(14, -1), want)
    assert encode_rows(kind, x[:0]).shape == (0, want.shape[1])


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in ROUNDED])
def test_the_table_encodes_by_search(name):
    x = drawn("gaussian", (3, 512))
    np.testing.assert_array_equal(FORMATS[name].encode(x), encode_rows(FORMATS[name], x))


@pytest.mark.parametrize("name", BLOCKS)
def test_what_cannot_be_stored_is_refused(name):
    kind = FORMATS[name]
    with pytest.raises(FormatError, match=f"{name}.*multiple of {kind.block}"):
        encode_rows(kind, np.zeros((2, kind.block + 1), np.float32))
    for bad in (np.nan, np.inf, -np.inf):
        x = np.zeros((2, kind.block), np.float32)
        x[1, 7] = bad
        with pytest.raises(NumericError, match=name):
            encode_rows(kind, x)


STANDARD = [name for name in BLOCKS if FORMATS[name].in_gguf]


@pytest.fixture(scope="module")
def standard():
    """The standard quantiser: standard(kind, x, importance) -> stored rows."""
    package = pytest.importorskip("llama_cpp")
    found = sorted(Path(package.__file__).parent.glob("lib/*ggml-base*"))
    if not found:
        pytest.skip("llama_cpp brings no ggml-base library here")
    chunk = ctypes.CDLL(str(found[0])).ggml_quantize_chunk
    chunk.restype = ctypes.c_size_t
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    chunk.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]

    def encode(kind, x, importance=None):
        out = np.empty((len(x), kind.row_bytes(x.shape[1])), np.uint8)
        weights = None if importance is None else importance.ctypes.data
        chunk(kind.ggml, x.ctypes.data, out.ctypes.data, 0, len(x), x.shape[1], weights)
        return out

    return encode


@pytest.mark.peer
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("name", STANDARD)
def test_no_worse_than_the_standard_quantiser(standard, name, draw):
    kind, x = FORMATS[name], drawn(draw, (64, 1024), seed=5)
    importance = np.exp(np.random.default_rng(6).standard_normal(1024)).astype(np.float32)
    assert error(kind, encode_rows(kind, x, equal(x)), x) < error(kind, standard(kind, x), x)
    ours, theirs = encode_rows(kind, x, importance), standard(kind, x, importance)
    assert error(kind, ours, x, importance) < error(kind, theirs, x, importance)


@pytest.mark.peer
@pytest.mark.shared
@pytest.mark.parametrize("name", STANDARD)
def test_no_worse_on_trained_weights(standard, shared, name):
    from rookery.formats import open_checkpoint

    kind = FORMATS[name]
    for path in sorted((shared / "fixtures/rwkv_cpp_tiny").glob("*FP32.bin")):
        for tensor in open_checkpoint(path).tensors.values():
            if len(tensor.shape) == 2 and tensor.shape[1] % kind.block == 0 and tensor.numpy().any():
                x = np.ascontiguousarray(tensor.numpy())
                assert error(kind, encode_rows(kind, x, equal(x)), x) <= error(kind, standard(kind, x), x)
