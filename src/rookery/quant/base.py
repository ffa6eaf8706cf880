"""What a weight format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["WeightFormat"]


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """A way to store a row of numbers.

    name:   as in GGUF: "F16", "Q4_K" ...
    block:  numbers per block; 1 for the dense formats.
    nbytes: bytes per block.
    ggml:   the type id in GGUF files.
    decode: storage array (..., bytes per row) uint8, or the dense array -> float32 (..., numbers per row).
    encode: float32 (..., numbers per row) -> storage array; None where rookery only reads the format.
    """

    name: str
    block: int
    nbytes: int
    ggml: int
    decode: Callable[[np.ndarray], np.ndarray]
    encode: Callable[[np.ndarray], np.ndarray] | None = None

    def row_bytes(self, numbers: int) -> int:
        """Bytes of a row of `numbers` numbers; `numbers` must be a multiple of `block`."""
        return numbers // self.block * self.nbytes
