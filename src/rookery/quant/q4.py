"""Q4_0 and Q4_1: 32 half-bytes; the first 16 numbers in the low halves, the others in the high halves."""

from __future__ import annotations

import numpy as np

from rookery.quant.blocks import Codes, block_format, nibbles
from rookery.quant.simple import affine_codes, signed_codes

__all__ = ["Q4_0", "Q4_1"]


def _unpack_0(blocks: np.ndarray) -> Codes:
    q = nibbles(blocks["qs"]).reshape(-1, 1, 32).view(np.int8) - np.int8(8)
    return Codes(q, blocks["d"].astype(np.float32)[:, None])


def _unpack_1(blocks: np.ndarray) -> Codes:
    q = nibbles(blocks["qs"]).reshape(-1, 1, 32)
    return Codes(q, blocks["d"].astype(np.float32)[:, None], blocks["m"].astype(np.float32)[:, None])


def _pack_0(x: np.ndarray, out: np.ndarray) -> None:
    q, out["d"] = signed_codes(x, 8)
    out["qs"] = q[:, :16] | q[:, 16:] << 4


def _pack_1(x: np.ndarray, out: np.ndarray) -> None:
    q, out["d"], out["m"] = affine_codes(x, 15)
    out["qs"] = q[:, :16] | q[:, 16:] << 4


Q4_0 = block_format("Q4_0", 2, 32, _unpack_0, _pack_0)
Q4_1 = block_format("Q4_1", 3, 32, _unpack_1, _pack_1)
