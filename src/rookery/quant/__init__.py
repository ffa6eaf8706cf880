"""
Weight formats: how numbers are stored.

One file per family; each says how a row of bytes becomes floats (`decode`) and, where rookery writes the format,
how floats become bytes (`encode`).  This is the slow, obvious form the native kernels are tested against.
"""

from __future__ import annotations

from rookery.quant.base import WeightFormat
from rookery.quant.dense import BF16, F16, F32
from rookery.quant.int8 import INT8
from rookery.quant.kquants import Q4_K, Q5_K, Q6_K
from rookery.quant.nf4 import NF4
from rookery.quant.paired import C4, C5
from rookery.quant.q4 import Q4_0, Q4_1
from rookery.quant.q5 import Q5_0, Q5_1
from rookery.quant.q8 import Q8_0
from rookery.quant.searched import encode_rows

__all__ = ["FORMATS", "WeightFormat", "encode_rows"]

FORMATS: dict[str, WeightFormat] = {
    f.name: f for f in (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, INT8, NF4, C4, C5)
}
