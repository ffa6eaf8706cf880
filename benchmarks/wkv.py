"""
What the WKV recurrences cost in training: forward and backward on one thread, beside the same in plain torch.

    python benchmarks/wkv.py [--lanes 64] [--heads 4] [--rows 512] [--segments 1] [--repeat 7] [--versions 7,6,4]

native      the C++ core, rookery.ops.wkv.native
reference   the formula row by row under autograd, rookery.ops.wkv.reference
chunk C     RWKV-7 in chunks of C rows by batched matrix products, as GPUs like it: below; its gradients once by
            autograd and once by hand.  It is given log w; bringing rows into the order that its products need, and
            back, is part of it.

Contenders take turns; a figure is the least processor time of all turns, in microseconds for one row of one head
(RWKV-4: of 64 channels).  Ratios are to native.  Errors are relative to float64, the worst of outputs, final state and
gradients.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rookery import _native
from rookery.ops.wkv import native, reference

Contender = Callable[[], tuple[tuple[Tensor, ...], Sequence[Tensor]]]  # outputs, and what they depend on


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    print(f"{_processor()}; kernels {_native.kernel_tables()[0]}; torch {torch.__version__}; one thread; {options}")
    for version in options.versions:
        operands, offsets = _operands(version, options)
        contenders = _contenders(version, operands, offsets, options.chunks)
        units = options.segments * options.rows * options.heads * (1 if version != 4 else options.lanes / 64)
        times = _race(contenders, options.repeat)
        heading = "".join(f"{word:>10}" for word in ("forward", "backward", "both", "ratio", "error"))
        print(f"\n{f'RWKV-{version}, {options.lanes} lanes':24}{heading}")
        for name, (there, back) in times.items():
            both, ours = there + back, sum(times["native"])
            print(
                f"{name:24}{there / units * 1e6:10.3f}{back / units * 1e6:10.3f}{both / units * 1e6:10.3f}"
                f"{both / ours:10.2f}{_error(contenders[name], version, operands, offsets):10.0e}",
                flush=True,
            )


def _options() -> argparse.Namespace:
    def numbers(text: str) -> list[int]:
        return [int(x) for x in text.split(",")]

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--rows", type=int, default=512, help="of a segment; a whole number of chunks")
    parser.add_argument("--segments", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--versions", type=numbers, default=[7, 6, 4])
    parser.add_argument("--chunks", type=numbers, default=[16, 32, 64])
    return parser.parse_args()


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _operands(version: int, options: argparse.Namespace) -> tuple[dict[str, Tensor], Tensor]:
    """Operands in float32, in the order of the backends' parameters; offsets."""
    torch.manual_seed(0)
    rows, width = options.segments * options.rows, options.heads * options.lanes
    offsets = torch.arange(options.segments + 1) * options.rows
    state = torch.randn(options.segments, options.heads, options.lanes, options.lanes)
    r, k, v, z, keys = (torch.randn(rows, width) for _ in range(5))
    u = torch.randn(width)
    if version == 4:
        state = torch.rand(options.segments, 3, width) + 0.5
        return {"w": -torch.exp(u - 2), "u": u, "k": k, "v": v, "state": state}, offsets
    if version == 6:
        return {"r": r, "w": torch.exp(-torch.exp(z - 2)), "k": k, "v": v, "u": u, "state": state}, offsets
    keys = torch.nn.functional.normalize(keys.unflatten(-1, (options.heads, -1)), dim=-1).flatten(-2)
    w = torch.exp(-0.606531 * torch.sigmoid(z))
    rate = torch.sigmoid(torch.randn(rows, width))
    return {"r": r, "w": w, "k": k, "v": v, "a": -keys, "b": keys * rate, "state": state}, offsets


def _contenders(
    version: int, operands: dict[str, Tensor], offsets: Tensor, chunks: Sequence[int]
) -> dict[str, Contender]:
    def rowwise(backend: Any) -> Contender:
        leaves = [x.clone().requires_grad_() for x in operands.values()]
        return lambda: (getattr(backend, f"wkv{version}")(*leaves, offsets), leaves)

    found: dict[str, Contender] = {"native": rowwise(native), "reference": rowwise(reference)}
    if version == 7:
        for chunk in chunks:
            found[f"chunk {chunk} by autograd"] = _chunkwise(operands, len(offsets) - 1, partial(forward, chunk))
            found[f"chunk {chunk} by hand"] = _chunkwise(operands, len(offsets) - 1, partial(_Chunked.apply, chunk))
    return found


def _chunkwise(operands: dict[str, Tensor], segments: int, function: Callable[..., Sequence[Tensor]]) -> Contender:
    leaves = [(x.log() if name == "w" else x.clone()).requires_grad_() for name, x in operands.items()]
    heads, lanes = leaves[-1].shape[1:3]

    def run() -> tuple[tuple[Tensor, ...], Sequence[Tensor]]:
        y, state, *_ = function(*(_by_heads(x, segments, heads) for x in leaves))
        y = y.view(segments, heads, -1, lanes).transpose(1, 2).reshape(-1, heads * lanes)
        return (y, state.unflatten(0, (segments, heads))), leaves

    return run


def _by_heads(x: Tensor, segments: int, heads: int) -> Tensor:
    """(segments x heads, rows, lanes); of states: (segments x heads, lanes, lanes)."""
    if x.dim() == 4:
        return x.flatten(0, 1)
    return x.view(segments, -1, heads, x.shape[1] // heads).transpose(1, 2).flatten(0, 1)


def _race(contenders: dict[str, Contender], repeat: int) -> dict[str, tuple[float, float]]:
    """The least times, forward and backward."""
    best = dict.fromkeys(contenders, (float("inf"), float("inf")))
    gradients: dict[str, Tensor] = {}
    for _ in range(repeat):
        for name, contender in contenders.items():
            start = time.thread_time()
            (y, *_), leaves = contender()
            middle = time.thread_time()
            gradient = gradients.setdefault(name, torch.ones_like(y))
            begun = time.thread_time()
            torch.autograd.grad(y, leaves, gradient)
            there, back = middle - start, time.thread_time() - begun
            best[name] = min(best[name][0], there), min(best[name][1], back)
    return best


def _error(contender: Contender, version: int, operands: dict[str, Tensor], offsets: Tensor) -> float:
    """The worst relative error of outputs, final state and gradients, in float64's eyes."""
    exact = [x.double().requires_grad_() for x in operands.values()]
    outputs, leaves = contender()
    right = getattr(reference, f"wkv{version}")(*exact, offsets)
    weights = [torch.randn_like(x).float().double() for x in right]
    wanted = [*right, *torch.autograd.grad(right, exact, weights)]
    if version == 7 and leaves[1].min() < 0:  # log w
        wanted[3] = wanted[3] * exact[1]
    got = [*outputs, *torch.autograd.grad(outputs, leaves, [x.float() for x in weights])]
    return max(float((x.detach() - y.detach()).norm() / y.detach().norm()) for x, y in zip(got, wanted, strict=True))


# ---------------------------------------------------------------- RWKV-7 in chunks
#
# S is (key lane, value lane); rows of one chunk below one another; g is the sum of log w up to a row, G over the chunk.
#
#   A = a e^{g - log w}   R = r e^g   K = k e^-g   B = b e^-g   K^ = K e^G   B^ = B e^G
#   U = (1 - tril(A B', -1))^-1 (A S + tril(A K', -1) V)
#   Y = R S + tril(R B') U + tril(R K') V             S <- e^G S + B^' U + K^' V
#
# All that does not depend on the state is done for all chunks at once, and so are outputs and gradients.


def _scaled(rows: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """(batch, chunks, 2 chunk, lanes): A above R, B above K; the factors e^g, e^{g - log w}, e^-g, e^G."""
    r, log_w, k, _, a, b = rows
    g = log_w.cumsum(-2)
    up, before, down, whole = g.exp(), (g - log_w).exp(), (-g).exp(), g[..., -1:, :].exp()
    return torch.cat([a * before, r * up], -2), torch.cat([b * down, k * down], -2), up, before, down, whole


def forward(chunk: int, *operands: Tensor) -> tuple[Tensor, ...]:
    """Outputs, final state, and what the way back needs.  operands: r, log w, k, v, a, b, state, by heads."""
    *rows, state = operands
    rows = [x.unflatten(1, (-1, chunk)) for x in rows]
    v, lanes = rows[3], state.shape[-1]
    above, below, up, before, down, whole = _scaled(rows)
    products = above @ below.mT
    ab, ak = products[..., :chunk, :chunk].tril(-1), products[..., :chunk, chunk:].tril(-1)
    rb, rk = products[..., chunk:, :chunk].tril(), products[..., chunk:, chunk:].tril()
    inner = torch.eye(chunk, dtype=ab.dtype) - ab
    right = torch.cat([above[..., :chunk, :], ak @ v], -1)
    solved = torch.linalg.solve_triangular(inner, right, upper=False, unitriangular=True)
    lift, fresh = solved[..., :lanes], solved[..., lanes:]
    ends = below * whole
    ends_b, added, scale = ends[..., :chunk, :].mT, ends[..., chunk:, :].mT @ v, whole.mT
    states, us = [], []
    for i in range(v.shape[1]):
        states.append(state)
        u = torch.baddbmm(fresh[:, i], lift[:, i], state)
        state = torch.baddbmm(torch.addcmul(added[:, i], scale[:, i], state), ends_b[:, i], u)
        us.append(u)
    s, u = torch.stack(states, 1), torch.stack(us, 1)
    y = above[..., chunk:, :] @ s + torch.cat([rb, rk], -1) @ torch.cat([u, v], -2)
    return y.flatten(1, 2), state, s, u, above, below, ak, rb, rk, inner, lift, ends, up, before, down, whole


class _Chunked(torch.autograd.Function):
    """The same with gradients by hand, all chunks at once but for the gradient of the state."""

    @staticmethod
    def forward(ctx: Any, chunk: int, *operands: Tensor) -> tuple[Tensor, Tensor]:
        y, state, *kept = forward(chunk, *operands)
        ctx.chunk = chunk
        ctx.save_for_backward(*operands[:6], state, *kept)
        return y, state

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, dstate: Tensor) -> tuple[Tensor | None, ...]:
        *rows, last, s, u, above, below, ak, rb, rk, inner, lift, ends, up, before, down, whole = ctx.saved_tensors
        n = ctx.chunk
        r, _, k, v, a, b = (x.unflatten(1, (-1, n)) for x in rows)
        dy = dy.unflatten(1, (-1, n))
        read, scale = above[..., n:, :].mT @ dy, whole.mT
        ds, du, dstate = _states_back(dstate, read, scale, rb.mT @ dy, lift, ends[..., :n, :])
        dz = torch.linalg.solve_triangular(inner.mT, du, upper=True, unitriangular=True)
        dv = rk.mT @ dy + ends[..., n:, :] @ ds + ak.mT @ dz
        lower = torch.ones(n, n)
        mask = torch.cat([lower.tril(-1).repeat(1, 2), lower.tril().repeat(1, 2)])
        outer = mask * (torch.cat([dz, dy], -2) @ torch.cat([u, v], -2).mT)
        d_above = torch.cat([dz, dy], -2) @ s.mT + outer @ below
        d_ends = torch.cat([u, v], -2) @ ds.mT
        d_below = outer.mT @ above + d_ends * whole
        da, dr = d_above[..., :n, :] * before, d_above[..., n:, :] * up
        db, dk = d_below[..., :n, :] * down, d_below[..., n:, :] * down
        here, earlier = r * dr - k * dk - b * db, a * da
        after = torch.cat([s[:, 1:], last[:, None]], 1)
        total = (after * ds).sum(-1)[..., None, :]
        suffix = (here + earlier).flip(-2).cumsum(-2).flip(-2)
        dlog = suffix - earlier + total
        return None, *(x.flatten(1, 2) for x in (dr, dlog, dk, dv, da, db)), dstate


def _states_back(
    ds: Tensor, read: Tensor, scale: Tensor, du: Tensor, lift: Tensor, ends: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of every chunk's last state and of U, and of the first state."""
    states, us = [], []
    for i in reversed(range(read.shape[1])):
        states.append(ds)
        us.append(torch.baddbmm(du[:, i], ends[:, i], ds))
        ds = torch.baddbmm(torch.addcmul(read[:, i], scale[:, i], ds), lift[:, i].mT, us[-1])
    return torch.stack(states[::-1], 1), torch.stack(us[::-1], 1), ds


if __name__ == "__main__":
    main()
