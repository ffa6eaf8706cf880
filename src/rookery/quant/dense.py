"""F32, F16 and BF16: one number, one float."""

from __future__ import annotations

import numpy as np

from rookery.quant.base import WeightFormat

__all__ = ["BF16", "F16", "F32"]


def _same(x: np.ndarray) -> np.ndarray:
    return np.asarray(x, np.float32)


def _decode_bf16(x: np.ndarray) -> np.ndarray:
    """A bfloat16 is the upper half of a float32."""
    return (x.astype(np.uint32) << 16).view(np.float32)


def _encode_bf16(x: np.ndarray) -> np.ndarray:
    """Round to nearest, ties to even; a NaN stays a (quiet) NaN."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(x), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def _encode_f16(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return x.astype(np.float16)


F32 = WeightFormat("F32", 1, 4, 0, _same, _same)
F16 = WeightFormat("F16", 1, 2, 1, _same, _encode_f16)
BF16 = WeightFormat("BF16", 1, 2, 30, _decode_bf16, _encode_bf16)
