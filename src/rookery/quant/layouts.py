"""
The bytes of every block format, as structured dtypes.

A row is a run of blocks along the fastest dimension.  All fields are little-endian; every "<f2" field is a scale
or an offset that multiplies the whole block (which is what `scaled` relies on).
"""

from __future__ import annotations

import numpy as np

__all__ = ["LAYOUTS", "scaled"]

LAYOUTS: dict[str, np.dtype] = {
    "Q4_0": np.dtype([("d", "<f2"), ("qs", "u1", (16,))]),
    "Q4_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", (16,))]),
    "Q5_0": np.dtype([("d", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))]),
    "Q5_1": np.dtype([("d", "<f2"), ("m", "<f2"), ("qh", "u1", (4,)), ("qs", "u1", (16,))]),
    "Q8_0": np.dtype([("d", "<f2"), ("qs", "i1", (32,))]),
    "Q4_K": np.dtype([("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", (12,)), ("qs", "u1", (128,))]),
    "Q5_K": np.dtype(
        [("d", "<f2"), ("dmin", "<f2"), ("scales", "u1", (12,)), ("qh", "u1", (32,)), ("qs", "u1", (128,))]
    ),
    "NF4": np.dtype([("d", "<f2"), ("qs", "u1", (32,))]),
    "Q6_K": np.dtype([("ql", "u1", (128,)), ("qh", "u1", (64,)), ("scales", "i1", (16,)), ("d", "<f2")]),
}


def scaled(name: str, data: np.ndarray, power: int) -> np.ndarray:
    """The rows of block format `name` times 2**power: only the fp16 fields change.

    data: uint8 (..., bytes per row).  Returns a fresh array.  A positive power is exact unless a field leaves the
    fp16 range, in which case it becomes infinite: the caller checks.
    """
    blocks = np.array(data, np.uint8, order="C").view(LAYOUTS[name])
    for field, (dtype, *_) in (LAYOUTS[name].fields or {}).items():
        if dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                blocks[field] = np.ldexp(blocks[field].astype(np.float32), power)
    return blocks.view(np.uint8)
