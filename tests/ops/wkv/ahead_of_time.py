"""
Every Triton kernel compiled for GPUs that need not be there.

    python ahead_of_time.py    prints, as JSON, the bytes of shared memory that each takes on each target, or a string:
                               what this triton lacks to compile for it

A process of its own, since the tests' own may interpret kernels instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rookery.ops.wkv import chunked, recurrent

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
PRECISIONS = {"cuda": ("ieee", "tf32", "bf16"), "hip": ("ieee", "bf16")}
TYPES = {"bounds": "*i64", "firsts": "*i64", "edges": "*i64", "heads": "i32", "items": "i32", "D": "i32"}
ROWS = ("r", "w", "k", "v", "a", "b", "u", "dy", "dr", "dw", "dk", "dv", "da", "db")


def variants(target: GPUTarget) -> Iterator[tuple[ModuleType, str, str, dict[str, Any]]]:
    """Module, kernel, type of the rows, constants: each kernel as float32 has it, and what else changes it."""
    heads = {"N": 64, "C": 16, "E": 32}
    for precision in PRECISIONS[target.backend]:
        for name in ("wkv7_forward", "wkv7_backward", "wkv7_gradients"):
            rows = "fp32" if precision == "ieee" else "bf16"
            yield chunked, name, rows, {**heads, "PRECISION": precision, "KEEP": False}
    yield chunked, "wkv7_factors", "fp32", heads
    yield chunked, "wkv7_forward", "fp32", {**heads, "PRECISION": "ieee", "KEEP": True}
    yield chunked, "wkv7_forward", "fp32", {**heads, "N": 128, "PRECISION": "ieee", "KEEP": False}
    yield recurrent, "wkv6_forward", "fp32", {**heads, "KEEP": False}
    yield recurrent, "wkv6_forward", "fp32", {**heads, "KEEP": True}
    yield recurrent, "wkv6_backward", "fp32", heads
    yield recurrent, "wkv4_forward", "fp32", {"E": 64}
    yield recurrent, "wkv4_backward", "fp32", {"E": 64}


def shared(module: ModuleType, name: str, rows: str, constants: dict[str, Any], target: GPUTarget) -> int:
    """Compile; the bytes of shared memory of a program."""
    kernel = getattr(module, name)
    known = {p.name: constants[p.name] for p in kernel.params if p.is_constexpr}
    signature = {p.name: "constexpr" if p.name in known else _type(p.name, rows) for p in kernel.params}
    source = ASTSource(fn=kernel, signature=signature, constexprs=known)
    return triton.compile(source, target=target, options=module.OPTIONS[name]).metadata.shared


def _type(name: str, rows: str) -> str:
    return TYPES.get(name) or f"*{rows if name in ROWS else 'fp32'}"


def measured(target: GPUTarget) -> dict[str, int] | str:
    found = {}
    try:
        for module, name, rows, constants in variants(target):
            label = " ".join([name, rows, *(f"{key}={value}" for key, value in constants.items())])
            found[label] = shared(module, name, rows, constants, target)
    except Exception as error:
        if "ld.lld not found" not in str(error):  # before triton brought AMD's linker along, ROCm had to be there
            raise
        return str(error)
    return found


if __name__ == "__main__":
    print(json.dumps({name: measured(target) for name, target in TARGETS.items()}))
