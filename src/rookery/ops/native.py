"""
The native executor: a recorded program, one call per step for any batch.

Packs the matrices once while loading, or copies those that a native file holds packed (pages of the file that were
read are given back), keeps the embedding where it lies, and runs the whole model without the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from rookery import _native
from rookery.errors import FormatError, NumericError, SettingsError
from rookery.layout import StateLayout
from rookery.ops.narrow import narrowed
from rookery.ops.record import Program, record
from rookery.ops.tables import table
from rookery.weights import Tensor

__all__ = ["NativeExecutor", "default_threads", "stateless", "thread_count"]

MOST_THREADS = 1024


def default_threads() -> int:
    """The processors this process may use: its affinity mask, capped by the cgroup's quota."""
    return min(int(_native.usable_processors()), MOST_THREADS)


def thread_count(threads: int) -> int:
    """How many threads are meant: 0 is `default_threads()`.  SettingsError for what is no number of threads."""
    if not isinstance(threads, int | np.integer) or isinstance(threads, bool) or not 0 <= threads <= MOST_THREADS:
        raise SettingsError(f"threads={threads!r}: expected 1 to {MOST_THREADS}, or 0 for all processors")
    return int(threads) or default_threads()


class NativeExecutor:
    """Runs a model in C++.

    layout, p: the state layout, and parameters with `Tensor` leaves.
    threads:   0 means `default_threads()`.  In the child of a fork the first call makes them anew.
    block_rows: rows that go through the program together; longer calls are cut, which changes no bit.
        Best a multiple of 6 and 4, the tokens that kernels take at once.
    stage, pack: the recorder's passes.
    sparse: layers whose channel mix is worth skipping zeros in: their value matrix, if it is Q8_0, is laid out for it.
        This changes no bit.
    The environment variable ROOKERY_CPU forces a kernel table, for tests: avx512, avx2, neon, portable.
    """

    name = "native"

    def __init__(
        self,
        layout: StateLayout,
        p: Any,
        *,
        threads: int = 0,
        block_rows: int = 132,
        stage: bool = True,
        pack: bool = True,
        on_packed: Callable[[int, int], None] | None = None,
        sparse: Collection[int] = (),
    ) -> None:
        self.layout = layout
        self.program = record(layout, p, stage=stage, pack=pack)
        self.program.matrices[:] = map(narrowed, self.program.matrices)
        self._runner = _runner(threads)
        config, program = layout.config, self.program
        lanes = 1 if config.version == "4" else config.head_size  # RWKV-4's channels are independent
        skipping = {i for i in rectified(program) if _layer(program.matrices[i].name) in sparse}
        _transfer(program, self._runner, config.width, lanes, on_packed, skipping)
        self._runner.finish(
            program.widths,
            program.buffers,
            program.buffer_widths,
            program.result,
            layout.size,
            block_rows,
        )

    @property
    def threads(self) -> int:
        return int(self._runner.threads)

    @property
    def table(self) -> str:
        """The kernel table in use."""
        return str(self._runner.table)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed matrices."""
        return int(self._runner.nbytes)

    def run(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray:
        """One call for a ragged batch.

        tokens: int32 (rows,), the segments one after another; lengths: rows of each segment.
        states: one float32 (layout.size,) per segment, changed in place.
        wanted: int32, ascending: the rows whose logits are returned, float32 (len(wanted), vocab).
        """
        return self._run(self.program.result, tokens, lengths, states, wanted)

    def hidden(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray:
        """As `run`, but instead of logits what the head would read, float32 (len(wanted), width).  Costs less."""
        return self._run(self.program.hidden, tokens, lengths, states, wanted)

    def _run(
        self,
        value: int,
        tokens: np.ndarray,
        lengths: Sequence[int],
        states: Sequence[np.ndarray],
        wanted: np.ndarray,
    ) -> np.ndarray:
        out = np.empty((len(wanted), self.program.widths[value]), np.float32)
        self._runner.run(tokens, list(lengths), list(states), wanted, out, value)
        return out

    def value(self, id: int) -> np.ndarray:
        """A value of the last call (its last block of rows).  Record with pack=False to keep all of them."""
        return self._runner.value(id)

    def profile(self, on: bool) -> None:
        """Start (from zero) or stop adding up the time of each op."""
        self._runner.profile(on)

    @property
    def nanoseconds(self) -> list[int]:
        """Time of each op of `program.ops` on the first thread, waiting for others not included."""
        return list(self._runner.nanoseconds)

    @property
    def waiting(self) -> tuple[int, int]:
        """Nanoseconds of the first thread at the barriers between stages; and for waking and joining the others."""
        barriers, joins = self._runner.waiting
        return int(barriers), int(joins)

    def matrix_bytes(self) -> dict[int, list[int]]:
        """Packed bytes of each matrix that is multiplied, by its place in `program.matrices`: each thread's part."""
        order = dict.fromkeys(op.matrix for op in self.program.ops if op.name == "linear")
        threads = range(self.threads)
        return {i: [int(self._runner.matrix_bytes(place, t)) for t in threads] for place, i in enumerate(order)}


def stateless(program: Program, threads: int, block_rows: int) -> Any:
    """A program without a state, such as one of products alone, on the native side: an object with `run`."""
    runner = _runner(threads)
    _transfer(program, runner, program.widths[program.result], 1)
    runner.finish(program.widths, program.buffers, program.buffer_widths, program.result, 0, block_rows)
    return runner


def _runner(threads: int) -> Any:
    name, count = table(), thread_count(threads)
    try:
        return _native.Runner(name, count)
    except RuntimeError as error:
        raise SettingsError(f"threads={count}: the system refuses so many ({error}); use fewer") from None


def _transfer(
    program: Program,
    runner: Any,
    width: int,
    lanes: int,
    on_packed: Callable[[int, int], None] | None = None,
    sparse: Collection[int] = (),
) -> None:
    """Hand vectors, matrices and ops to the native side, one matrix at a time.

    width, lanes: columns of the values that are made of heads, and of a head.
    sparse: the matrices whose inputs are mostly zero.
    """
    for vector in program.vectors:
        runner.vector(vector)
    embedding = next(op.matrix for op in program.ops if op.name == "embed")
    runner.embedding(*_shape(program.matrices[embedding]), _bytes(program.matrices[embedding]))
    order = list(dict.fromkeys(op.matrix for op in program.ops if op.name == "linear"))
    runner.reserve([(*_shape(program.matrices[i]), i in sparse) for i in order], width, lanes)
    for place, i in enumerate(order):
        _pack(runner, place, program.matrices[i], i in sparse)
        if on_packed:
            on_packed(place + 1, len(order))
    for op in program.ops:
        runner.op(
            op.name,
            op.out,
            list(op.inputs),
            list(op.vectors),
            order.index(op.matrix) if op.name == "linear" else -1,
            op.scalar,
            op.heads,
            op.state,
            op.stage,
        )


def rectified(program: Program) -> set[int]:
    """The matrices that read nothing but squares of rectified numbers, of which many are zero."""
    squares = {op.out for op in program.ops if op.name == "relu2"}
    readers = [op for op in program.ops if op.name == "linear"]
    others = {op.matrix for op in readers if op.inputs[0] not in squares}
    return {op.matrix for op in readers} - others


def _layer(name: str) -> int:
    """The layer of a matrix by its name, -1 if it is in none."""
    parts = name.split(".")
    return int(parts[1]) if parts[0] == "blocks" else -1


def _shape(w: Tensor) -> tuple[int, int, int]:
    return (w.kind.ggml, *w.shape)  # type: ignore[return-value]


def _pack(runner: Any, place: int, w: Tensor, sparse: bool) -> None:
    """Put a matrix into the kernels' layout, or copy it where its file has it so; NumericError, naming it, for NaN."""
    packed = None if sparse else w.packed.get(w.name)
    try:
        if packed is None:
            runner.matrix(place, _bytes(w))
        elif runner.packed(place, packed.load()) != packed.checksum:
            raise FormatError.damaged(w.name)
    except ArithmeticError:
        raise NumericError.in_tensor(w.name) from None


def _bytes(w: Tensor) -> np.ndarray:
    return np.ascontiguousarray(w.load()).reshape(-1).view(np.uint8)
