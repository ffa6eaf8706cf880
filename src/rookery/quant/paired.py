"""
C4 and C5: codes of 4 or 5 bits into one of two tables, a wide and a narrow one, chosen for every four numbers.

A row begins with a float32 scale; each 32 numbers have a scale of their own in one byte, which multiplies it.  4.5 and
5.5 bits per number, as Q4_K and Q5_K, with less error: docs/quantization.md.  Encoding is a search in native code.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from rookery.errors import FormatError
from rookery.quant.base import WeightFormat
from rookery.quant.blocks import nibbles
from rookery.quant.searched import encode_rows

__all__ = ["C4", "C5"]

_HEAD, _BLOCK = 4, 64
_PIECE = 1 << 20  # numbers decoded at a time

# Found by Lloyd's algorithm on gaussian, laplace and Student t numbers; what decodes a file must never change.
# fmt: off
_TABLES = {
    4: np.array([
        [-64, -54, -44, -33, -25, -17, -10, -5, 0, 6, 12, 19, 27, 36, 44, 56],
        [-38, -29, -23, -19, -14, -10, -6, -3, 0, 3, 7, 11, 15, 20, 24, 31],
    ], np.float32),
    5: np.array([
        [-64, -58, -52, -46, -42, -38, -32, -28, -25, -21, -17, -14, -11, -8, -5, -2,
         0, 3, 6, 9, 12, 16, 19, 23, 27, 31, 36, 40, 45, 50, 56, 59],
        [-36, -34, -30, -27, -24, -21, -19, -16, -14, -12, -10, -8, -6, -4, -3, -1,
         0, 2, 4, 5, 7, 9, 11, 13, 15, 17, 20, 22, 25, 28, 31, 34],
    ], np.float32),
}
# fmt: on

_LAYOUTS = {
    4: np.dtype([("scale", "u1", (2,)), ("narrow", "u1", (2,)), ("qs", "u1", (32,))]),
    5: np.dtype([("scale", "u1", (2,)), ("narrow", "u1", (2,)), ("qh", "u1", (8,)), ("qs", "u1", (32,))]),
}


def _byte_scale(byte: np.ndarray) -> np.ndarray:
    """A sign, three bits of exponent and four of mantissa: 1 to 248 in magnitude."""
    magnitude = np.ldexp(1 + (byte & 15).astype(np.float32) / 16, byte >> 4 & 7)
    return np.where(byte & 128, -magnitude, magnitude).astype(np.float32)


def _decode(bits: int, data: np.ndarray) -> np.ndarray:
    layout = _LAYOUTS[bits]
    if data.dtype != np.uint8 or data.shape[-1] < _HEAD or (data.shape[-1] - _HEAD) % layout.itemsize:
        raise FormatError(
            f"a row of {data.shape[-1]} {data.dtype} is no C{bits} row; expected uint8, {_HEAD} bytes and a multiple "
            f"of {layout.itemsize}"
        )
    numbers = (data.shape[-1] - _HEAD) // layout.itemsize * _BLOCK
    rows = np.ascontiguousarray(data).reshape(-1, data.shape[-1])
    out = np.empty((len(rows), numbers), np.float32)
    step = max(1, _PIECE // max(numbers, 1))
    for start in range(0, len(rows), step):
        out[start : start + step] = _rows(bits, rows[start : start + step])
    return out.reshape(*data.shape[:-1], numbers)


def _rows(bits: int, rows: np.ndarray) -> np.ndarray:
    blocks = np.ascontiguousarray(rows[:, _HEAD:]).view(_LAYOUTS[bits])
    codes = nibbles(blocks["qs"])
    if bits == 5:
        codes |= np.unpackbits(blocks["qh"], axis=-1, bitorder="little").reshape(codes.shape) << 4
    narrow = np.repeat(np.unpackbits(blocks["narrow"], axis=-1, bitorder="little"), 4, axis=-1).reshape(codes.shape)
    whole = np.ascontiguousarray(rows[:, :_HEAD]).view("<f4")[..., None]
    with np.errstate(invalid="ignore", over="ignore"):
        scale = _byte_scale(blocks["scale"]) * whole
        return (scale[..., None] * _TABLES[bits][narrow, codes]).reshape(len(rows), -1)


def _format(bits: int, ggml: int) -> WeightFormat:
    kind = WeightFormat(f"C{bits}", _BLOCK, _LAYOUTS[bits].itemsize, ggml, partial(_decode, bits), head=_HEAD)
    return replace(kind, encode=lambda x: encode_rows(kind, x))


C4 = _format(4, 1002)
C5 = _format(5, 1003)
