"""Matrices in fewer bytes: the same numbers, the same bits of every result."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_programs import TABLES, Setup, leaf, run, stored

from rookery import load
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.initialise import make_config, random_model
from rookery.ops.narrow import narrowed
from rookery.quant import FORMATS
from rookery.weights import Packed

SPECIAL = np.asarray([0, -0.0, np.inf, -np.inf, 2.0**-14, -65504, 1.5, 2.0**-24], np.float32)


def numbers(format: str, shape: tuple[int, ...] = (700, 513)) -> np.ndarray:
    """Random numbers, exact in a format."""
    kind = FORMATS[format]
    return kind.decode(kind.encode(np.random.default_rng(3).normal(size=shape).astype(np.float32)))


@pytest.mark.parametrize("format", ["F16", "BF16"])
def test_what_is_exact_is_narrowed(format):
    w = stored("F32", numbers(format))
    small = narrowed(w)
    assert (small.format, small.shape, small.name) == (format, w.shape, w.name)
    assert small.numpy().tobytes() == w.numpy().tobytes()


def test_special_numbers_keep_their_bits():
    w = stored("F32", np.tile(SPECIAL, (4, 1)))
    assert narrowed(w).format == "F16"
    assert narrowed(w).numpy().tobytes() == w.numpy().tobytes()


@pytest.mark.parametrize("place", [(0, 0), (699, 512), (350, 7)])
@pytest.mark.parametrize("odd", [1 / 3, 1e-30])
def test_one_number_that_is_not_exact_keeps_the_matrix(place, odd):
    x = numbers("F16")
    x[place] = odd
    assert narrowed(stored("F32", x)).format == "F32"


def test_a_transposed_matrix_is_narrowed_as_it_lies():
    w = stored("F32", numbers("BF16"))
    assert narrowed(w.T).numpy().tobytes() == np.ascontiguousarray(w.numpy().T).tobytes()


def test_what_lies_packed_in_its_file_is_left():
    w = stored("F32", numbers("F16"))
    packed = {w.name: Packed(w.load, 0)}
    assert narrowed(type(w)(w.format, w.shape, w.load, w.name, packed)).format == "F32"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("format", ["F16", "BF16"])
def test_products_keep_their_bits(table, format):
    w, x = stored("F32", numbers(format, (70, 96))), np.random.default_rng(1).normal(size=(19, 96)).astype(np.float32)
    wide, small = (run(lambda o, x, m=m: o.linear(x, leaf(o, m)), x, Setup(table))[0] for m in (w, narrowed(w)))
    assert wide.tobytes() == small.tobytes()


def test_a_model_takes_fewer_bytes(tmp_path):
    path, same = tmp_path / "model.pth", tmp_path / "same.safetensors"
    save_checkpoint(random_model(make_config("7", layers=2, width=64, vocab=256)), path, dtype="BF16")
    save_checkpoint(open_checkpoint(path), same, dtype="F32")
    small, wide = load(path), load(same)
    assert small.executor.nbytes == wide.executor.nbytes
    assert np.array_equal(small.forward([1, 2, 3])[0], wide.forward([1, 2, 3])[0])
