"""
Weight formats: how numbers are stored.

One file per family; each says how a row of bytes becomes floats (`decode`) and, where rookery writes the format,
how floats become bytes (`encode`).  This is the slow, obvious form the native kernels are tested against.
"""

from __future__ import annotations

from rookery.quant.base import WeightFormat
from rookery.quant.dense import BF16, F16, F32

__all__ = ["FORMATS", "WeightFormat"]

FORMATS: dict[str, WeightFormat] = {f.name: f for f in (F32, F16, BF16)}
