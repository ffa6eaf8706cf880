"""Where the time of a step goes: by kind of op, by layer, by matrix, and waiting."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.bench.speed import native
from rookery.ops.record import Op, Program

if TYPE_CHECKING:
    from rookery.model import Model
    from rookery.ops.native import NativeExecutor

__all__ = ["layers_of", "profile"]


def profile(model: Model, tokens: Sequence[int]) -> dict[str, Any]:
    """Nanoseconds per token of generating `tokens` one by one, on the first thread.

    "ops": op -> {"count", "ns"}.  "layers": "embedding", "0", "1" ... "head" -> ns.  "matrices": name ->
    {"layer", "format", "shape", "bytes", "ns", "bytes_per_s"}, bytes being those of all threads.  "waiting":
    {"barriers", "join"}: ns at the barriers between stages, and for waking the other threads and for their end.
    What is waited is in none of the others.
    """
    executor = native(model)
    states, wanted = [model.initial.data.copy()], np.zeros(1, np.int32)
    executor.profile(True)
    try:
        for token in tokens:
            executor.run(np.asarray([token], np.int32), [1], states, wanted)
        spent = [ns / len(tokens) for ns in executor.nanoseconds]
        barriers, join = (ns / len(tokens) for ns in executor.waiting)
    finally:
        executor.profile(False)
    layers = layers_of(executor.program, {field.offset: field.name for field in executor.layout.fields})
    return {
        "ops": _by_op(executor.program, spent),
        "layers": _by_layer(layers, spent),
        "matrices": _by_matrix(executor, layers, spent),
        "waiting": {"barriers": barriers, "join": join},
    }


def _by_op(program: Program, spent: Sequence[float]) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for op, ns in zip(program.ops, spent, strict=True):
        row = out.setdefault(op.name, {"count": 0, "ns": 0.0})
        row["count"] += 1
        row["ns"] += ns
    return dict(sorted(out.items(), key=lambda item: -item[1]["ns"]))


def _by_layer(layers: Sequence[str], spent: Sequence[float]) -> dict[str, float]:
    out: dict[str, float] = {}
    for layer, ns in zip(layers, spent, strict=True):
        out[layer] = out.get(layer, 0.0) + ns
    return out


def _by_matrix(executor: NativeExecutor, layers: Sequence[str], spent: Sequence[float]) -> dict[str, dict[str, Any]]:
    """In the order in which a step reads them.  A matrix that is read twice has its bytes twice.

    The speed is that of the first thread's part, times the threads; None where it has no part.
    """
    out: dict[str, dict[str, Any]] = {}
    nbytes = executor.matrix_bytes()
    for op, layer, ns in zip(executor.program.ops, layers, spent, strict=True):
        if op.name == "linear":
            w = executor.program.matrices[op.matrix]
            fresh = {"layer": layer, "format": w.format, "shape": list(w.shape), "bytes": 0, "first": 0, "ns": 0.0}
            row = out.setdefault(w.name, fresh)
            row["bytes"] += sum(nbytes[op.matrix])
            row["first"] += nbytes[op.matrix][0] * executor.threads
            row["ns"] += ns
    for row in out.values():
        own = row.pop("first")
        row["bytes_per_s"] = own / max(row["ns"], 1.0) * 1e9 if own else None
    return out


def layers_of(program: Program, fields: dict[int, str]) -> list[str]:
    """The layer of each op: said by its matrix or its state (`fields`: offset -> name), else that of its inputs.

    A norm belongs to the layer that reads it.
    """
    order = ["embedding", *(str(i) for i in range(len(fields) // 3)), "head"]
    own = [_own(program, op, fields) for op in program.ops]
    readers: dict[int, list[str]] = {}
    for op, layer in zip(program.ops, own, strict=True):
        for i in op.inputs:
            readers.setdefault(i, []).extend([layer] if layer else [])
    of_value: dict[int, str] = {}
    for op, said in zip(program.ops, own, strict=True):
        behind = readers.get(op.out, []) if op.name in ("layer_norm", "take") else []
        before = [of_value[i] for i in op.inputs if i in of_value]
        of_value[op.out] = said or min(behind, key=order.index, default="") or max(before, key=order.index, default="")
    return [of_value[op.out] or "embedding" for op in program.ops]


def _own(program: Program, op: Op, fields: dict[int, str]) -> str:
    if op.name == "embed":
        return "embedding"
    name = fields[op.state] if op.state >= 0 else program.matrices[op.matrix].name if op.matrix >= 0 else ""
    block = re.match(r"blocks\.(\d+)\.", name)
    return block[1] if block else "head" if name else ""
