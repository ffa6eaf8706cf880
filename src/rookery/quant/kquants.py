"""
Q4_K, Q5_K and Q6_K: blocks of 256 whose groups have small integer scales of their own.

Q4_K and Q5_K: 8 groups of 32, number = (d sc) q - (dmin mn), with 6-bit sc and mn.  Q6_K: 16 groups of 16, number
= (d sc) (q - 32), with 8-bit sc.  Encoding is a search in native code.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rookery.quant.base import WeightFormat
from rookery.quant.blocks import Codes, block_format, nibbles
from rookery.quant.searched import encode_rows

__all__ = ["Q4_K", "Q5_K", "Q6_K"]


def _scales(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The group scales d sc and offsets -dmin mn, both float32 (n, 8).

    The 12 bytes hold, for groups 0-3, sc and mn in the low 6 bits of bytes 0-3 and 4-7; for groups 4-7 the low
    4 bits in the halves of bytes 8-11 and the upper 2 bits on top of bytes 0-3 and 4-7.
    """
    a, b, c = (blocks["scales"][:, i : i + 4] for i in (0, 4, 8))
    sc = np.concatenate([a & 63, c & 15 | a >> 6 << 4], axis=1)
    mn = np.concatenate([b & 63, c >> 4 | b >> 6 << 4], axis=1)
    with np.errstate(invalid="ignore"):
        d, dmin = (blocks[f].astype(np.float32)[:, None] for f in ("d", "dmin"))
        return d * sc.astype(np.float32), -(dmin * mn.astype(np.float32))


def _unpack_q4(blocks: np.ndarray) -> Codes:
    q = nibbles(blocks["qs"].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    return Codes(q, *_scales(blocks))


def _unpack_q5(blocks: np.ndarray) -> Codes:
    low = nibbles(blocks["qs"].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    bit = blocks["qh"][:, None] >> np.arange(8, dtype=np.uint8)[:, None] & 1
    return Codes(low | bit << 4, *_scales(blocks))


def _unpack_q6(blocks: np.ndarray) -> Codes:
    """Each half of 128 numbers: 4 runs of 32; runs 0, 1 in the low and 2, 3 in the high halves of its 64 bytes."""
    low = nibbles(blocks["ql"].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)
    high = blocks["qh"].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8)[:, None] & 3
    q = (low | high << 4).view(np.int8) - np.int8(32)
    with np.errstate(invalid="ignore"):
        scale = blocks["d"].astype(np.float32)[:, None] * blocks["scales"].astype(np.float32)
    return Codes(q.reshape(-1, 16, 16), scale)


def _with_encode(kind: WeightFormat) -> WeightFormat:
    return replace(kind, encode=lambda x: encode_rows(kind, x))


Q4_K = _with_encode(block_format("Q4_K", 12, 256, _unpack_q4))
Q5_K = _with_encode(block_format("Q5_K", 13, 256, _unpack_q5))
Q6_K = _with_encode(block_format("Q6_K", 14, 256, _unpack_q6))
