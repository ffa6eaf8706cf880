"""
Where everything lies in a state.

A sequence's whole state is one flat float32 vector: per block the time mix's last row, the WKV memory, the channel
mix's last row.  Its size depends on the model alone, never on the text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from rookery.config import Config

__all__ = ["Field", "StateLayout"]

CACHE_LINE = 64  # bytes
EMPTY_EXPONENT = -1e30  # of RWKV-4's sums before the first token: e^p is zero


@dataclass(frozen=True, slots=True)
class Field:
    """One array of the state: `shape` numbers from `offset` on."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def of(self, flat: np.ndarray) -> np.ndarray:
        """A view of this field in states of shape (..., layout.size)."""
        return flat[..., self.offset : self.offset + self.size].reshape(*flat.shape[:-1], *self.shape)


class StateLayout:
    """The fields of a model's state: `layers[i].att_x`, `.wkv`, `.ffn_x`, and `size` numbers in all.

    wkv is (3, C) for v4 (numerator, denominator, exponent) and (H, N, N), head, key lane, value lane, from v5 on.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        c, n = config.width, config.head_size
        wkv = (3, c) if config.version == "4" else (config.heads, n, n)
        self.layers: list[SimpleNamespace] = []
        self.size = 0
        for i in range(config.layers):
            fields = {}
            for name, shape in (("att_x", (c,)), ("wkv", wkv), ("ffn_x", (c,))):
                fields[name] = Field(f"blocks.{i}.{name}", shape, self.size)
                self.size += fields[name].size
            self.layers.append(SimpleNamespace(**fields))

    @property
    def fields(self) -> list[Field]:
        return [field for layer in self.layers for field in vars(layer).values()]

    def zeros(self, *leading: int) -> np.ndarray:
        """Fresh states before any token, float32 (*leading, size)."""
        flat = aligned_zeros(math.prod(leading) * self.size).reshape(*leading, self.size)
        if self.config.version == "4":
            for layer in self.layers:
                layer.wkv.of(flat)[..., 2, :] = EMPTY_EXPONENT
        return flat


def aligned_copy(data: np.ndarray) -> np.ndarray:
    """A copy of float32 (size,) as `aligned_zeros` lays it."""
    copy = aligned_zeros(data.size)
    copy[:] = data
    return copy


def aligned_zeros(size: int) -> np.ndarray:
    """float32 (size,) that begins on a cache line: kernels load and store across two lines at half the speed."""
    memory = np.zeros(4 * size + CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE
    return memory[begin : begin + 4 * size].view(np.float32)
