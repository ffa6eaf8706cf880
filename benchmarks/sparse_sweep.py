"""
What skipping zeros brings, by their share: the channel mix's value matrix in Q8_0, streamed from memory.

    python benchmarks/sparse_sweep.py [--widths 768,2048] [--threads 1,2] [--batches 1,2,4,8] [--repeat 9]

A program multiplies its inputs, zeros spread by chance and differently in every token, by many matrices, more than the
cache holds: one half of them as a model keeps its value matrices, in lines that zeros skip, the other as it keeps all
others.  A figure is time of the other half / time of the lines, the best of interleaved repetitions of each
matrix: above 1, lines win.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from rookery import _native
from rookery.ops.native import _transfer, rectified
from rookery.ops.record import Program, Recorder
from rookery.quant import FORMATS
from rookery.weights import Tensor

ZEROS = (0, 30, 50, 60, 70, 80, 85, 90, 95, 98)  # per cent
BYTES = 160 << 20  # of the matrices of each half


def main() -> None:
    options = _options()
    print(f"{'width':>6}{'threads':>8}{'batch':>6}{'GB/s':>7}" + "".join(f"{share:>6}%" for share in ZEROS))
    for width in options.widths:
        for threads in options.threads:
            sweep = Sweep(width, threads, max(options.batches), options.table)
            for batch in options.batches:
                times = np.array([sweep.best(place, batch, options.repeat) for place in range(len(ZEROS))])
                speed = sweep.size / times[:, 1].min() / 1e9
                ratios = "".join(f"{other / lines:7.2f}" for lines, other in times)
                print(f"{width:6}{threads:8}{batch:6}{speed:7.1f}{ratios}", flush=True)


class Sweep:
    """A program of one width; its embedding holds `batch` rows of inputs for every share of zeros."""

    def __init__(self, width: int, threads: int, batch: int, table: str) -> None:
        self.batch, columns = batch, 4 * width
        rng = np.random.default_rng(0)
        encode = FORMATS["Q8_0"].encode
        assert encode is not None
        data = encode(rng.normal(size=(width, columns)).astype(np.float32))
        count = max(3, BYTES // data.nbytes)
        self.size = (count - 1) * data.nbytes
        self.program = _record(
            _inputs(rng, batch, columns), [_tensor(data, (width, columns), i) for i in range(2 * count)]
        )
        self.runner = _native.Runner(table, threads)
        _transfer(self.program, self.runner, width, 64, sparse=rectified(self.program))
        p = self.program
        self.runner.finish(p.widths, p.buffers, p.buffer_widths, p.result, 0, batch)
        self.result = np.empty((batch, width), np.float32)

    def best(self, place: int, batch: int, repeat: int) -> tuple[float, float]:
        """Seconds of the lines and of the others, each matrix's least."""
        tokens = place * self.batch + np.arange(batch, dtype=np.int32)
        wanted, state = np.arange(batch, dtype=np.int32), np.empty(0, np.float32)
        times = []
        for _ in range(repeat):
            self.runner.profile(True)
            self.runner.run(tokens, [batch], [state], wanted, self.result[:batch])
            spent = np.array(self.runner.nanoseconds)[self._linears()] / 1e9
            times.append(spent)
        lines, others = np.split(np.min(times, 0), 2)
        return float(lines[1:].sum()), float(others[1:].sum())  # the first also waits for the other threads

    def _linears(self) -> list[int]:
        """The ops that multiply, the lines' first."""
        ops = self.program.ops
        return sorted((i for i, op in enumerate(ops) if op.name == "linear"), key=lambda i: ops[i].matrix)


def _record(inputs: Tensor, matrices: list[Tensor]) -> Program:
    """Embeds, rectifies, and multiplies by every matrix, by the second half times one: those are not kept in lines."""
    recorder = Recorder()
    squares = recorder.relu2(recorder.embed(inputs))
    half = len(matrices) // 2
    result: Any = 0.0
    for x, some in ((squares, matrices[:half]), (squares * 1.0, matrices[half:])):
        for w in some:
            result = recorder.linear(x, w) + result
    return recorder.finish(result)


def _inputs(rng: np.random.Generator, batch: int, columns: int) -> Tensor:
    size = rng.uniform(0.5, 1, (len(ZEROS), batch, columns))
    zero = rng.uniform(size=size.shape) < np.array(ZEROS)[:, None, None] / 100
    return _tensor(np.where(zero, -size, size).reshape(-1, columns).astype(np.float32), format="F32")


def _tensor(data: np.ndarray, shape: tuple[int, ...] = (), name: object = "inputs", format: str = "Q8_0") -> Tensor:
    return Tensor(format, shape or data.shape, lambda: data, f"{name}")


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=numbers, default=[768, 1024, 2048])
    parser.add_argument("--threads", type=numbers, default=[1, 2])
    parser.add_argument("--batches", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--table", default="", help="avx512, avx2 or portable; the best by default")
    parser.add_argument("--repeat", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main()
