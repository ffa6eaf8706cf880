"""
Fewer bytes for the same numbers: an F32 matrix whose every number is exact in 16 bits is kept in 16 bits.

Checkpoints are published in BF16, and some converters widen their low-rank matrices to F32.  Products read F16 and
BF16 by widening each number, so no bit of a result changes, and half the bytes are read.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rookery.quant import FORMATS
from rookery.weights import Tensor

__all__ = ["narrowed"]

_AT_ONCE = 1 << 18  # numbers looked at before asking again whether to go on


def narrowed(w: Tensor) -> Tensor:
    """`w` in the first of F16 and BF16 that holds all of it exactly (-0 and infinities too), else `w` itself."""
    if w.format != "F32" or w.name in w.packed:
        return w
    numbers = w.load()
    for format in ("F16", "BF16"):
        if _exact(numbers, format):
            return Tensor(format, w.shape, partial(_stored, w, format), w.name)
    return w


def _stored(w: Tensor, format: str) -> np.ndarray:
    return _encoded(w.load(), format)


def _encoded(numbers: np.ndarray, format: str) -> np.ndarray:
    encode = FORMATS[format].encode
    assert encode is not None
    return encode(np.ascontiguousarray(numbers, np.float32))


def _exact(numbers: np.ndarray, format: str) -> bool:
    """Whether all numbers keep their bits in a format; most matrices that do not show it in their first rows."""
    rows = max(1, _AT_ONCE // max(1, numbers.shape[1]))
    for first in range(0, len(numbers), rows):
        some = np.ascontiguousarray(numbers[first : first + rows], np.float32)
        back = FORMATS[format].decode(_encoded(some, format))
        if not np.array_equal(back.view(np.uint32), some.view(np.uint32)):
            return False
    return True
