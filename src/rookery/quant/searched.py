"""
Encoding by search, in native code: scales and offsets with the least squared error, whatever the format.

`WeightFormat.encode` of the 32-block formats rounds to nearest, as other tools do; this loses less at the same size.
"""

from __future__ import annotations

import numpy as np

from rookery import _native
from rookery.errors import FormatError, NumericError
from rookery.quant.base import WeightFormat

__all__ = ["encode_rows"]


def encode_rows(
    kind: WeightFormat,
    rows: np.ndarray,
    importance: np.ndarray | None = None,
    threads: int = 1,
    heads: np.ndarray | None = None,
) -> np.ndarray:
    """Numbers as a block format.

    rows:       float32 (..., n); n must be a multiple of `kind.block`.
    importance: float32 (n,), not negative: the weight of each column's squared error.  None, when nothing is known
                of the columns, lets large numbers count more, which serves trained models better than equal weights.
    heads:      uint8 (rows, kind.head), where the scales of whole rows are fixed already.
    Returns uint8 (..., bytes per row).  FormatError for rows that are no whole blocks, NumericError for NaN and
    infinity.
    """
    n = rows.shape[-1]
    if n % kind.block:
        raise FormatError(f"a row of {n} numbers cannot be stored as {kind.name}: not a multiple of {kind.block}")
    weights = None if importance is None else np.ascontiguousarray(importance, np.float32)
    flat = np.ascontiguousarray(rows, np.float32).reshape(-1, n)
    try:
        stored: np.ndarray = _native.encode_rows(kind.ggml, flat, weights, threads, heads)
    except ArithmeticError:
        raise NumericError(f"a row that holds NaN or infinity cannot be stored as {kind.name}") from None
    return stored.reshape(*rows.shape[:-1], kind.row_bytes(n))
