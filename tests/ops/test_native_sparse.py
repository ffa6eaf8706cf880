"""
Products that skip zeros, under every kernel table: the bits are those of the product that skips nothing.

A Q8_0 matrix that reads squares of rectified numbers is kept in lines and may skip; one that reads the same numbers
multiplied by one is kept as all others and does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_programs import FORMS, TABLES, Setup, leaf, program, run, stored

from rookery.quant import FORMATS
from rookery.weights import Tensor

ROWS = [1, 2, 3, 4, 5, 6, 13, 130]

pytestmark = pytest.mark.parametrize("table", TABLES)


def weight(rows: int, columns: int, format: str = "Q8_0") -> Tensor:
    numbers = np.random.default_rng(1).normal(size=(rows, columns)).astype(np.float32)
    encode = FORMATS[format].encode
    assert encode is not None
    return stored(format, encode(numbers), (rows, columns))


def inputs(rows: int, columns: int, zeros: float) -> np.ndarray:
    """Numbers of which a share is negative, so that their rectified squares are zero."""
    draw = np.random.default_rng(2)
    size = draw.uniform(0.01, 2, (rows, columns)).astype(np.float32)
    return np.where(draw.uniform(size=size.shape) < zeros, -size, size)


def skipping(w: Tensor) -> Any:
    return lambda o, x: o.linear(o.relu2(x), leaf(o, w))


def whole(w: Tensor) -> Any:
    return lambda o, x: o.linear(o.relu2(x) * 1.0, leaf(o, w))


def same(w: Tensor, x: np.ndarray, skips: Setup, plain: Setup | None = None) -> None:
    got, _ = run(skipping(w), x, skips)
    want, _ = run(whole(w), x, plain or skips)
    np.testing.assert_array_equal(got.view(np.uint32), want.view(np.uint32))


@pytest.mark.parametrize("zeros", [0, 0.3, 0.6, 0.85, 0.97, 0.999, 1])
@pytest.mark.parametrize("rows", ROWS)
def test_the_bits_are_those_of_the_whole_product(table, rows, zeros):
    same(weight(193, 608), inputs(rows, 608, zeros), Setup(table))


@pytest.mark.parametrize("outputs", [1, 31, 32, 33, 64, 65, 96, 128])
@pytest.mark.parametrize("columns", [32, 96, 160])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_odd_shapes(table, outputs, columns, rows):
    same(weight(outputs, columns), inputs(rows, columns, 0.8), Setup(table))


@pytest.mark.parametrize(("threads", "block_rows"), FORMS)
@pytest.mark.parametrize("zeros", [0.2, 0.9])
def test_threads_and_blocks_change_no_bit(table, threads, block_rows, zeros):
    x = inputs(9, 256, zeros)
    same(weight(225, 256), x, Setup(table, threads=threads, block_rows=block_rows), Setup(table))


def test_a_row_has_the_same_bits_in_any_company(table):
    w, x = weight(161, 256), inputs(130, 256, 0.9)
    x[1::2] = inputs(65, 256, 0.1)  # alone some rows skip and others do not
    together, _ = run(skipping(w), x, Setup(table))
    for rows in ROWS:
        some, _ = run(skipping(w), x[-rows:], Setup(table))
        np.testing.assert_array_equal(some, together[-rows:])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_what_is_not_a_number_is_not_skipped(table, bad, rows):
    w, x = weight(70, 128), inputs(rows, 128, 0.95)
    x[0, 32:64] = -1  # the run has nothing else
    x[0, 40] = bad
    got, _ = run(skipping(w), x, Setup(table))
    want, _ = run(whole(w), x, Setup(table))
    assert not np.isfinite(got[0]).any()
    np.testing.assert_array_equal(got[1:], want[1:])


@pytest.mark.parametrize("rows", [1, 4])
def test_numbers_too_small_to_round_change_nothing(table, rows):
    x = np.full((rows, 64), -1, np.float32)
    x[:, ::7] = 3e-20  # squared: below what has a finite inverse
    same(weight(66, 64), x, Setup(table))


@pytest.mark.parametrize("format", ["F32", "F16", "BF16", "Q4_0"])
def test_other_formats_are_not_kept_in_lines(table, format):
    same(weight(65, 96, format), inputs(3, 96, 0.9), Setup(table))


def test_a_matrix_with_another_reader_is_not_kept_in_lines(table):
    """A model that shares a matrix: the numbers of its other reader are not rectified."""
    w, x = weight(64, 64), inputs(3, 64, 0.7)

    def both(o: Any, x: Any) -> Any:
        return o.linear(o.relu2(x), leaf(o, w)) + o.linear(x, leaf(o, w))

    recorded, _ = program(both, x, Setup(table))
    assert len({op.matrix for op in recorded.ops if op.name == "linear"}) == 1
    got, _ = run(both, x, Setup(table))
    first, _ = run(whole(w), x, Setup(table))
    second, _ = run(lambda o, x: o.linear(x, leaf(o, w)), x, Setup(table))
    np.testing.assert_array_equal(got, first + second)
