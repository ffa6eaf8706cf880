"""Where the time of a step goes: by kind of op, and by layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rookery.errors import SettingsError
from rookery.model import Model
from rookery.ops.record import Op, Program

__all__ = ["layers_of", "profile"]


def profile(model: Model, tokens: Sequence[int]) -> dict[str, Any]:
    """Nanoseconds per token of generating `tokens` one by one, on the first thread, waiting for others included.

    "ops": op -> {"count", "ns"}.  "layers": "embedding", "0", "1" ... "head" -> ns.
    """
    from rookery.ops.native import NativeExecutor

    executor = model.executor
    if not isinstance(executor, NativeExecutor):
        raise SettingsError(f"the {executor.name} executor cannot be profiled; use the native one")
    state = None
    executor.profile(True)
    try:
        for token in tokens:
            _, state = model.forward([token], state)
        spent = [ns / len(tokens) for ns in executor.nanoseconds]
    finally:
        executor.profile(False)
    return {"ops": _by_op(executor.program, spent), "layers": _by_layer(executor, spent)}


def _by_op(program: Program, spent: Sequence[float]) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for op, ns in zip(program.ops, spent, strict=True):
        row = out.setdefault(op.name, {"count": 0, "ns": 0.0})
        row["count"] += 1
        row["ns"] += ns
    return dict(sorted(out.items(), key=lambda item: -item[1]["ns"]))


def _by_layer(executor: Any, spent: Sequence[float]) -> dict[str, float]:
    out: dict[str, float] = {}
    offsets = {field.offset: field.name for field in executor.layout.fields}
    for layer, ns in zip(layers_of(executor.program, offsets), spent, strict=True):
        out[layer] = out.get(layer, 0.0) + ns
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
