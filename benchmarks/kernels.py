"""
Speed of the matrix kernels, weight format by weight format, on one thread.

    python benchmarks/kernels.py [--table avx512] [FORMAT ...]

One token with weights from memory and from the second-level cache: gigabytes of weights, as stored, per second.  8 and
64 tokens, from the cache: billions of operations per second.  The formats take turns and the best of many short runs
counts, as other work on the machine only ever adds time.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np

from rookery import _native
from rookery.ops.native import _transfer
from rookery.ops.record import Recorder
from rookery.quant import FORMATS
from rookery.weights import Tensor

OUTPUTS, INPUTS = 256, 2048  # half a megabyte at 8 bits
FEW, MANY = 40, 200  # matrices in a call: one again and again, or so many that no cache holds them
TOKENS = (1, 8, 64)


def main() -> None:
    options = _options()
    runs = {(name, each): _runner(name, options.table, each) for name in options.formats for each in (False, True)}
    kinds = [(name, True, 1) for name in options.formats] + [
        (n, False, count) for n in options.formats for count in TOKENS
    ]
    best = dict.fromkeys(kinds, float("inf"))
    for _ in range(options.rounds):
        for name, memory, count in kinds:
            seconds = _seconds(runs[name, memory], count) / (MANY if memory else FEW)
            best[name, memory, count] = min(best[name, memory, count], seconds)
    print(f"{'format':8}{'memory':>10}{'cache':>8} GB/s{'8 tokens':>12}{'64 tokens':>12} GOP/s")
    for name in options.formats:
        stored = OUTPUTS * FORMATS[name].row_bytes(INPUTS) / 1e9
        reads = [stored / best[name, memory, 1] for memory in (True, False)]
        work = [2 * OUTPUTS * INPUTS * count / best[name, False, count] / 1e9 for count in TOKENS[1:]]
        print(f"{name:8}{reads[0]:10.1f}{reads[1]:8.1f}     {work[0]:12.0f}{work[1]:12.0f}")


def _runner(name: str, table: str, memory: bool) -> Any:
    kind = FORMATS[name]
    assert kind.encode is not None
    rng = np.random.default_rng(0)
    w = kind.encode((0.02 * rng.standard_normal((OUTPUTS, INPUTS))).astype(np.float32))
    x = rng.standard_normal((max(TOKENS), INPUTS)).astype(np.float32)
    recorder = Recorder()
    rows = recorder.embed(Tensor("F32", x.shape, lambda: x))
    matrix = Tensor(name, (OUTPUTS, INPUTS), lambda: w)
    for _ in range(MANY if memory else FEW):
        y = recorder.linear(rows, replace(matrix) if memory else matrix)
    program = recorder.finish(y)
    runner = _native.Runner(table, 1)
    _transfer(program, runner, OUTPUTS, 1)
    runner.finish(program.widths, program.buffers, program.buffer_widths, program.result, 0, max(TOKENS))
    return runner


def _seconds(runner: Any, count: int) -> float:
    tokens, out = np.arange(count, dtype=np.int32), np.empty((count, OUTPUTS), np.float32)
    start = time.perf_counter()
    runner.run(tokens, [count], [np.zeros(0, np.float32)], tokens, out, -1)
    return time.perf_counter() - start


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", nargs="*", default=list(FORMATS), metavar="FORMAT")
    parser.add_argument("--table", default="", help="a kernel table; default: the best of this processor")
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
