"""
The leaf given to `linear`: a tensor in the form it is stored in, not read until it is used.

Definitions write `p.w1.T` and `p.time_maa_w1[:, :m]` on these leaves exactly as they would on numpy arrays,
so the oracle can run the same file with plain arrays in place of tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rookery.errors import UnsupportedError
from rookery.quant import FORMATS, WeightFormat

__all__ = ["Packed", "Tensor"]


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix in the layout of the native kernels (docs/weight-layouts.md).

    load:     gives its bytes, uint8, all groups of 32 rows one after another; a view of the mapped file.
    checksum: what `Runner.packed` must find while copying them.
    """

    load: Callable[[], np.ndarray]
    checksum: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """Numbers in storage form.

    format: a key of `rookery.quant.FORMATS` ("F32", "F16", "BF16", "Q8_0" ...).  Straight from a reader it may also
            be a type that no weight has ("F64", "I64" ...); `open_checkpoint` converts or refuses those.
    shape:  logical shape, slowest dimension first.
    load:   gives the storage array; usually a view of the mapped file, so nothing is read until it is touched.  May
            be called more than once.  F32 float32, F16 float16, BF16 uint16 bit patterns, all of `shape`; block
            formats uint8 of shape (*shape[:-1], bytes per row).
    name:   where it comes from, for dumps and messages.
    packed: matrices that its file holds in the layout of the kernels, by the name they have in a program: the tensor
            itself ("head.weight") or what a definition makes of it ("blocks.0.att.w1.T").  Executors without kernels
            need not know: `load` gives the same numbers.
    """

    format: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]
    name: str = ""
    packed: Mapping[str, Packed] = field(default_factory=dict)

    @property
    def kind(self) -> WeightFormat:
        return FORMATS[self.format]

    def numpy(self) -> np.ndarray:
        """The numbers as float32 of `shape`; a view of the storage where that is float32 already."""
        return self.kind.decode(self.load()).reshape(self.shape)

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        self._only_dense("transposed")
        return Tensor(self.format, self.shape[::-1], lambda: self.load().T, f"{self.name}.T", self.packed)

    def __getitem__(self, index: Any) -> Tensor:
        self._only_dense("sliced")
        view = np.broadcast_to(np.uint8(0), self.shape)[index]
        name = f"{self.name}[{_words(index)}]"
        return Tensor(self.format, view.shape, lambda: self.load()[index], name, self.packed)

    def _only_dense(self, what: str) -> None:
        if self.kind.block > 1:
            raise UnsupportedError(f"{self.name or 'a tensor'} is stored as {self.format}: it cannot be {what}")


def _words(index: Any) -> str:
    """An index as it was written."""
    if isinstance(index, tuple):
        return ", ".join(_words(i) for i in index)
    if isinstance(index, slice):
        return ":".join("" if i is None else str(i) for i in (index.start, index.stop))
    return str(index)
