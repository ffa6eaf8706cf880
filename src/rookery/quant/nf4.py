"""
NF4: sixteen quantiles of a normal distribution, times the largest magnitude of 64 numbers.

The codebook is that of bitsandbytes (Dettmers et al. 2023, "QLoRA", appendix E).  The scale is fp16: 4.25 bits per
number.  bitsandbytes keeps float32 (4.5 bits) or bytes under a second scale (4.13); fp16 errs by 1/4096 at most, where
the codes err by a fifteenth of the scale.
"""

from __future__ import annotations

import numpy as np

from rookery.quant.blocks import Codes, block_format, nibbles, reciprocal, saturated

__all__ = ["NF4"]

# fmt: off
_CODEBOOK = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)
# fmt: on


def _unpack(blocks: np.ndarray) -> Codes:
    return Codes(_CODEBOOK[nibbles(blocks["qs"]).reshape(-1, 1, 64)], blocks["d"].astype(np.float32)[:, None])


def _pack(x: np.ndarray, out: np.ndarray) -> None:
    """As bitsandbytes: the largest magnitude becomes 1, every number the entry nearest to it."""
    d = saturated(np.abs(x).max(axis=-1, keepdims=True))
    q = np.searchsorted((_CODEBOOK[1:] + _CODEBOOK[:-1]) / 2, x * reciprocal(d)).astype(np.uint8)
    out["d"] = d[:, 0]
    out["qs"] = q[:, :32] | q[:, 32:] << 4


NF4 = block_format("NF4", 1001, 64, _unpack, _pack)
