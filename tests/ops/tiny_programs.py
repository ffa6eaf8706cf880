"""
Programs of a few ops over values of one's choice, to drive single native ops.

The values enter through the embedding: row t of the call is row t of `x`.  Where an op has several inputs, `parts`
cuts them out of `x` with matrices of zeros and ones, which is exact for finite numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from rookery import _native
from rookery.layout import Field
from rookery.ops.native import _transfer, rectified
from rookery.ops.numpy import NumpyOps
from rookery.ops.record import Program, Recorder
from rookery.weights import Tensor

__all__ = ["EPS", "FORMS", "TABLES", "Setup", "agree", "leaf", "norm", "parts", "program", "reference", "run", "stored"]

TABLES: list[str] = _native.kernel_tables()
EPS = float(np.finfo(np.float32).eps)
SENTINEL = np.float32(-12345.678)
FENCE = 67

# (state's field or None) -> result, or result and the new state
Build = Callable[..., Any]


@dataclass(slots=True)
class Setup:
    """How a tiny program is run.

    lengths: rows of each segment; all rows in one by default.  wanted: rows of the result; all by default.
    lanes:   columns that stay with one thread.
    state:   float32 (segments, *shape) for ops that have one.
    """

    table: str
    lengths: Sequence[int] = ()
    wanted: Sequence[int] | None = None
    lanes: int = 1
    threads: int = 1
    block_rows: int = 128
    state: np.ndarray = field(default_factory=lambda: np.zeros((1, 0), np.float32))

    def call(self, rows: int) -> tuple[list[int], np.ndarray]:
        wanted = range(rows) if self.wanted is None else self.wanted
        return list(self.lengths) or [rows], np.asarray(wanted, np.int32)


# Ways to run that must not change a bit: threads, rows at a time.
FORMS = [(1, 128), (2, 128), (3, 1), (7, 3)]


def stored(format: str, data: np.ndarray, shape: tuple[int, ...] = (), name: str = "") -> Tensor:
    """A tensor from its storage."""
    return Tensor(format, shape or data.shape, lambda: data, name)


def leaf(o: Any, w: Tensor) -> Any:
    """A matrix as the executor wants it."""
    return w if isinstance(o, Recorder) else w.numpy().astype(np.float64)


def parts(o: Any, x: Any, sizes: Sequence[int]) -> list[Any]:
    """Cut the columns of a value into parts of these sizes, in any executor."""
    whole = np.eye(sum(sizes), dtype=np.float32)
    starts = np.cumsum([0, *sizes])
    return [o.linear(x, leaf(o, stored("F32", whole[a:b]))) for a, b in pairwise(starts)]


@dataclass(frozen=True, slots=True)
class norm:
    """Parameters of a normalisation."""

    weight: np.ndarray
    bias: np.ndarray


def program(build: Build, x: np.ndarray | Tensor, setup: Setup, **passes: bool) -> tuple[Program, Any]:
    """The recorded program and a runner for it; token t is row t of `x`."""
    recorder = Recorder()
    embedding = x if isinstance(x, Tensor) else stored("F32", x)
    result = build(recorder, recorder.embed(embedding), *_fields(setup))
    recorded = recorder.finish(result[0] if isinstance(result, tuple) else result, **passes)
    runner = _native.Runner(setup.table, setup.threads)
    _transfer(recorded, runner, recorded.widths[recorded.result], setup.lanes, sparse=rectified(recorded))
    runner.finish(
        recorded.widths,
        recorded.buffers,
        recorded.buffer_widths,
        recorded.result,
        setup.state[0].size,
        setup.block_rows,
    )
    return recorded, runner


def run(build: Build, x: np.ndarray, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The result's rows and the states afterwards; nothing around the two may have been touched."""
    recorded, runner = program(build, x, setup)
    lengths, wanted = setup.call(len(x))
    around, logits = _fenced((len(wanted), recorded.widths[recorded.result]))
    fences = [_fenced((setup.state[0].size,)) for _ in lengths]
    for (_, inside), state in zip(fences, setup.state, strict=True):
        inside[...] = state.reshape(-1)
    runner.run(np.arange(len(x), dtype=np.int32), lengths, [inside for _, inside in fences], wanted, logits)
    assert _holds(around), "written past the logits"
    assert all(_holds(whole) for whole, _ in fences), "written past a state"
    return logits.copy(), np.array([inside for _, inside in fences]).reshape(setup.state.shape)


def reference(build: Build, x: np.ndarray, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The same in float64 by the formulas of `NumpyOps`."""
    lengths, wanted = setup.call(len(x))
    state = setup.state.astype(np.float64)
    with np.errstate(all="ignore"):
        result = build(NumpyOps(np.arange(len(x)), lengths, wanted), x.astype(np.float64), *_fields(setup, state))
    return result if isinstance(result, tuple) else (result, state)


def agree(got: np.ndarray, want: np.ndarray, tolerance: np.ndarray | float) -> None:
    """Every number within its tolerance (absolute); the message shows the worst as a multiple of it."""
    worst = float(np.max(np.abs(got - want) / tolerance, initial=0))
    assert worst <= 1, f"off by {worst:.3g} times the tolerance"


def _fields(setup: Setup, state: np.ndarray | None = None) -> list[Any]:
    if not setup.state[0].size:
        return []
    return [Field("state", setup.state.shape[1:], 0) if state is None else state]


def _fenced(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Room for an array between sentinels: (whole, inside)."""
    size = int(np.prod(shape))
    whole = np.full(size + 2 * FENCE, SENTINEL, np.float32)
    return whole, whole[FENCE : FENCE + size].reshape(shape)


def _holds(whole: np.ndarray) -> bool:
    return bool((whole[:FENCE] == SENTINEL).all() and (whole[-FENCE:] == SENTINEL).all())
