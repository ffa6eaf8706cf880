"""
INT8: signed bytes under one float32 scale per row, which is an output channel of a matrix.

The scale stands before the bytes of a row.  float32, because it costs nothing there and has a place for every
magnitude.
"""

from __future__ import annotations

import numpy as np

from rookery.errors import FormatError, NumericError
from rookery.quant.base import WeightFormat
from rookery.quant.blocks import reciprocal

__all__ = ["INT8"]

_HEAD = 4
_BLOCK = 32  # the kernels round 32 inputs together
_LARGEST = np.finfo(np.float32).max / np.float32(128)  # of a scale: no product with a code overflows


def _decode(data: np.ndarray) -> np.ndarray:
    if data.dtype != np.uint8 or not INT8.holds_rows_of(data.shape[-1]):
        raise FormatError(
            f"a row of {data.shape[-1]} {data.dtype} is no INT8 row; expected uint8, {_HEAD} bytes and a multiple of "
            f"{_BLOCK}"
        )
    scale = np.ascontiguousarray(data[..., :_HEAD]).view("<f4")
    with np.errstate(invalid="ignore", over="ignore"):
        out: np.ndarray = scale * data[..., _HEAD:].view(np.int8).astype(np.float32)
    return out


def _encode(x: np.ndarray) -> np.ndarray:
    """The largest number of a row becomes 127, the others are rounded to nearest, ties to even."""
    if x.shape[-1] % _BLOCK:
        raise FormatError(f"a row of {x.shape[-1]} numbers cannot be stored as INT8: not a multiple of {_BLOCK}")
    rows = np.ascontiguousarray(x, np.float32)
    if not np.isfinite(rows).all():
        raise NumericError("a row that holds NaN or infinity cannot be stored as INT8")
    scale = np.minimum(np.abs(rows).max(axis=-1, keepdims=True, initial=0) / np.float32(127), _LARGEST)
    with np.errstate(over="ignore"):
        codes = np.clip(np.rint(rows * reciprocal(scale)), -127, 127).astype(np.int8)
    return np.concatenate([scale.astype("<f4").view(np.uint8), codes.view(np.uint8)], axis=-1)


INT8 = WeightFormat("INT8", _BLOCK, _BLOCK, 1000, _decode, _encode, _HEAD)
