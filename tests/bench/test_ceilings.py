"""What the machine can deliver, and what a program asks of it."""

import numpy as np
import pytest

from rookery import _native
from rookery.bench.ceilings import Ceilings, integer_operations, last_level_cache
from rookery.bench.speed import load_timed, native
from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model


@pytest.mark.parametrize("table", _native.kernel_tables())
@pytest.mark.parametrize("threads", [1, 3])
def test_every_table_has_ceilings(table, threads):
    ceilings = _native.Ceilings(table, threads, 1 << 20)
    assert ceilings.nbytes >= 1 << 20
    assert 0 < ceilings.touch() < 1e13
    assert 0 < ceilings.peak(0.001) < 1e15


@pytest.mark.parametrize("nbytes", [0, 1, 129])
def test_stretches_of_any_length(nbytes):
    assert _native.Ceilings("portable", 2, nbytes).touch() >= 0


@pytest.mark.parametrize("seconds", [0, -1, 11, float("nan"), float("inf")])
def test_the_time_must_be_sensible(seconds):
    with pytest.raises(ValueError, match="seconds"):
        _native.Ceilings("portable", 1, 128).peak(seconds)


def test_a_table_that_is_not_there():
    with pytest.raises(ValueError, match="kernel table"):
        _native.Ceilings("abacus", 1, 128)


def test_memory_is_larger_than_the_caches():
    ceilings = Ceilings("portable", 1)
    assert ceilings.nbytes >= 4 * last_level_cache() > 0
    assert ceilings.read() > 0
    assert ceilings.int8() > 0


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same model in F32 and in Q8_0."""
    folder = tmp_path_factory.mktemp("models")
    checkpoint = random_model(make_config("7", layers=2, width=64, vocab=320), 1)
    for dtype in ("F32", "Q8_0"):
        save_checkpoint(checkpoint, folder / f"{dtype}.gguf", dtype=dtype)
    return folder


def test_operations_are_those_of_the_integer_matrices(models):
    executor = native(load_timed(models / "Q8_0.gguf", 1)[0])
    stored = {w.name: w for w in executor.program.matrices if w.format == "Q8_0"}
    head = np.prod(stored["head.weight"].shape)
    body = sum(np.prod(w.shape) for name, w in stored.items() if name not in ("head.weight", "emb.weight"))
    assert integer_operations(executor.program, 1, 1) == 2 * (body + head)
    assert integer_operations(executor.program, 10, 3) == 2 * (10 * body + 3 * head)


def test_floats_are_not_counted(models):
    executor = native(load_timed(models / "F32.gguf", 1)[0])
    assert integer_operations(executor.program, 10, 1) == 0


def test_every_byte_of_the_arena_is_some_matrix(models):
    for threads in (1, 2):
        executor = native(load_timed(models / "Q8_0.gguf", threads)[0])
        parts = executor.matrix_bytes().values()
        assert sum(map(sum, parts)) == executor.nbytes
        assert {len(part) for part in parts} == {threads}
