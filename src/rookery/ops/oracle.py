"""
The numpy executor: runs the definition itself, eagerly, in any precision.

Also interprets recorded programs op by op, which is how `first_difference` finds the op where the native
executor leaves the mathematics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from rookery.layout import StateLayout
from rookery.models import definition
from rookery.models.stack import forward, hidden
from rookery.ops.native import NativeExecutor
from rookery.ops.numpy import NumpyOps
from rookery.ops.record import Op, Program

__all__ = ["Difference", "NumpyExecutor", "first_difference", "interpret"]


class NumpyExecutor:
    """The oracle behind the same call as the native executor.

    p: parameters with array leaves of `dtype`.  States are float32 at the border, `dtype` inside.
    """

    name = "numpy"
    threads = 1

    def __init__(self, layout: StateLayout, p: Any, dtype: Any = np.float64) -> None:
        self.layout, self.p, self.dtype = layout, p, dtype

    def run(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray:
        """As `NativeExecutor.run`; the logits have the executor's dtype."""
        return self._run(forward, tokens, lengths, states, wanted)

    def hidden(
        self, tokens: np.ndarray, lengths: Sequence[int], states: Sequence[np.ndarray], wanted: np.ndarray
    ) -> np.ndarray:
        """As `NativeExecutor.hidden`, in the executor's dtype."""
        return self._run(hidden, tokens, lengths, states, wanted)

    def _run(
        self,
        function: Callable[..., Any],
        tokens: np.ndarray,
        lengths: Sequence[int],
        states: Sequence[np.ndarray],
        wanted: np.ndarray,
    ) -> np.ndarray:
        stacked = np.stack(list(states)).astype(self.dtype)
        views = [SimpleNamespace(**{k: f.of(stacked) for k, f in vars(layer).items()}) for layer in self.layout.layers]
        ops = NumpyOps(tokens, list(lengths), wanted)
        with np.errstate(over="ignore", under="ignore"):
            result = function(ops, definition(self.layout.config.version), self.p, views)
        for layer, view in zip(self.layout.layers, views, strict=True):
            for name, field in vars(layer).items():
                for i, state in enumerate(states):
                    field.of(state)[...] = getattr(view, name)[i]
        return np.asarray(result)


def interpret(
    program: Program, layout: StateLayout, matrices: Sequence[np.ndarray], call: NumpyOps, states: np.ndarray
) -> dict[int, np.ndarray]:
    """Every value of a recorded program, float64, computed op by op from the formulas in `NumpyOps`.

    matrices: the program's matrices as floats.  states: (segments, layout.size) float64, changed in place.
    """
    fields = {field.offset: field for field in layout.fields}
    values: dict[int, np.ndarray] = {}
    for op in program.ops:
        inputs = [values[i] for i in op.inputs]
        vectors = [program.vectors[i].astype(np.float64) for i in op.vectors]
        state = fields[op.state].of(states) if op.state >= 0 else None
        values[op.out] = _apply(call, op, inputs, vectors, matrices, state)
    return values


def _apply(call: NumpyOps, op: Op, inputs: list[Any], vectors: list[Any], matrices: Sequence[Any], state: Any) -> Any:
    if op.name in ("add", "sub", "mul"):
        other = inputs[1] if len(inputs) > 1 else vectors[0] if vectors else op.scalar
        return {"add": np.add, "sub": np.subtract, "mul": np.multiply}[op.name](inputs[0], other)
    if op.name in ("layer_norm", "group_norm"):
        norm = SimpleNamespace(weight=vectors[0], bias=vectors[1])
        return call.group_norm(inputs[0], norm, op.heads, op.scalar)
    if op.name in ("l2norm", "head_sum"):
        return getattr(call, op.name)(inputs[0], op.heads)
    if op.name in ("embed", "linear"):
        return getattr(call, op.name)(*inputs, matrices[op.matrix])
    if op.name == "wkv4":
        inputs = [*vectors, *inputs]
    if op.name == "wkv6":
        r, k, v, *w = inputs
        inputs = [r, *(w or vectors[1:]), k, v, vectors[0]]
    if state is None:
        return getattr(call, op.name)(*inputs)
    result, state[...] = getattr(call, op.name)(*inputs, state)
    return result


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two executions part: the op, in words, and the largest error relative to the value's own size."""

    index: int
    op: str
    error: float


def first_difference(layout: StateLayout, p: Any, tokens: Sequence[int], tolerance: float = 1e-4) -> Difference | None:
    """The first op of the native program whose value leaves the oracle's by more than `tolerance` (relative to the
    value's largest magnitude), or None.

    p: parameters with `Tensor` leaves.
    """
    native = NativeExecutor(layout, p, pack=False, threads=1, block_rows=max(len(tokens), 1))
    matrices = [w.numpy().astype(np.float64) for w in native.program.matrices]
    ids = np.asarray(tokens, np.int32)
    wanted = np.arange(len(ids), dtype=np.int32)
    state = layout.zeros()
    expected = interpret(
        native.program, layout, matrices, NumpyOps(ids, [len(ids)], wanted), layout.zeros(1).astype(np.float64)
    )
    logits = native.run(ids, [len(ids)], [state], wanted)
    for index, op in enumerate(native.program.ops):
        got = logits if op.out == native.program.result else native.value(op.out)
        want = expected[op.out]
        error = float(np.max(np.abs(got - want)) / max(float(np.max(np.abs(want))), 1e-30))
        if not error <= tolerance:
            return Difference(index, native.program.describe(op), error)
    return None
