"""
The WKV recurrences on torch tensors, forward and backward, behind one function each.

Every function takes rows of ragged segments and the segments' initial states, and returns the rows' outputs and the
final states; gradients flow through all of them.

    backend    runs on            precision
    native     processors         float32, in the C++ core
    triton     GPUs               float32 states; RWKV-7 in chunks
    reference  anything           any, one row after another under autograd: slow, the formula itself

The device chooses; the environment variable ROOKERY_WKV forces one.
"""

from __future__ import annotations

import os
from types import ModuleType

import torch

from rookery.errors import SettingsError
from rookery.ops.wkv import native, reference, triton

__all__ = ["BACKENDS", "backend", "wkv4", "wkv6", "wkv7"]

BACKENDS: dict[str, ModuleType] = {"native": native, "triton": triton, "reference": reference}
_VARIABLE = "ROOKERY_WKV"


def backend(x: torch.Tensor) -> ModuleType:
    """The backend for tensors like x.  SettingsError where ROOKERY_WKV names none, or one that cannot take them."""
    name = os.environ.get(_VARIABLE, "") or _chosen(x)
    if name not in BACKENDS:
        raise SettingsError(f"{_VARIABLE}={name!r}: expected {', '.join(BACKENDS)}")
    return BACKENDS[name]


def _chosen(x: torch.Tensor) -> str:
    if x.device.type == "cuda":  # so torch calls AMD's too
        return "reference" if x.dtype == torch.float64 else "triton"
    return "native" if x.device.type == "cpu" and x.dtype == torch.float32 else "reference"


def wkv4(
    w: torch.Tensor, u: torch.Tensor, k: torch.Tensor, v: torch.Tensor, state: torch.Tensor, offsets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """RWKV-4's decayed average.

    w, u: (C,), the logarithm of the decay and the bonus.  k, v: (rows, C).  state: (segments, 3, C): numerator,
    denominator, exponent.  offsets: int64 (segments + 1,) on the processor: where segments begin and end.
    Returns y (rows, C) and the final states.
    """
    return backend(k).wkv4(w, u, k, v, state, offsets)


def wkv6(
    r: torch.Tensor,
    w: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    u: torch.Tensor,
    state: torch.Tensor,
    offsets: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """RWKV-5's and 6's: y = r (S + u k v^T);  S <- diag(w) S + k v^T.

    r, w, k, v: (rows, C).  u: (C,).  state: (segments, H, N, N), head, key lane, value lane.
    """
    return backend(k).wkv6(r, w, k, v, u, state, offsets)


def wkv7(
    r: torch.Tensor,
    w: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    a: torch.Tensor,
    b: torch.Tensor,
    state: torch.Tensor,
    offsets: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """RWKV-7's: S <- diag(w) S + b (a^T S) + k v^T;  y = r S.

    r, w, k, v, a, b: (rows, C).  state: (segments, H, N, N), head, key lane, value lane.
    """
    return backend(k).wkv7(r, w, k, v, a, b, state, offsets)
