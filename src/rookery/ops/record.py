"""
The recorder: runs a definition once on symbols and keeps the list of ops it asked for.

The result is a *program*: flat, no control flow, the same for one row or a thousand.  Two passes prepare it for the
native executor, each of which may be left out without changing a bit of the result:

    stage   ops that read only finished columns of their inputs move together, so that threads meet rarely
    pack    values whose lives do not overlap share a buffer

A stage is the stretch between two barriers.  Each thread owns a range of columns of every value; an op either
reads its inputs in those columns only, or as whole rows.  Whole rows written in one stage can be read in the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from rookery.layout import Field, StateLayout
from rookery.models import definition
from rookery.models.stack import head, hidden
from rookery.weights import Tensor

__all__ = ["Op", "Program", "Symbol", "record"]

READS_WHOLE_ROWS = frozenset({"linear", "layer_norm"})


@dataclass(frozen=True, slots=True)
class Op:
    """One recorded op.

    out, inputs: value ids.  vectors: indices of parameter vectors.  matrix: index of a matrix, -1 if none.
    scalar: the number operand, or eps.  heads: heads of the op, 1 if it has none.  state: offset into the state.
    stage: which stretch between two barriers it runs in.
    """

    name: str
    out: int
    inputs: tuple[int, ...] = ()
    vectors: tuple[int, ...] = ()
    matrix: int = -1
    scalar: float = 0.0
    heads: int = 1
    state: int = -1
    stage: int = 0


@dataclass(slots=True)
class Program:
    """A recorded model.

    widths: columns of each value.  buffers: for each value, the buffer it lives in.  buffer_widths: their columns.
    result: the value that holds the logits.  hidden: the one they are computed from, the last before them.
    """

    ops: list[Op] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    matrices: list[Tensor] = field(default_factory=list)
    buffers: list[int] = field(default_factory=list)
    buffer_widths: list[int] = field(default_factory=list)
    result: int = -1
    hidden: int = -1

    @property
    def stages(self) -> int:
        return 1 + max(op.stage for op in self.ops)

    def dump(self) -> str:
        """The program as text, one op a line."""
        lines, stage = [], -1
        for i, op in enumerate(self.ops):
            if op.stage != stage:
                stage = op.stage
                lines.append(f"stage {stage}")
            lines.append(f"  {i:4d}  {self.describe(op)}")
        return "\n".join(lines)

    def describe(self, op: Op) -> str:
        """One op in words: %value:columns = name(operands)."""
        parts = [f"%{i}" for i in op.inputs]
        if op.matrix >= 0:
            w = self.matrices[op.matrix]
            parts.append(f"{w.name}[{'x'.join(map(str, w.shape))} {w.format}]")
        parts += [f"vector{i}[{self.vectors[i].size}]" for i in op.vectors]
        if op.scalar:
            parts.append(f"{op.scalar:g}")
        if op.heads > 1:
            parts.append(f"heads={op.heads}")
        if op.state >= 0:
            parts.append(f"state@{op.state}")
        return f"%{op.out}:{self.widths[op.out]} = {op.name}({', '.join(parts)})"


class Symbol:
    """A (rows, columns) value that will exist when the program runs."""

    __array_ufunc__ = None  # numpy leaves `vector + symbol` to us
    __slots__ = ("columns", "id", "tape")

    def __init__(self, tape: Recorder, id: int, columns: int) -> None:
        self.tape, self.id, self.columns = tape, id, columns

    def _with(self, name: str, other: Any) -> Symbol:
        if isinstance(other, Symbol):
            return self.tape.emit(name, self.columns, (self, other))
        if isinstance(other, np.ndarray):
            return self.tape.emit(name, self.columns, (self,), vectors=(other,))
        return self.tape.emit(name, self.columns, (self,), scalar=float(other))

    def __add__(self, other: Any) -> Symbol:
        return self._with("add", other)

    def __sub__(self, other: Any) -> Symbol:
        return self._with("sub", other)

    def __mul__(self, other: Any) -> Symbol:
        return self._with("mul", other)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Symbol:
        return self._with("mul", -1.0)


class Recorder:
    """Offers the vocabulary on symbols.  An op whose operands are all parameters is computed at once."""

    def __init__(self) -> None:
        self.program = Program()
        self._matrices: dict[tuple[str, str | int], int] = {}

    def emit(
        self, name: str, columns: int, inputs: Iterable[Symbol] = (), vectors: Iterable[np.ndarray] = (), **more: Any
    ) -> Symbol:
        program = self.program
        out = Symbol(self, len(program.widths), columns)
        program.widths.append(columns)
        start = len(program.vectors)
        program.vectors += [np.ascontiguousarray(v, np.float32) for v in vectors]
        at = tuple(range(start, len(program.vectors)))
        program.ops.append(Op(name, out.id, tuple(i.id for i in inputs), at, **more))
        return out

    def finish(self, result: Symbol, *, stage: bool = True, pack: bool = True) -> Program:
        """The program whose logits are `result`, its ops in stages and its values in buffers."""
        self.program.result = result.id
        _stage(self.program, reorder=stage)
        _pack(self.program, share=pack)
        return self.program

    def _matrix(self, w: Tensor, use: str) -> int:
        """A matrix used twice is kept once; an embedding keeps its stored form, which `linear` cannot use."""
        key = (use, w.name or id(w))
        if key not in self._matrices:
            self._matrices[key] = len(self.program.matrices)
            self.program.matrices.append(w)
        return self._matrices[key]

    def embed(self, w: Tensor) -> Symbol:
        return self.emit("embed", w.shape[1], matrix=self._matrix(w, "embed"))

    def take(self, x: Symbol) -> Symbol:
        return self.emit("take", x.columns, (x,))

    def linear(self, x: Symbol, w: Tensor) -> Symbol:
        return self.emit("linear", w.shape[0], (x,), matrix=self._matrix(w, "linear"))

    def _elementwise(self, name: str, x: Any) -> Any:
        if isinstance(x, Symbol):
            return self.emit(name, x.columns, (x,))
        return getattr(np, name)(x.astype(np.float64)).astype(np.float32)

    def exp(self, x: Any) -> Any:
        return self._elementwise("exp", x)

    def tanh(self, x: Symbol) -> Any:
        return self._elementwise("tanh", x)

    def sigmoid(self, x: Symbol) -> Symbol:
        return self.emit("sigmoid", x.columns, (x,))

    def silu(self, x: Symbol) -> Symbol:
        return self.emit("silu", x.columns, (x,))

    def relu2(self, x: Symbol) -> Symbol:
        return self.emit("relu2", x.columns, (x,))

    def layer_norm(self, x: Symbol, n: Any) -> Symbol:
        return self.emit("layer_norm", x.columns, (x,), (n.weight, n.bias), scalar=1e-5)

    def group_norm(self, x: Symbol, n: Any, heads: int, eps: float) -> Symbol:
        return self.emit("group_norm", x.columns, (x,), (n.weight, n.bias), heads=heads, scalar=eps)

    def l2norm(self, x: Symbol, heads: int) -> Symbol:
        return self.emit("l2norm", x.columns, (x,), heads=heads)

    def head_sum(self, x: Symbol, heads: int) -> Symbol:
        return self.emit("head_sum", x.columns, (x,), heads=heads)

    def shift(self, x: Symbol, last: Field) -> tuple[Symbol, Field]:
        return self.emit("shift", x.columns, (x,), state=last.offset), last

    def wkv4(self, w: np.ndarray, u: np.ndarray, k: Symbol, v: Symbol, s: Field) -> tuple[Symbol, Field]:
        return self.emit("wkv4", k.columns, (k, v), (w, u), state=s.offset), s

    def wkv6(self, r: Symbol, w: Any, k: Symbol, v: Symbol, u: np.ndarray, s: Field) -> tuple[Symbol, Field]:
        constant = isinstance(w, np.ndarray)
        inputs, vectors = ((r, k, v), (u, w)) if constant else ((r, k, v, w), (u,))
        return self.emit("wkv6", r.columns, inputs, vectors, heads=s.shape[0], state=s.offset), s

    def wkv7(self, r: Symbol, w: Symbol, k: Symbol, v: Symbol, a: Symbol, b: Symbol, s: Field) -> Any:
        return self.emit("wkv7", r.columns, (r, w, k, v, a, b), heads=s.shape[0], state=s.offset), s


def record(layout: StateLayout, p: Any, *, stage: bool = True, pack: bool = True) -> Program:
    """Record a model whose parameters `p` have `Tensor` leaves; `stage` and `pack` switch the passes."""
    recorder = Recorder()
    states = [SimpleNamespace(**vars(layer)) for layer in layout.layers]
    top = hidden(recorder, definition(layout.config.version), p, states)
    recorder.program.hidden = top.id
    return recorder.finish(head(recorder, p, top), stage=stage, pack=pack)


def _stage(program: Program, reorder: bool) -> None:
    """Give each op the earliest stage its inputs allow; with `reorder`, sort by it, else keep the recorded order."""
    written: dict[int, int] = {}
    floor, staged = 0, []
    for op in program.ops:
        ready = max((written[i] for i in op.inputs), default=0)
        at = max(ready + (op.name in READS_WHOLE_ROWS), floor)
        if not reorder:
            floor = at
        written[op.out] = at
        staged.append(replace(op, stage=at))
    program.ops = sorted(staged, key=lambda op: op.stage)


def _pack(program: Program, share: bool) -> None:
    """Assign values to buffers.  With `share`, a buffer is used again once its value has been read for good.

    A value that was last read as whole rows may still be in use by a slower thread until the next barrier, so its
    buffer waits for a later stage.  Buffers are shared only between values of one width, whose columns every
    thread owns alike.
    """
    last: dict[int, Op] = {i: op for op in program.ops for i in op.inputs}
    whole: dict[int, int] = {i: op.stage for op in program.ops if op.name in READS_WHOLE_ROWS for i in op.inputs}
    keep = {program.result} | {op.out for op in program.ops if op.name == "take"}
    free: dict[int, list[tuple[int, int]]] = {}  # width -> (usable from stage, buffer)
    program.buffers = [-1] * len(program.widths)
    for op in program.ops:
        width = program.widths[op.out]
        ready = [pair for pair in free.get(width, []) if pair[0] <= op.stage]
        if share and ready and op.out not in keep:
            free[width].remove(ready[0])
            program.buffers[op.out] = ready[0][1]
        else:
            program.buffers[op.out] = len(program.buffer_widths)
            program.buffer_widths.append(width)
        for i in set(op.inputs):
            if last[i] is op and i not in keep:
                usable = max(op.stage, whole.get(i, -1) + 1)
                free.setdefault(program.widths[i], []).append((usable, program.buffers[i]))
