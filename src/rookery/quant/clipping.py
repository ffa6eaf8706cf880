"""
Numbers that a block format has no scale for.

Scales are fp16 in most block formats.  Encoders take the largest there is instead of infinity, so numbers beyond come
back as far smaller ones: nothing a trained model has, and nothing to pass over in silence.
"""

from __future__ import annotations

import numpy as np

from rookery.quant.base import WeightFormat

__all__ = ["EVERY_FORMAT_HOLDS", "clips"]

EVERY_FORMAT_HOLDS = 65504.0  # the largest fp16; of larger numbers some formats do not hold all
_ERROR = 0.25  # of the largest number of a row; what rounding costs it is 0.12 at most, in NF4


def clips(kind: WeightFormat, numbers: np.ndarray, stored: np.ndarray) -> bool:
    """Whether the largest number of some row is lost.

    numbers: float32 (rows, n).  stored: the same rows in a block format, encoded without importance.
    """
    peaks = np.abs(numbers).max(axis=1)
    large = np.flatnonzero(peaks > EVERY_FORMAT_HOLDS)
    if not large.size:
        return False
    found = np.abs(kind.decode(stored[large])[np.arange(large.size), np.abs(numbers[large]).argmax(axis=1)])
    return bool((np.abs(found - peaks[large]) > _ERROR * peaks[large]).any())
