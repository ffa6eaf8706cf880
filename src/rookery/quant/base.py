"""What a weight format is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["WeightFormat"]

_OWN = 1000  # ids below are GGUF's


@dataclass(frozen=True, slots=True)
class WeightFormat:
    """A way to store a row of numbers.

    name:   as in GGUF: "F16", "Q4_K" ...
    block:  numbers per block; 1 for the dense formats.
    nbytes: bytes per block.
    ggml:   the type id in GGUF files; from 1000 on for formats that GGUF does not have.
    decode: storage array (..., bytes per row) uint8, or the dense array -> float32 (..., numbers per row).
    encode: float32 (..., numbers per row) -> storage array; None where rookery only reads the format.
    head:   bytes at the beginning of a row, before its blocks: a scale for all of them.
    """

    name: str
    block: int
    nbytes: int
    ggml: int
    decode: Callable[[np.ndarray], np.ndarray]
    encode: Callable[[np.ndarray], np.ndarray] | None = None
    head: int = 0

    @property
    def in_gguf(self) -> bool:
        """Whether GGUF files can hold it."""
        return self.ggml < _OWN

    @property
    def bits(self) -> float:
        """Bits per number, not counting what a row has once."""
        return 8 * self.nbytes / self.block

    def row_bytes(self, numbers: int) -> int:
        """Bytes of a row of `numbers` numbers; `numbers` must be a multiple of `block`."""
        return self.head + numbers // self.block * self.nbytes

    def holds_rows_of(self, nbytes: int) -> bool:
        """Whether a row can have that many bytes."""
        return nbytes >= self.head and (nbytes - self.head) % self.nbytes == 0

    def numbers(self, nbytes: int) -> int:
        """Numbers in a row of `nbytes` bytes."""
        return (nbytes - self.head) // self.nbytes * self.block
