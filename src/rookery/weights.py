"""
The leaf given to `linear`: one tensor in the form it is stored in.

Definitions write `p.w1.T` and `p.time_maa_w1[:, :m]` on these leaves exactly as they would on numpy arrays,
so the oracle can run the same file with plain arrays in place of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rookery.errors import UnsupportedError
from rookery.quant import FORMATS, WeightFormat

__all__ = ["Weight"]


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A tensor in storage form.

    format: a key of `rookery.quant.FORMATS` ("F32", "F16", "BF16", "Q8_0" ...).
    shape:  logical shape, slowest dimension first.
    data:   the stored numbers.  F32 float32, F16 float16, BF16 uint16 bit patterns, all of `shape`;
            block formats uint8 of shape (*shape[:-1], bytes per row).  Often a read-only view of a mapped file.
    name:   where it comes from, for dumps and messages.
    """

    format: str
    shape: tuple[int, ...]
    data: np.ndarray
    name: str = ""

    @classmethod
    def dense(cls, array: np.ndarray) -> Weight:
        """Wrap a float32 or float16 array as it is; any other float type becomes float32."""
        if array.dtype == np.float16:
            return cls("F16", array.shape, array)
        return cls("F32", array.shape, np.asarray(array, np.float32))

    @property
    def kind(self) -> WeightFormat:
        return FORMATS[self.format]

    @property
    def nbytes(self) -> int:
        return int(self.data.nbytes)

    def numpy(self, dtype: Any = np.float32) -> np.ndarray:
        """The numbers as floats, shape `shape`.  A fresh array unless the storage already has `dtype`."""
        return self.kind.decode(self.data).reshape(self.shape).astype(dtype, copy=False)

    @property
    def T(self) -> Weight:
        """The transpose of a matrix; a view."""
        self._only_dense("transposed")
        return Weight(self.format, self.shape[::-1], self.data.T, f"{self.name}.T")

    def __getitem__(self, index: Any) -> Weight:
        self._only_dense("sliced")
        view = self.data[index]
        return Weight(self.format, view.shape, view, f"{self.name}[...]")

    def _only_dense(self, what: str) -> None:
        if self.kind.block > 1:
            raise UnsupportedError(f"a {self.format} tensor of shape {self.shape} cannot be {what}; decode it first")
