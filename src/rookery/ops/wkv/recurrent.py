"""
The recurrences of RWKV-4, 5 and 6 row after row, as Triton kernels.  Importing this imports triton.

Their decays have no floor, so that dividing by products of them, as chunks do, may divide by zero.  A program holds the
state of one head (of some channels, for RWKV-4) in registers; on the way back it first computes the states before each
row anew, 16 rows at a time (RWKV-4: a whole segment), and never divides by a decay.

Names as in `chunked.py`; D is the number of channels, E those of a program.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rookery.ops.wkv.chunked import walk

__all__ = ["OPTIONS", "wkv4_backward", "wkv4_forward", "wkv6_backward", "wkv6_forward"]

OPTIONS = {
    "wkv4_forward": {"num_warps": 2, "num_stages": 1, "enable_fp_fusion": True},  # a channel for each thread
    "wkv4_backward": {"num_warps": 2, "num_stages": 1, "enable_fp_fusion": True},
    "wkv6_forward": {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True},
    "wkv6_backward": {"num_warps": 8, "num_stages": 1, "enable_fp_fusion": True},  # it holds M and G whole
}


@triton.jit
def _row(x, at):
    return tl.load(x + at).to(tl.float32)


@triton.jit
def wkv6_forward(
    r, w, k, v, u, state, y, states, bounds, firsts, heads, N: tl.constexpr, E: tl.constexpr, KEEP: tl.constexpr
):
    """y_t = r (M + u k^T v);  M <- diag(w) M + k^T v.  A program for each segment, head and E value lanes.

    y, states <- the rows' outputs and the final states.
    KEEP: no output;  states (chunks, heads, N, N) <- M as it enters each chunk.
    """
    segment, head, lanes, within = walk(heads, N, E)
    keys = head * N + tl.arange(0, N)
    values = head * N + lanes
    bonus = _row(u, keys)
    m = tl.load(state + (segment * heads + head) * N * N + within).to(tl.float32)
    for chunk in range(tl.load(firsts + segment), tl.load(firsts + segment + 1)):
        if KEEP:
            tl.store(states + (chunk * heads + head) * N * N + within, m)
        for row in range(tl.load(bounds + 2 * chunk), tl.load(bounds + 2 * chunk + 1)):
            at = row * heads * N
            written = _row(k, at + keys)[:, None] * _row(v, at + values)[None, :]
            if not KEEP:
                read = _row(r, at + keys)[:, None] * (m + bonus[:, None] * written)
                tl.store(y + at + values, tl.sum(read, 0))
            m = _row(w, at + keys)[:, None] * m + written
    if not KEEP:
        tl.store(states + (segment * heads + head) * N * N + within, m)


@triton.jit
def wkv6_states(w, k, v, m, begin, end, width, lanes, scratch, within, N: tl.constexpr):
    """scratch <- the state before each row of a chunk that m enters."""
    for row in range(begin, end):
        tl.store(scratch + (row - begin) * N * N + within, m)
        at = row * width + lanes
        m = _row(w, at)[:, None] * m + _row(k, at)[:, None] * _row(v, at)[None, :]


@triton.jit
def wkv6_backward(
    r, w, k, v, u, dy, dfinal, states, dr, dw, dk, dv, du, dstate, scratch, bounds, firsts, heads, items,
    N: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """The gradients.  Items are segments x heads; programs share them out, since each needs a scratch of C states.

    du (segments, heads * N) <- each segment's share.  The others have the shapes of what they are gradients of.
    """
    i = tl.arange(0, N)
    within = i[:, None] * N + i[None, :]
    program = tl.program_id(0).to(tl.int64)
    scratch += program * C * N * N
    for item in range(program, items, tl.num_programs(0)):
        segment, head = item // heads, item % heads
        lanes = head * N + i
        bonus = _row(u, lanes)
        dbonus = tl.zeros((N,), tl.float32)
        g = tl.load(dfinal + (segment * heads + head) * N * N + within).to(tl.float32)
        first, last = tl.load(firsts + segment), tl.load(firsts + segment + 1)
        for back in range(0, last - first):
            chunk = last - 1 - back
            begin, end = tl.load(bounds + 2 * chunk), tl.load(bounds + 2 * chunk + 1)
            m = tl.load(states + (chunk * heads + head) * N * N + within)
            wkv6_states(w, k, v, m, begin, end, heads * N, lanes, scratch, within, N)
            tl.debug_barrier()  # what one thread wrote another may read
            for step in range(0, end - begin):
                row = end - 1 - step
                at = row * heads * N + lanes
                rs, ws, ks, vs, dys = _row(r, at), _row(w, at), _row(k, at), _row(v, at), _row(dy, at)
                m = tl.load(scratch + (row - begin) * N * N + within)
                felt = tl.sum(vs * dys, 0)
                dbonus += rs * ks * felt
                tl.store(dr + at, tl.sum(m * dys[None, :], 1) + bonus * ks * felt)
                tl.store(dk + at, tl.sum(g * vs[None, :], 1) + bonus * rs * felt)
                tl.store(dv + at, tl.sum(g * ks[:, None], 0) + dys * tl.sum(rs * bonus * ks, 0))
                tl.store(dw + at, tl.sum(g * m, 1))
                g = ws[:, None] * g + rs[:, None] * dys[None, :]
            tl.debug_barrier()
        tl.store(du + segment * heads * N + lanes, dbonus)
        tl.store(dstate + (segment * heads + head) * N * N + within, g)


@triton.jit
def _channels(D, E: tl.constexpr):
    """Segment and channels of a program, and which of them there are."""
    parts = tl.cdiv(D, E)
    lanes = (tl.program_id(0) % parts) * E + tl.arange(0, E)
    return (tl.program_id(0) // parts).to(tl.int64), lanes, lanes < D


@triton.jit
def _column(x, at, inside):
    return tl.load(x + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def _weights(old, new):
    """Two logarithms' weights relative to the larger, and that."""
    top = tl.maximum(old, new)
    return tl.exp(old - top), tl.exp(new - top), top


@triton.jit
def wkv4_forward(w, u, k, v, state, edges, y, final, D, E: tl.constexpr):
    """RWKV-4's decayed average of v, weighted by exp k: numerator a and denominator b in units of exp p.

    A program for each segment and E channels.  state, final: (segments, 3, D): a, b, p.
    """
    segment, lanes, inside = _channels(D, E)
    decay, bonus = _column(w, lanes, inside), _column(u, lanes, inside)
    at = segment * 3 * D + lanes
    a, b, p = _column(state, at, inside), _column(state, at + D, inside), _column(state, at + 2 * D, inside)
    for row in range(tl.load(edges + segment), tl.load(edges + segment + 1)):
        ks, vs = _column(k, row * D + lanes, inside), _column(v, row * D + lanes, inside)
        old, new, _ = _weights(p, bonus + ks)
        tl.store(y + row * D + lanes, (old * a + new * vs) / (old * b + new), mask=inside)
        old, new, p = _weights(p + decay, ks)
        a, b = old * a + new * vs, old * b + new
    tl.store(final + at, a, mask=inside)
    tl.store(final + at + D, b, mask=inside)
    tl.store(final + at + 2 * D, p, mask=inside)


@triton.jit
def wkv4_states(w, k, v, state, begin, end, scratch, at, lanes, inside, D):
    """scratch (rows, 3, D) <- a, b, p before each row."""
    decay = _column(w, lanes, inside)
    a, b, p = _column(state, at, inside), _column(state, at + D, inside), _column(state, at + 2 * D, inside)
    for row in range(begin, end):
        kept = scratch + row * 3 * D + lanes
        tl.store(kept, a, mask=inside)
        tl.store(kept + D, b, mask=inside)
        tl.store(kept + 2 * D, p, mask=inside)
        ks, vs = _column(k, row * D + lanes, inside), _column(v, row * D + lanes, inside)
        old, new, p = _weights(p + decay, ks)
        a, b = old * a + new * vs, old * b + new


@triton.jit
def wkv4_backward(w, u, k, v, state, edges, dy, dfinal, scratch, dw, du, dk, dv, dstate, D, E: tl.constexpr):
    """The gradients; dw and du (segments, D) <- each segment's share.

    A state's unit p cancels in y; in the state itself it counts, and its gradient goes to the larger logarithm.
    """
    segment, lanes, inside = _channels(D, E)
    decay, bonus = _column(w, lanes, inside), _column(u, lanes, inside)
    begin, end = tl.load(edges + segment), tl.load(edges + segment + 1)
    at = segment * 3 * D + lanes
    wkv4_states(w, k, v, state, begin, end, scratch, at, lanes, inside, D)
    tl.debug_barrier()  # what one thread wrote another may read
    da, db, dp = _column(dfinal, at, inside), _column(dfinal, at + D, inside), _column(dfinal, at + 2 * D, inside)
    ddecay = tl.zeros((E,), tl.float32)
    dbonus = tl.zeros((E,), tl.float32)
    for step in range(0, end - begin):
        row = end - 1 - step
        kept, here = row * 3 * D + lanes, row * D + lanes
        a, b, p = (
            _column(scratch, kept, inside),
            _column(scratch, kept + D, inside),
            _column(scratch, kept + 2 * D, inside),
        )
        ks, vs, dys = _column(k, here, inside), _column(v, here, inside), _column(dy, here, inside)
        old, new, _ = _weights(p + decay, ks)
        dold, dnew = old * (da * a + db * b), new * (da * vs + db)
        dtop = dp - dold - dnew
        share = tl.where(p + decay > ks, 1.0, tl.where(p + decay == ks, 0.5, 0.0))
        dp, dks, dvs = dold + share * dtop, dnew + (1.0 - share) * dtop, new * da
        ddecay += dp
        da, db = old * da, old * db
        old, new, _ = _weights(p, bonus + ks)
        below = old * b + new
        above = dys / below
        mean = (old * a + new * vs) / below
        felt = new * above * (vs - mean)
        dbonus += felt
        tl.store(dk + here, dks + felt, mask=inside)
        tl.store(dv + here, dvs + new * above, mask=inside)
        dp += old * above * (a - mean * b)
        da, db = da + old * above, db - old * above * mean
    tl.store(dw + at - 2 * segment * D, ddecay, mask=inside)
    tl.store(du + at - 2 * segment * D, dbonus, mask=inside)
    tl.store(dstate + at, da, mask=inside)
    tl.store(dstate + at + D, db, mask=inside)
    tl.store(dstate + at + 2 * D, dp, mask=inside)
