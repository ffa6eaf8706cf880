"""
The recurrences in the C++ core: float32 on processors, forward and backward.

A state is kept every 64 rows, N^2 / 64 numbers for each row of a head of N lanes, and for RWKV-7 the N numbers read
from it: 512 bytes at 64, where autograd over the rows would keep a whole state for each.  The way back computes the
states between anew, and never divides by the decay.  Gradients are exact: through initial and final states too, so
that calls which hand their states on have the gradients of one.  Formulas: src/native/kernels/wkv.inl and wkv4.inl.
Threads are torch's (`torch.get_num_threads`); they change no bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rookery import _native
from rookery.errors import SettingsError
from rookery.ops.tables import table

__all__ = ["wkv4", "wkv6", "wkv7"]

_MOST_LANES: int = _native.Wkv.MOST_LANES


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


class _Wkv(torch.autograd.Function):  # type: ignore[misc, unused-ignore]  # without torch a class of Any
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
        xs, before = [_ready(x) for x in operands], _ready(state)
        shared = [None if x is None else _ready(x) for x in (u, w)]
        core = _core(version, offsets, state.shape, xs[0].shape)
        y, final = torch.empty_like(xs[0]), torch.empty_like(before)
        kept = torch.empty(core.kept) if any(ctx.needs_input_grad) else None
        core.forward(xs, *shared, before, y, final, kept)
        if kept is not None:
            ctx.save_for_backward(offsets, *shared, kept, *xs)
        ctx.version, ctx.states = version, state.shape
        ctx.set_materialize_grads(False)
        return y, final

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        offsets, u, w, kept, *xs = ctx.saved_tensors
        dy = torch.zeros_like(xs[0]) if dy is None else _ready(dy)
        dfinal = None if dfinal is None else _ready(dfinal)
        dx = [torch.empty_like(x) for x in xs]
        du, dw = (None if x is None else torch.empty_like(x) for x in (u, w))
        dstate = torch.empty(ctx.states) if ctx.needs_input_grad[4] else None
        core = _core(ctx.version, offsets, ctx.states, dy.shape)
        core.backward([*xs, dy], u, w, kept, dfinal, dx, du, dw, dstate)
        return None, None, dw, du, dstate, *dx


def _core(version: int, offsets: Tensor, states: torch.Size, shape: torch.Size) -> Any:
    """The core's recurrence over rows of a shape."""
    heads, lanes = (1, shape[1]) if version == 4 else states[1:3]
    if version != 4 and lanes > _MOST_LANES:
        raise SettingsError(
            f"heads of {lanes} lanes: ROOKERY_WKV=native takes {_MOST_LANES} at most, ROOKERY_WKV=reference any number"
        )
    return _native.Wkv(table(), torch.get_num_threads(), offsets.contiguous(), shape[0], version, heads, lanes)


def _ready(x: Tensor) -> Tensor:
    """The tensor as the core takes it.  SettingsError where it cannot."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise SettingsError(f"ROOKERY_WKV=native takes float32 on a processor, not {x.dtype} on {x.device}")
    return x.detach().contiguous()
