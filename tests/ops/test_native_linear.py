"""
The native matrix product, under every kernel table, against numpy in float64: every weight format, odd sizes, every
number of rows that the kernel cuts differently.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_programs import EPS, FORMS, TABLES, Setup, agree, leaf, program, reference, run, stored

from rookery import _native
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS
from rookery.weights import Tensor

DENSE = ["F32", "F16", "BF16"]
# tiles take 8, 4, 2 or 1 rows, blocks of 128 rows go together
ROWS = [1, 2, 3, 4, 5, 7, 8, 9, 13, 127, 128, 129, 130]

pytestmark = pytest.mark.parametrize("table", TABLES)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(size=shape).astype(np.float32)


def weight(format: str, rows: int, columns: int, seed: int = 1) -> Tensor:
    """Random numbers encoded, or random bytes with moderate scales where rookery only reads the format."""
    kind = FORMATS[format]
    if kind.encode is not None:
        return stored(format, kind.encode(floats(rows, columns, seed=seed)), (rows, columns))
    shape = (rows, columns // kind.block * kind.nbytes)
    blocks = rng(seed).integers(0, 256, shape, np.uint8).view(LAYOUTS[format])
    for name in ("d", "dmin"):
        if name in (LAYOUTS[format].names or ()):
            blocks[name] = rng(seed + 1).uniform(-0.01, 0.01, blocks[name].shape)
    return stored(format, blocks.view(np.uint8).reshape(shape), (rows, columns))


def product(w: Tensor) -> Any:
    return lambda o, x: o.linear(x, leaf(o, w))


def multiplied(w: Tensor) -> Tensor:
    """The numbers a kernel multiplies: those of the matrix, but NF4's codebook is rounded to 1/112.03 of the scale."""
    if w.format != "NF4":
        return w
    scale = w.load().view(LAYOUTS["NF4"])["d"].astype(np.float64)[..., None]
    numbers = w.numpy().reshape(*scale.shape[:-1], 64)
    codes = np.rint(np.divide(numbers, scale, where=scale != 0, out=np.zeros(numbers.shape)) * 112.03)
    return stored("F32", (codes * scale / 112.03).astype(np.float32).reshape(w.shape))


def rounded(x: np.ndarray, w: Tensor) -> np.ndarray:
    """What a matrix of integers multiplies: inputs rounded to 255 steps of a scale per 32."""
    if w.format in DENSE:
        return x
    runs = x.reshape(len(x), -1, 32)
    most = np.abs(runs).max(-1, keepdims=True)
    codes = np.rint(runs * np.divide(np.float32(127), most, where=most > 0, out=np.zeros_like(most)))
    return (codes * (most / np.float32(127))).astype(np.float32).reshape(x.shape)


def bound(x: np.ndarray, w: Tensor) -> np.ndarray:
    """
    Adding `columns` products in a row: EPS sqrt(columns) times the sum of their magnitudes.  In block formats each
    number is scale * code + minimum rounded once, where the decoder rounds twice: EPS times the largest of them.
    """
    size = np.abs(w.numpy().astype(np.float64))
    total = np.abs(x).astype(np.float64) @ size.T
    twice = 0 if w.format in DENSE else 2 * size.max() * np.abs(x).sum(-1, keepdims=True)
    return EPS * (np.sqrt(w.shape[1]) * total + twice) + 1e-30


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rows", ROWS)
def test_formats_and_rows(table, format, rows):
    w = weight(format, 67, 512)
    x = floats(rows, 512)
    got, _ = run(product(w), x, Setup(table))
    want, _ = reference(product(multiplied(w)), rounded(x, w), Setup(table))
    agree(got, want, bound(x, w))


@pytest.mark.parametrize("format", DENSE)
@pytest.mark.parametrize(("outputs", "inputs"), [(1, 1), (1, 127), (31, 129), (32, 128), (33, 2), (97, 257), (300, 17)])
@pytest.mark.parametrize("rows", [1, 9])
def test_odd_shapes(table, format, outputs, inputs, rows):
    w = weight(format, outputs, inputs)
    x = floats(rows, inputs)
    got, _ = run(product(w), x, Setup(table))
    want, _ = reference(product(w), x, Setup(table))
    agree(got, want, bound(x, w))


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in DENSE])
@pytest.mark.parametrize("outputs", [1, 32, 33])
@pytest.mark.parametrize("blocks", [1, 3])
def test_odd_block_shapes(table, format, outputs, blocks):
    w = weight(format, outputs, blocks * FORMATS[format].block)
    x = floats(5, w.shape[1])
    got, _ = run(product(w), x, Setup(table))
    want, _ = reference(product(multiplied(w)), rounded(x, w), Setup(table))
    agree(got, want, bound(x, w))


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in DENSE])
def test_products_are_as_exact_as_format_and_rounded_inputs_allow(table, format):
    """Against float64 without any rounding: half a step of 1/127 of the largest of 32 inputs, and NF4's codebook."""
    w, x = weight(format, 40, 512), floats(7, 512)
    got, _ = run(product(w), x, Setup(table))
    size = np.abs(w.numpy().astype(np.float64))
    most = np.repeat(np.abs(x.reshape(7, -1, 32)).max(-1), 32, axis=-1)
    allowed = bound(x, w) + (most / 254) @ size.T
    if format == "NF4":
        peak = np.repeat(np.abs(w.load().view(LAYOUTS["NF4"])["d"].astype(np.float64)), 64, axis=-1)
        allowed += 0.00383 * (np.abs(x) + most / 254) @ peak.T
    agree(got, x.astype(np.float64) @ w.numpy().astype(np.float64).T, allowed)


@pytest.mark.parametrize("format", ["Q8_0", "INT8"])
def test_every_code_of_eight_bits_is_multiplied_exactly(table, format):
    """-128 included, which no encoder here writes, with inputs of either sign."""
    kind = FORMATS[format]
    codes = np.resize(np.arange(-128, 128), (33, 256)).astype(np.int8)
    ones = kind.encode(np.full((33, 256), 127, np.float32))
    if format == "INT8":
        ones[:, 4:] = codes.view(np.uint8)
    else:
        ones.view(LAYOUTS[format])["qs"] = codes.reshape(33, 8, 32)
    x = np.resize(np.array([127, -127, 1, -128 + 1, 0], np.float32), (3, 256))
    got, _ = run(product(stored(format, ones, (33, 256))), x, Setup(table))
    np.testing.assert_array_equal(got, x @ codes.astype(np.float32).T)


def test_every_code_of_a_byte_by_inputs_of_either_sign(table):
    """Encoders leave out -128; a file may hold it."""
    blocks = np.zeros((8, 1), LAYOUTS["Q8_0"])
    blocks["d"], blocks["qs"] = 0.01, np.arange(-128, 128).reshape(8, 1, 32)
    w = stored("Q8_0", blocks.view(np.uint8).reshape(8, 34), (8, 32))
    x = np.concatenate([np.eye(32, dtype=np.float32), -np.eye(32, dtype=np.float32)])
    got, _ = run(product(w), x, Setup(table))
    want, _ = reference(product(w), rounded(x, w), Setup(table))
    agree(got, want, bound(x, w))


@pytest.mark.parametrize("format", FORMATS)
def test_a_row_has_the_same_bits_in_any_company(table, format):
    w = weight(format, 161, 256)
    x = floats(130, 256)
    whole, _ = run(product(w), x, Setup(table))
    for rows in ROWS:
        some, _ = run(product(w), x[-rows:], Setup(table))
        np.testing.assert_array_equal(some, whole[-rows:])
    for threads, block_rows in FORMS:
        again, _ = run(product(w), x, Setup(table, threads=threads, block_rows=block_rows))
        np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize("format", DENSE)
@pytest.mark.parametrize("rows", [33, 1])
def test_every_number_is_read_exactly(table, format, rows):
    """Times the identity: each result is one stored number, whatever its magnitude."""
    numbers = np.geomspace(1e-8, 6e4, 33 * 35).reshape(33, 35) * np.where(np.arange(35) % 2, 1, -1)
    kind = FORMATS[format]
    w = stored(format, kind.encode(numbers.astype(np.float32)))
    x = np.eye(35, dtype=np.float32)[:rows]
    got, _ = run(product(w), x, Setup(table))
    np.testing.assert_array_equal(got, w.numpy().T[:rows])


@pytest.mark.parametrize("format", FORMATS)
def test_the_embedding_reads_every_format_exactly(table, format):
    w = weight(format, 9, 256)
    tokens = np.array([8, 0, 8, 3], np.int32)
    _, runner = program(lambda o, x: x * 1.0, w, Setup(table))
    logits = np.empty((4, 256), np.float32)
    runner.run(tokens, [4], [np.zeros(0, np.float32)], np.arange(4, dtype=np.int32), logits)
    np.testing.assert_array_equal(logits, w.numpy()[tokens])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_one_bad_row_leaves_the_others_alone(table, bad):
    w, x = weight("F32", 40, 64), floats(9, 64)
    clean, _ = run(product(w), x, Setup(table))
    x[4, 7] = bad
    got, _ = run(product(w), x, Setup(table))
    assert not np.isfinite(got[4]).any()
    np.testing.assert_array_equal(np.delete(got, 4, 0), np.delete(clean, 4, 0))


def test_data_of_the_wrong_size_is_refused(table):
    def reserved(shape: tuple[int, int, int]) -> Any:
        runner = _native.Runner(table, 2)
        runner.reserve([(*shape, False)], 32, 1)
        return runner

    with pytest.raises(ValueError, match="wrong size"):
        reserved((0, 3, 5)).matrix(0, np.zeros(59, np.uint8))
    with pytest.raises(ValueError, match="whole number of blocks"):
        reserved((8, 3, 33))
    with pytest.raises(ValueError, match="no such weight format"):
        reserved((99, 3, 5))
