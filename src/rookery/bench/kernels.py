"""
The matrix products alone: how near each weight format comes to the machine's limits, without a model around it.

"Streamed" are matrices that together are several times the last-level cache, each read once; "cached" is a small one,
read again and again.  With one token the memory is the limit, with many the processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from rookery.bench.ceilings import Ceilings, integer_operations, last_level_cache
from rookery.bench.speed import Spread
from rookery.errors import SettingsError
from rookery.ops.native import stateless
from rookery.ops.record import Program, Recorder
from rookery.quant import FORMATS, encode_rows
from rookery.weights import Tensor

__all__ = ["kernels"]

_ROWS = _COLS = 2048
_CACHED_ROWS = 256  # of the matrix that the second-level cache holds
_BATCHES = (2, 8, 32)  # tokens with streamed matrices, as several conversations have
_PROMPT = 480  # tokens with one matrix
_CACHED_READS = 50
_PROMPT_READS = 4  # so that looking up and rounding the inputs, which products of one value share, hardly counts
_TRIES = 3  # in each round; the best counts, since disturbances only slow down


def kernels(threads: Sequence[int], repeat: int, formats: Sequence[str] = ()) -> dict[str, Any]:
    """{"shape", "tokens", "runs"}; a run has "threads", "kernels", "read_bytes_per_s", "int8_ops_per_s", "formats".

    Of each format: "streamed" {"bytes_per_s", "of_read"}, "cached" {"bytes_per_s"}, and "tokens": their number ->
    {"ops_per_s", "of_int8"}.  Speeds are spreads over the rounds; shares are of the ceiling that was measured just
    before, medians.  Formats whose products are not of integers have no "of_int8".
    formats: all by default.
    """
    for name in formats:
        if name not in FORMATS:
            raise SettingsError(f"format {name!r} is unknown; there are {', '.join(FORMATS)}")
    runs = [_run(count, repeat, formats or list(FORMATS)) for count in threads]
    return {"shape": [_ROWS, _COLS], "tokens": [*_BATCHES, _PROMPT], "runs": runs}


def _run(threads: int, repeat: int, formats: Sequence[str]) -> dict[str, Any]:
    products = _Products(formats[0], threads, 1, 1, _ROWS)
    ceilings = Ceilings(products.table, products.threads)
    read, int8 = Spread(), Spread()
    found = {name: _format(name, threads, repeat, _Both(ceilings, read, int8)) for name in formats}
    return {
        "threads": products.threads,
        "kernels": products.table,
        "read_bytes_per_s": read.summary(),
        "int8_ops_per_s": int8.summary(),
        "formats": found,
    }


class _Both:
    """The two ceilings, which remember what they were."""

    def __init__(self, ceilings: Ceilings, read: Spread, int8: Spread) -> None:
        self._ceilings, self._read, self._int8 = ceilings, read, int8

    def read(self) -> float:
        self._read.add(self._ceilings.read())
        return self._read.values[-1]

    def int8(self) -> float:
        self._int8.add(self._ceilings.int8())
        return self._int8.values[-1]


class _Products:
    """A program of `count` products of the same inputs with matrices of random numbers.

    reads: how often each matrix is multiplied in a run.
    """

    def __init__(self, format: str, threads: int, count: int, reads: int, rows: int) -> None:
        recorder, rng = Recorder(), np.random.default_rng(0)
        inputs = rng.standard_normal((_PROMPT, _COLS), np.float32)
        x = recorder.embed(Tensor("F32", inputs.shape, lambda: inputs, "inputs"))
        stored = _stored(format, rows)
        for number in range(count):
            matrix = Tensor(format, (rows, _COLS), lambda: stored, f"matrix {number}")
            for _ in range(reads):
                y = recorder.linear(x, matrix)
        self.program: Program = recorder.finish(y)
        self._runner = stateless(self.program, threads, max(_BATCHES) if count > 1 else _PROMPT)
        self.threads, self.table = int(self._runner.threads), str(self._runner.table)
        self.nbytes = int(self._runner.nbytes) * reads
        self.operations = 2 * rows * _COLS * count * reads  # for one token
        self.integer = bool(integer_operations(self.program, 1, 1))
        self._rows, self._empty = rows, np.zeros(0, np.float32)

    def seconds(self, tokens: int) -> float:
        """The best of a few runs."""
        ids = np.arange(tokens, dtype=np.int32)
        out = np.empty((tokens, self._rows), np.float32)
        return min(_timed(lambda: self._runner.run(ids, [tokens], [self._empty], ids, out)) for _ in range(_TRIES))


def _stored(format: str, rows: int) -> np.ndarray:
    """A few rows of random numbers in the format, over and over."""
    kind = FORMATS[format]
    few = np.random.default_rng(1).standard_normal((32, _COLS), np.float32)
    data = encode_rows(kind, few) if kind.block > 1 or kind.encode is None else kind.encode(few)
    return np.tile(data, (rows // len(few), 1))


def _format(name: str, threads: int, repeat: int, ceilings: _Both) -> dict[str, Any]:
    found: dict[str, list[tuple[float, float]]] = {}
    measured = list(_measurements(name, threads, ceilings))
    for _ in range(repeat):
        for what, run in measured:
            found.setdefault(what, []).append(run())
    result: dict[str, Any] = {"tokens": {}}
    for what, values in found.items():
        speed = Spread(value for value, _ in values).summary()
        share = Spread(value / most for value, most in values if most).median if all(m for _, m in values) else None
        if what in ("streamed", "cached"):
            result[what] = {"bytes_per_s": speed, "of_read": share}
        else:
            result["tokens"][what] = {"ops_per_s": speed, "of_int8": share}
    return result


def _measurements(name: str, threads: int, ceilings: _Both) -> Iterator[tuple[str, Callable[[], tuple[float, float]]]]:
    """(what, measure it once and return its speed and that of its ceiling, or 0)."""
    kind = FORMATS[name]
    streamed = _Products(name, threads, 4 * last_level_cache() // (_ROWS * kind.row_bytes(_COLS)) + 1, 1, _ROWS)
    cached = _Products(name, threads, 1, _CACHED_READS, _CACHED_ROWS)
    prompt = _Products(name, threads, 1, _PROMPT_READS, _ROWS)
    limit = ceilings.int8 if prompt.integer else lambda: 0.0
    yield "streamed", lambda: (ceilings.read(), streamed.nbytes / streamed.seconds(1))[::-1]
    yield "cached", lambda: (cached.nbytes / cached.seconds(1), 0.0)
    for tokens in _BATCHES:
        yield str(tokens), lambda n=tokens: (limit(), n * streamed.operations / streamed.seconds(n))[::-1]  # type: ignore[misc]
    yield str(_PROMPT), lambda: (limit(), _PROMPT * prompt.operations / prompt.seconds(_PROMPT))[::-1]


def _timed(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start
