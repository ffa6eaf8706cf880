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
    return _Heads.apply(offsets, None, state, r, w, k, v, a, b)


class _Heads(torch.autograd.Function):
    """RWKV-7 of the operands r w k v a b; RWKV-5 and 6, where there is a bonus u, of r w k v."""

    @staticmethod
    def forward(
        ctx: Any, offsets: Tensor, u: Tensor | None, state: Tensor, *operands: Tensor
    ) -> tuple[Tensor, Tensor]:
        xs = [_ready(x) for x in operands]
        bonus = None if u is None else _ready(u)
        core = _core(offsets, state, xs[0])
        y, final = torch.empty_like(xs[0]), torch.empty(state.shape)
        kept = torch.empty(core.kept(len(xs))) if any(ctx.needs_input_grad) else None
        core.forward(xs, bonus, _ready(state), y, final, kept)
        if kept is not None:
            ctx.save_for_backward(offsets, bonus, kept, *xs)
        ctx.states = state.shape
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        offsets, u, kept, *xs = ctx.saved_tensors
        dstate = torch.empty(ctx.states) if ctx.needs_input_grad[2] else None
        dx = [torch.empty_like(x) for x in xs]
        du = None if u is None else torch.empty(len(offsets) - 1, *u.shape)
        dy = torch.zeros_like(xs[0]) if dy is None else _ready(dy)
        core = _core(offsets, kept, xs[0], ctx.states)
        core.backward([*xs, dy], u, kept, None if dfinal is None else _ready(dfinal), dx, du, dstate)
        return None, None if du is None else du.sum(0), dstate, *dx


def _core(offsets: Tensor, state: Tensor, x: Tensor, states: torch.Size | None = None) -> Any:
    """The core's recurrence for rows like x."""
    _, heads, lanes, _ = states or state.shape
    return _native.Wkv(_table(), torch.get_num_threads(), offsets.contiguous(), len(x), heads, lanes)


def _table() -> str:
    """The kernel table that ROOKERY_CPU forces; the best where it is empty."""
    table = os.environ.get("ROOKERY_CPU", "")
    if table and table not in _native.kernel_tables():
        raise SettingsError(f"ROOKERY_CPU={table!r}: this processor runs {', '.join(_native.kernel_tables())}")
    return table


def _ready(x: Tensor) -> Tensor:
    """The tensor as the core takes it.  SettingsError where it cannot."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise SettingsError(f"ROOKERY_WKV=native takes float32 on a processor, not {x.dtype} on {x.device}")
    return x.detach().contiguous()
