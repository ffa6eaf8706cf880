"""
What all block formats share: rows of bytes to blocks and back, a bounded piece at a time.

A family file says what is in a block: `unpack` gives `Codes`, and every number is `scale * code + offset`, computed
in float32 in exactly this order (the native decoder is compared bit by bit).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rookery.errors import FormatError, NumericError
from rookery.quant.base import WeightFormat
from rookery.quant.layouts import LAYOUTS

__all__ = ["Codes", "block_format", "high_bits", "nibbles", "reciprocal", "saturated"]

_PIECE = 1 << 20  # numbers decoded or encoded at a time: bounds the scratch memory to a few MiB
_HALF_MAX = np.float32(65504)


class Codes(NamedTuple):
    """The contents of n blocks of s groups with k numbers each.

    q:      (n, s, k) small integers.
    scale:  (n, s) float32.
    offset: (n, s) float32, or None in formats that have none.
    """

    q: np.ndarray
    scale: np.ndarray
    offset: np.ndarray | None = None


def block_format(
    name: str,
    ggml: int,
    block: int,
    unpack: Callable[[np.ndarray], Codes],
    pack: Callable[[np.ndarray, np.ndarray], None] | None = None,
) -> WeightFormat:
    """A WeightFormat whose rows are blocks of LAYOUTS[name].

    unpack: (n,) structured blocks -> Codes.
    pack:   finite float32 (n, block) and the (n,) structured blocks to fill; absent where rookery only reads.
    """
    layout = LAYOUTS[name]

    def decode(data: np.ndarray) -> np.ndarray:
        blocks = _blocks(data, name)
        out = np.empty((len(blocks), block), np.float32)
        for piece in _pieces(len(blocks), block):
            with np.errstate(invalid="ignore"):  # ARM reports a signalling NaN among the scales; it stays NaN
                out[piece] = _values(unpack(blocks[piece])).reshape(-1, block)
        return out.reshape(*data.shape[:-1], data.shape[-1] // layout.itemsize * block)

    def encode(x: np.ndarray) -> np.ndarray:
        assert pack is not None
        if x.shape[-1] % block:
            raise FormatError(f"a row of {x.shape[-1]} numbers cannot be stored as {name}: not a multiple of {block}")
        numbers = np.ascontiguousarray(x, np.float32).reshape(-1, block)
        out = np.empty(len(numbers), layout)
        for piece in _pieces(len(numbers), block):
            if not np.isfinite(numbers[piece]).all():
                raise NumericError(f"a row that holds NaN or infinity cannot be stored as {name}")
            with np.errstate(over="ignore"):
                pack(numbers[piece], out[piece])
        return out.view(np.uint8).reshape(*x.shape[:-1], x.shape[-1] // block * layout.itemsize)

    return WeightFormat(name, block, layout.itemsize, ggml, decode, encode if pack else None)


def nibbles(qs: np.ndarray) -> np.ndarray:
    """(..., k) bytes -> (..., 2, k): all low halves, then all high halves."""
    return np.stack([qs & 15, qs >> 4], axis=-2)


def high_bits(qh: np.ndarray) -> np.ndarray:
    """(n, 4) bytes of a little-endian mask -> (n, 32): bit j, placed at 16."""
    return np.unpackbits(qh, axis=-1, bitorder="little") << 4


def reciprocal(d: np.ndarray) -> np.ndarray:
    """1/d, and 0 where d is zero or so small (below every fp16) that 1/d overflows."""
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.float32(1) / d
    return np.where(np.isfinite(inverse), inverse, np.float32(0))


def saturated(x: np.ndarray) -> np.ndarray:
    """x clamped to the fp16 range, so that no scale becomes infinite."""
    clipped: np.ndarray = np.clip(x, -_HALF_MAX, _HALF_MAX)
    return clipped


def _blocks(data: np.ndarray, name: str) -> np.ndarray:
    layout = LAYOUTS[name]
    if data.dtype != np.uint8 or data.shape[-1] % layout.itemsize:
        raise FormatError(
            f"a row of {data.shape[-1]} {data.dtype} is no run of {name} blocks; expected uint8, a multiple of "
            f"{layout.itemsize} bytes"
        )
    blocks: np.ndarray = np.ascontiguousarray(data).reshape(-1).view(layout)
    return blocks


def _pieces(count: int, block: int) -> list[slice]:
    step = _PIECE // block
    return [slice(start, start + step) for start in range(0, count, step)]


def _values(codes: Codes) -> np.ndarray:
    """NOTE: infinite or NaN scales in a damaged file give NaN without a warning."""
    with np.errstate(invalid="ignore", over="ignore"):
        x: np.ndarray = codes.scale[..., None] * codes.q.astype(np.float32)
        return x if codes.offset is None else x + codes.offset[..., None]
