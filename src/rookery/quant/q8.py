"""Q8_0: 32 signed bytes under one scale."""

from __future__ import annotations

import numpy as np

from rookery.quant.blocks import Codes, block_format, reciprocal, saturated

__all__ = ["Q8_0"]


def _unpack(blocks: np.ndarray) -> Codes:
    return Codes(blocks["qs"][:, None], blocks["d"].astype(np.float32)[:, None])


def _pack(x: np.ndarray, out: np.ndarray) -> None:
    """d = max|x| / 127; codes are x / d rounded to nearest, ties away from zero."""
    d = saturated(np.abs(x).max(axis=-1, keepdims=True) / np.float32(127))
    y = np.clip(x * reciprocal(d), -127, 127)
    whole = np.trunc(y)
    # |y - whole| is exact, y + 0.5 would not be: 0.49999997 must stay 0.
    out["qs"] = whole + np.where(np.abs(y - whole) >= 0.5, np.sign(y), 0)
    out["d"] = d[:, 0]


Q8_0 = block_format("Q8_0", 8, 32, _unpack, _pack)
