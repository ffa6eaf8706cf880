"""Q5_0 and Q5_1: as Q4_0 and Q4_1, with every number's fifth bit in a 32-bit mask of its own."""

from __future__ import annotations

import numpy as np

from rookery.quant.blocks import Codes, block_format, high_bits, nibbles
from rookery.quant.simple import affine_codes, signed_codes

__all__ = ["Q5_0", "Q5_1"]


def _codes(blocks: np.ndarray) -> np.ndarray:
    """(n, 1, 32), 0 to 31."""
    q: np.ndarray = nibbles(blocks["qs"]).reshape(-1, 1, 32) | high_bits(blocks["qh"])[:, None]
    return q


def _unpack_0(blocks: np.ndarray) -> Codes:
    return Codes(_codes(blocks).view(np.int8) - np.int8(16), blocks["d"].astype(np.float32)[:, None])


def _unpack_1(blocks: np.ndarray) -> Codes:
    return Codes(_codes(blocks), blocks["d"].astype(np.float32)[:, None], blocks["m"].astype(np.float32)[:, None])


def _store(q: np.ndarray, out: np.ndarray) -> None:
    out["qs"] = q[:, :16] & 15 | q[:, 16:] << 4
    out["qh"] = np.packbits(q >> 4, axis=-1, bitorder="little")


def _pack_0(x: np.ndarray, out: np.ndarray) -> None:
    q, out["d"] = signed_codes(x, 16)
    _store(q, out)


def _pack_1(x: np.ndarray, out: np.ndarray) -> None:
    q, out["d"], out["m"] = affine_codes(x, 31)
    _store(q, out)


Q5_0 = block_format("Q5_0", 6, 32, _unpack_0, _pack_0)
Q5_1 = block_format("Q5_1", 7, 32, _unpack_1, _pack_1)
