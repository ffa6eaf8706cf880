"""
Undoing a division by a power of two, exactly and in the format the numbers are stored in.
"""

from __future__ import annotations

import numpy as np

from rookery.errors import NumericError
from rookery.formats.checkpoint import Tensor
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS, scaled

__all__ = ["rescaled"]


def rescaled(tensor: Tensor, power: int, what: str) -> Tensor:
    """The numbers times 2**power, power >= 0, in the same format and exact.

    Loading raises NumericError, naming `what`, where a number (a scale, in block formats) leaves the format's range:
    no file made by dividing by 2**power can do that.
    """

    def load() -> np.ndarray:
        before = tensor.load()
        after = _times_power(tensor.format, before, power)
        if _infinities(tensor.format, after) > _infinities(tensor.format, before):
            raise NumericError(
                f"{what} overflows {tensor.format} when its division by 2^{power} is undone; the file is damaged"
            )
        return after

    return Tensor(tensor.format, tensor.shape, load)


def _times_power(format: str, data: np.ndarray, power: int) -> np.ndarray:
    if format in LAYOUTS:
        return scaled(format, data, power)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ldexp(FORMATS[format].decode(data), power)
        if format == "BF16":  # the lower half is zero before and after: nothing to round
            numbers = numbers.view(np.uint32) >> 16
        out: np.ndarray = numbers.astype(data.dtype)
        return out


def _infinities(format: str, data: np.ndarray) -> int:
    if format not in LAYOUTS:
        return int(np.isinf(FORMATS[format].decode(data)).sum())
    blocks = np.ascontiguousarray(data).view(LAYOUTS[format])
    return sum(int(np.isinf(blocks[f]).sum()) for f in ("d", "m", "dmin") if f in (LAYOUTS[format].names or ()))
