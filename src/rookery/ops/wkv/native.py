"""
The recurrences in the C++ core: float32 on processors, forward and backward.

A state is kept every 64 rows, N^2 / 64 numbers for each row and head; the way back computes the states between anew
and never divides by the decay.  Formulas: src/native/kernels/wkv.inl.  Threads are torch's (`torch.get_num_threads`);
they change no bit.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rookery import _native
from rookery.errors import SettingsError

__all__ = ["wkv4", "wkv6", "wkv7"]


def wkv4(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    return _Wkv.apply(4, offsets, w, u, state, k, v)


def wkv6(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    return _Wkv.apply(6, offsets, None, u, state, r, w, k, v)


def wkv7(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    return _Wkv.apply(7, offsets, None, None, state, r, w, k, v, a, b)


class _Wkv(torch.autograd.Function):
    """A recurrence of the core.

    w, u: (width,), of all rows, where the version has them.  operands: (rows, width), in the order of src/native/wkv.h.
    """

    @staticmethod
    def forward(
        ctx: Any,
        version: int,
        offsets: Tensor,
        w: Tensor | None,
        u: Tensor | None,
        state: Tensor,
        *operands: Tensor,
    ) -> tuple[Tensor, Tensor]:
        w, u, state, *operands = (_ready(x) for x in (w, u, state, *operands))
        core = _core(version, offsets, state.shape, operands[0].shape)
        y, final = torch.empty_like(operands[0]), torch.empty_like(state)
        kept = torch.empty(core.kept) if any(ctx.needs_input_grad) else None
        core.forward(operands, u, w, state, y, final, kept)
        if kept is not None:
            ctx.save_for_backward(offsets, w, u, kept, *operands)
        ctx.version, ctx.states = version, state.shape
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        offsets, w, u, kept, *operands = ctx.saved_tensors
        dy = torch.zeros_like(operands[0]) if dy is None else _ready(dy)
        dx = [torch.empty_like(x) for x in operands]
        dw, du = (None if x is None else torch.empty(len(offsets) - 1, x.numel()) for x in (w, u))
        dstate = torch.empty(ctx.states) if ctx.needs_input_grad[4] else None
        core = _core(ctx.version, offsets, ctx.states, dy.shape)
        core.backward([*operands, dy], u, w, kept, _ready(dfinal), dx, du, dw, dstate)
        dw, du = (None if x is None else x.sum(0).view_as(y) for x, y in ((dw, w), (du, u)))
        return None, None, dw, du, dstate, *dx


def _core(version: int, offsets: Tensor, states: torch.Size, shape: torch.Size) -> Any:
    """The core's recurrence over rows of a shape."""
    heads, lanes = (1, shape[1]) if version == 4 else states[1:3]
    return _native.Wkv(_table(), torch.get_num_threads(), offsets.contiguous(), shape[0], version, heads, lanes)


def _table() -> str:
    """The kernel table that ROOKERY_CPU forces; the best where it is empty."""
    table = os.environ.get("ROOKERY_CPU", "")
    if table and table not in _native.kernel_tables():
        raise SettingsError(f"ROOKERY_CPU={table!r}: this processor runs {', '.join(_native.kernel_tables())}")
    return table


def _ready(x: Tensor | None) -> Tensor | None:
    """The tensor as the core takes it.  SettingsError where it cannot."""
    if x is None:
        return None
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise SettingsError(f"ROOKERY_WKV=native takes float32 on a processor, not {x.dtype} on {x.device}")
    return x.detach().contiguous()
