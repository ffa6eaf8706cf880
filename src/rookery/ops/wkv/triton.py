"""
The recurrences on GPUs of NVIDIA and AMD, as Triton kernels: any float type outside, float32 states inside.

RWKV-7 runs in chunks on the matrix units (`chunked.py`), the others row after row (`recurrent.py`).  Only the operands
are kept for the way back; what else it needs is computed anew.

How exact products of float32 rows are is torch's own setting, `torch.set_float32_matmul_precision`: "highest", its
default, is float32; "high" is tf32 on NVIDIA (AMD's matrix units have float32); "medium" is bfloat16.  Rows in 16
bits are multiplied as with "high" at least.  States, decays and triangular solves are float32 whatever it says.

Triton itself is imported when a kernel is first wanted.  With TRITON_INTERPRET=1 in the environment by then the same
kernels run on processors: slow, for tests.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rookery.ops.wkv.chunks import chunks
from rookery.ops.wkv.launch import check, check_heads, edges, kernels, launch, precision

__all__ = ["wkv4", "wkv6", "wkv7"]

CHUNK = 16  # matrix units take no fewer rows, and the triangle costs the square of them
_PART = 32  # lanes of a program: parts of heads fill a GPU that segments and heads alone may not
_CHANNELS = 64  # of a program of RWKV-4
_SCRATCHES = 256  # programs of RWKV-6's way back, each with CHUNK states of its own: 64 MiB for heads of 64 lanes


def wkv4(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    check([k, v], state, state.shape[-1])
    return _Wkv4.apply(edges(offsets, len(k), len(state)), w, u, k, v, state)


def wkv6(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    check_heads([r, w, k, v], state)
    return _Wkv6.apply(edges(offsets, len(r), len(state)), r, w, k, v, u, state)


def wkv7(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    check_heads([r, w, k, v, a, b], state)
    return _Wkv7.apply(edges(offsets, len(r), len(state)), r, w, k, v, a, b, state)


class _Wkv4(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, offsets: tuple[int, ...], *operands: Tensor) -> tuple[Tensor, Tensor]:
        w, u, k, v, state = given = [x.contiguous() for x in operands]
        ctx.offsets = offsets
        ctx.save_for_backward(*given)
        ctx.set_materialize_grads(False)
        y, final = torch.empty_like(v), torch.empty_like(state)
        _each_channel("wkv4_forward", state, w, u, k, v, state, _edges(offsets, state), y, final)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        w, u, k, v, state = ctx.saved_tensors
        dy, dfinal = _given(dy, v), _given(dfinal, state)
        shares = _float(state, 2, len(state), k.shape[1])
        dk, dv, dstate = (torch.empty_like(x) for x in (k, v, state))
        where = (_edges(ctx.offsets, state), dy, dfinal, _float(state, len(k), 3, k.shape[1]))
        _each_channel("wkv4_backward", state, w, u, k, v, state, *where, *shares, dk, dv, dstate)
        dw, du = shares.sum(1)
        return None, dw.to(w.dtype), du.to(u.dtype), dk, dv, dstate


class _Wkv6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, offsets: tuple[int, ...], *operands: Tensor) -> tuple[Tensor, Tensor]:
        *rows, u, state = given = [x.contiguous() for x in operands]
        ctx.offsets = offsets
        ctx.save_for_backward(*given)
        ctx.set_materialize_grads(False)
        y, final = torch.empty_like(rows[3]), torch.empty_like(state)
        _Heads(offsets, state).each_segment("wkv6_forward", *rows, u, state, y, final, KEEP=False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        *rows, u, state = ctx.saved_tensors
        dy, dfinal = _given(dy, rows[3]), _given(dfinal, state)
        heads = _Heads(ctx.offsets, state)
        states = heads.states()
        heads.each_segment("wkv6_forward", *rows, u, state, dy, states, KEEP=True)
        dr, dw, dk, dv, dstate = (torch.empty_like(x) for x in (*rows, state))
        shares = _float(state, len(state), rows[0].shape[1])
        heads.each_item("wkv6_backward", *rows, u, dy, dfinal, states, dr, dw, dk, dv, shares, dstate)
        return None, dr, dw, dk, dv, shares.sum(0).reshape(u.shape).to(u.dtype), dstate


class _Wkv7(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, offsets: tuple[int, ...], *operands: Tensor) -> tuple[Tensor, Tensor]:
        *rows, state = given = [x.contiguous() for x in operands]
        ctx.offsets = offsets
        ctx.save_for_backward(*given)
        ctx.set_materialize_grads(False)
        heads = _Heads(offsets, state, precision(rows[0]))
        y, final = torch.empty_like(rows[3]), torch.empty_like(state)
        heads.each_segment("wkv7_forward", *rows, state, heads.factors(rows), y, final, KEEP=False)
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor | None, dfinal: Tensor | None) -> tuple[Tensor | None, ...]:
        *rows, state = ctx.saved_tensors
        r, w, k, v, a, b = rows
        dy, dfinal = _given(dy, v), _given(dfinal, state)
        heads = _Heads(ctx.offsets, state, precision(r))
        factors, states, dstates = heads.factors(rows), heads.states(), heads.states()
        u, dz = _float(state, *v.shape), _float(state, *v.shape)
        dr, dw, dk, dv, da, db, dstate = (torch.empty_like(x) for x in (*rows, state))
        heads.each_segment("wkv7_forward", *rows, state, factors, u, states, KEEP=True)
        heads.each_segment("wkv7_backward", r, w, k, a, b, dy, dfinal, factors, dz, dv, dstates, dstate)
        heads.each_chunk("wkv7_gradients", *rows, dy, u, dz, states, dstates, dr, dw, dk, da, db)
        return None, dr, dw, dk, dv, da, db, dstate


class _Heads:
    """Launches kernels over the chunks, heads and segments that states (segments, heads, N, N) belong to.

    Kernels take the tensors given, then where chunks and segments lie, then the number of heads.
    """

    def __init__(self, offsets: tuple[int, ...], state: Tensor, precision: str | None = None) -> None:
        self.module = kernels("recurrent" if precision is None else "chunked")
        self.state, self.chunks = state, chunks(offsets, CHUNK, state.device)
        self.heads, self.lanes = state.shape[1:3]
        self.exact = {} if precision is None else {"C": CHUNK, "PRECISION": precision}
        self.part = min(self.lanes, _PART)

    def factors(self, rows: list[Tensor]) -> Tensor:
        """The matrices X, ak, rb, rk of each chunk and head."""
        r, w, k, _, a, b = rows
        out = _float(self.state, len(self.chunks), self.heads, 4, CHUNK, CHUNK)
        given = (r, w, k, a, b, out, self.chunks.bounds, self.heads)
        programs = len(self.chunks) * self.heads
        launch(self.module, "wkv7_factors", programs, *given, N=self.lanes, C=CHUNK, E=self.part)
        return out

    def states(self) -> Tensor:
        """Room for a state of each chunk."""
        return _float(self.state, len(self.chunks), *self.state.shape[1:])

    def each_chunk(self, name: str, *given: Tensor) -> None:
        constants = {"N": self.lanes, "E": self.part, **self.exact}
        programs = len(self.chunks) * self.heads * (self.lanes // self.part)
        launch(self.module, name, programs, *given, self.chunks.bounds, self.heads, **constants)

    def each_segment(self, name: str, *given: Tensor, **flags: bool) -> None:
        where = (self.chunks.bounds, self.chunks.firsts, self.heads)
        constants = {"N": self.lanes, "E": self.part, **self.exact, **flags}
        programs = len(self.state) * self.heads * (self.lanes // self.part)
        launch(self.module, name, programs, *given, *where, **constants)

    def each_item(self, name: str, *given: Tensor) -> None:
        """Programs that share out segments x heads, each with a scratch."""
        items = len(self.state) * self.heads
        scratch = _float(self.state, min(items, _SCRATCHES), CHUNK, self.lanes, self.lanes)
        where = (scratch, self.chunks.bounds, self.chunks.firsts, self.heads, items)
        launch(self.module, name, len(scratch), *given, *where, N=self.lanes, C=CHUNK)


def _each_channel(name: str, state: Tensor, *given: Tensor) -> None:
    channels = state.shape[-1]
    programs = len(state) * -(channels // -_CHANNELS)
    launch(kernels("recurrent"), name, programs, *given, channels, E=_CHANNELS)


def _edges(offsets: tuple[int, ...], state: Tensor) -> Tensor:
    return chunks(offsets, CHUNK, state.device).edges


def _given(gradient: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if gradient is None else gradient.contiguous()


def _float(like: Tensor, *shape: int) -> Tensor:
    return like.new_empty(shape, dtype=torch.float32)
