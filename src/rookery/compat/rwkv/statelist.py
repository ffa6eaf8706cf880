"""
State lists of the `rwkv` package, without copying them at every token.

The arrays of a list that `RWKV` hands out are views of one flat state.  When such a list comes back as it was, the
flat state is read off it; any other list (loaded, deep-copied, with elements exchanged) is converted number by number.
Numbers changed in place are seen either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rookery.layout import StateLayout
from rookery.otherstates import rwkv_numbers, rwkv_views

__all__ = ["StateLists"]


class StateLists:
    """Turns flat states of one layout into lists and back."""

    def __init__(self, layout: StateLayout) -> None:
        self.layout = layout
        example = np.empty(layout.size, np.float32)
        start = _address(example)
        views = rwkv_views(layout, example)
        self._places = [(_address(view) - start, view.shape, view.strides) for view in views]

    def views(self, flat: np.ndarray) -> list[np.ndarray]:
        """The list of a flat state, which it shares its memory with."""
        return rwkv_views(self.layout, flat)

    def flat(self, arrays: Sequence[Any]) -> np.ndarray:
        """A fresh flat state with the numbers of a list; StateError when the list is no state of this model."""
        whole = self._whole(arrays)
        return rwkv_numbers(self.layout, arrays) if whole is None else whole.copy()

    def _whole(self, arrays: Sequence[Any]) -> np.ndarray | None:
        """The flat state that all arrays are views of, each in its place, or None."""
        if not isinstance(arrays, list) or len(arrays) != len(self._places):
            return None
        whole = getattr(arrays[0], "base", None)
        if type(whole) is not np.ndarray or whole.shape != (self.layout.size,) or whole.dtype != np.float32:
            return None
        start = _address(whole)
        for array, (offset, shape, strides) in zip(arrays, self._places, strict=True):
            if type(array) is not np.ndarray or array.base is not whole or array.dtype != np.float32:
                return None
            if array.shape != shape or array.strides != strides or _address(array) != start + offset:
                return None
        return whole if whole.flags.c_contiguous else None


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
