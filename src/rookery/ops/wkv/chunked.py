"""
RWKV-7's recurrence in chunks of C rows, as Triton kernels.  Importing this imports triton.

One head, one chunk; R, A, B, K, V have its rows, M (key lanes x value lanes) is the state that enters.  P_t is the
product of the decays of the rows up to and including t, P the product of all of them.

    R' = R * P_t    A' = A * P_(t-1)    B' = B / P_t    K' = K / P_t
    ab = A' B'^T and ak = A' K'^T below the diagonal;  rb = R' B'^T and rk = R' K'^T on it and below
    U  = X (A' M + ak V)  with  X = (I - ab)^-1
    Y  = R' M + rb U + rk V
    M <- diag(P) (M + B'^T U + K'^T V)

and back, G being the gradient of the state that leaves:

    dU = rb^T dY + P B' G          dZ = X^T dU          dV = rk^T dY + P K' G + ak^T dZ
    G <- diag(P) G + R'^T dY + A'^T dZ

What a sequence forces to be done in order is the two walks over M and G, and these part by value lanes.  The factors
before them are independent of each other, and so are the gradients after them, which part by key lanes.

- The products of decays are formed from the decays themselves, never as exp of a sum of logarithms: a decay that is an
  ulp below 1, a memory of millions of rows, stays exactly that.  RWKV-7's decays are at least 0.545, so 1 / P_t is at
  most 1.6e4 for 16 rows and 2.7e8 for 32.  An operator free to choose smaller ones has room down to 0.005 at 16 rows.
- X comes from forward substitution.  The product (I + ab)(I + ab^2)(I + ab^4)... is the same on paper; where a key
  repeats its powers hold binomials that must cancel, and nothing is left of the result.
- Factors, states, substitution and the products with 1 / P_t are float32.  PRECISION is for the others, whose operands
  are of the inputs' size: "ieee" is float32, "tf32" tl.dot's; "bf16" rounds the operands; "rounded" is "bf16" for the
  interpreter, whose tl.dot does not know the type.
- Masks select; they never multiply: above the diagonal a factor may overflow, and infinity times zero is not zero.

Names: `bounds` int64 (chunks, 2), a chunk's first row and the row after its last; `firsts` int64 (segments + 1,), a
segment's first chunk; `heads` their number; N lanes of a head; C rows of a chunk; E lanes of a part of a head: products
of float32 without matrix units hold all that they sum over in registers.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["OPTIONS", "walk", "wkv7_backward", "wkv7_factors", "wkv7_forward", "wkv7_gradients"]

# Said in full, since triton's defaults change: fusing a product and a sum rounds once instead of twice.  With four
# warps and heads of 64 lanes at most 136 bytes of a thread's registers spill (sm_90, as compiled); with two, more.
# What more stages, which fetch the next chunk while this one is computed, are worth was not measured.
OPTIONS = {
    "wkv7_factors": {"num_warps": 2, "num_stages": 1, "enable_fp_fusion": True},  # its results are 16 x 16
    "wkv7_forward": {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True},
    "wkv7_backward": {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True},
    "wkv7_gradients": {"num_warps": 4, "num_stages": 1, "enable_fp_fusion": True},
}


@triton.jit
def _product(x, y, PRECISION: tl.constexpr):
    """x y for operands of the inputs' size."""
    if PRECISION == "bf16":
        return tl.dot(x.to(tl.bfloat16), y.to(tl.bfloat16))
    elif PRECISION == "rounded":
        return tl.dot(x.to(tl.bfloat16).to(tl.float32), y.to(tl.bfloat16).to(tl.float32), input_precision="ieee")
    else:
        return tl.dot(x, y, input_precision=PRECISION)


@triton.jit
def _exact(x, y):
    """x y in float32."""
    return tl.dot(x, y, input_precision="ieee")


@triton.jit
def wkv7_places(chunk, head, lanes, bounds, heads, N: tl.constexpr, C: tl.constexpr):
    """Where a chunk's rows lie in a tensor (rows, heads * N), and which of them there are."""
    rows = tl.load(bounds + 2 * chunk) + tl.arange(0, C)
    at = (rows[:, None] * heads + head) * N + lanes[None, :]
    return at, (rows < tl.load(bounds + 2 * chunk + 1))[:, None]


@triton.jit
def _read(x, at, inside):
    return tl.load(x + at, mask=inside, other=0.0).to(tl.float32)


@triton.jit
def wkv7_scaled(r, w, k, a, b, at, inside, C: tl.constexpr):
    """R', A', B', K' of a chunk, and w, P_t, P.  A row that is not there is zero and decays nothing."""
    w = tl.load(w + at, mask=inside, other=1.0).to(tl.float32)
    through = tl.cumprod(w, 0)
    last = tl.arange(0, C)[:, None] == C - 1
    whole = tl.sum(tl.where(last, through, 0.0), 0)
    scaled_r = _read(r, at, inside) * through
    scaled_a = _read(a, at, inside) * (through / w)
    scaled_b = _read(b, at, inside) / through
    scaled_k = _read(k, at, inside) / through
    return scaled_r, scaled_a, scaled_b, scaled_k, w, through, whole


@triton.jit
def _triangles(ab, ak, rb, rk, C: tl.constexpr):
    """A reader sees what was written before it; the output of a row what the row itself wrote, too."""
    i = tl.arange(0, C)
    below, upto = i[:, None] > i[None, :], i[:, None] >= i[None, :]
    return tl.where(below, ab, 0.0), tl.where(below, ak, 0.0), tl.where(upto, rb, 0.0), tl.where(upto, rk, 0.0)


@triton.jit
def _inverse(x, C: tl.constexpr):
    """(I - x)^-1 of x below the diagonal, row by row from the first."""
    i = tl.arange(0, C)
    found = (i[:, None] == i[None, :]).to(tl.float32)
    across = tl.trans(x)
    for row in range(1, C):
        weights = tl.sum(tl.where(i[None, :] == row, across, 0.0), 1)  # x[row, :], zero from the diagonal on
        found += tl.where(i[:, None] == row, tl.sum(weights[:, None] * found, 0)[None, :], 0.0)
    return found


@triton.jit
def _factor(factors, place, which: tl.constexpr, C: tl.constexpr):
    """Where one of a chunk's four matrices lies: X, ak, rb, rk."""
    i = tl.arange(0, C)
    return factors + ((place * 4 + which) * C + i[:, None]) * C + i[None, :]


@triton.jit
def wkv7_factors(r, w, k, a, b, factors, bounds, heads, N: tl.constexpr, C: tl.constexpr, E: tl.constexpr):
    """factors (chunks, heads, 4, C, C), float32 <- X, ak, rb, rk.

    A program for each chunk and head, E lanes at a time.
    """
    place = tl.program_id(0).to(tl.int64)
    ab = tl.zeros((C, C), tl.float32)
    ak, rb, rk = ab, ab, ab
    for part in range(0, N, E):
        at, inside = wkv7_places(place // heads, place % heads, part + tl.arange(0, E), bounds, heads, N, C)
        rs, az, bs, ks, _, _, _ = wkv7_scaled(r, w, k, a, b, at, inside, C)
        bs, ks = tl.trans(bs), tl.trans(ks)
        ab += _exact(az, bs)
        ak += _exact(az, ks)
        rb += _exact(rs, bs)
        rk += _exact(rs, ks)
    ab, ak, rb, rk = _triangles(ab, ak, rb, rk, C)
    tl.store(_factor(factors, place, 0, C), _inverse(ab, C))
    tl.store(_factor(factors, place, 1, C), ak)
    tl.store(_factor(factors, place, 2, C), rb)
    tl.store(_factor(factors, place, 3, C), rk)


@triton.jit
def walk(heads, N: tl.constexpr, E: tl.constexpr):
    """Segment, head and value lanes of a program that walks over a segment, and where its part of a state lies."""
    program = tl.program_id(0).to(tl.int64)
    lanes = tl.arange(0, E) + (program % (N // E)) * E
    place = program // (N // E)
    within = tl.arange(0, N)[:, None] * N + lanes[None, :]
    return place // heads, place % heads, lanes, within


@triton.jit
def wkv7_forward(
    r, w, k, v, a, b, state, factors, out, states, bounds, firsts, heads,
    N: tl.constexpr, C: tl.constexpr, E: tl.constexpr, KEEP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The walk over M.  A program for each segment, head and E value lanes.

    out (rows, heads * N) <- Y;  states (segments, heads, N, N) <- the final states.
    KEEP, for the way back: out <- U;  states (chunks, heads, N, N) <- M as it enters each chunk.
    """
    segment, head, lanes, within = walk(heads, N, E)
    m = tl.load(state + (segment * heads + head) * N * N + within).to(tl.float32)
    for chunk in range(tl.load(firsts + segment), tl.load(firsts + segment + 1)):
        place = chunk * heads + head
        if KEEP:
            tl.store(states + place * N * N + within, m)
        at, inside = wkv7_places(chunk, head, tl.arange(0, N), bounds, heads, N, C)
        rs, az, bs, ks, _, _, whole = wkv7_scaled(r, w, k, a, b, at, inside, C)
        at, inside = wkv7_places(chunk, head, lanes, bounds, heads, N, C)
        vs = _read(v, at, inside)
        z = _product(az, m, PRECISION) + _product(tl.load(_factor(factors, place, 1, C)), vs, PRECISION)
        u = _exact(tl.load(_factor(factors, place, 0, C)), z)
        if KEEP:
            tl.store(out + at, u, mask=inside)
        else:
            y = _product(rs, m, PRECISION) + _product(tl.load(_factor(factors, place, 2, C)), u, PRECISION)
            y += _product(tl.load(_factor(factors, place, 3, C)), vs, PRECISION)
            tl.store(out + at, y, mask=inside)
        grown = _product(tl.trans(bs * whole[None, :]), u, PRECISION)
        grown += _product(tl.trans(ks * whole[None, :]), vs, PRECISION)
        m = m * whole[:, None] + grown
    if not KEEP:
        tl.store(states + (segment * heads + head) * N * N + within, m)


@triton.jit
def wkv7_backward(
    r, w, k, a, b, dy, dfinal, factors, dz, dv, dstates, dstate, bounds, firsts, heads,
    N: tl.constexpr, C: tl.constexpr, E: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The walk over G, from the last chunk to the first.  A program for each segment, head and E value lanes.

    dz float32, dv (rows, heads * N) <- dZ, dV;  dstates (chunks, heads, N, N) <- G as it leaves each chunk;
    dstate (segments, heads, N, N) <- the gradient of the initial states.
    """
    segment, head, lanes, within = walk(heads, N, E)
    g = tl.load(dfinal + (segment * heads + head) * N * N + within).to(tl.float32)
    first, end = tl.load(firsts + segment), tl.load(firsts + segment + 1)
    for back in range(0, end - first):
        chunk = end - 1 - back
        place = chunk * heads + head
        tl.store(dstates + place * N * N + within, g)
        at, inside = wkv7_places(chunk, head, tl.arange(0, N), bounds, heads, N, C)
        rs, az, bs, ks, _, _, whole = wkv7_scaled(r, w, k, a, b, at, inside, C)
        at, inside = wkv7_places(chunk, head, lanes, bounds, heads, N, C)
        dys = _read(dy, at, inside)
        du = _product(tl.trans(tl.load(_factor(factors, place, 2, C))), dys, PRECISION)
        du += _product(bs * whole[None, :], g, PRECISION)
        dzs = _exact(tl.trans(tl.load(_factor(factors, place, 0, C))), du)
        dvs = _product(tl.trans(tl.load(_factor(factors, place, 3, C))), dys, PRECISION)
        dvs += _product(ks * whole[None, :], g, PRECISION)
        dvs += _product(tl.trans(tl.load(_factor(factors, place, 1, C))), dzs, PRECISION)
        tl.store(dz + at, dzs, mask=inside)
        tl.store(dv + at, dvs, mask=inside)
        g = g * whole[:, None] + _product(tl.trans(rs), dys, PRECISION) + _product(tl.trans(az), dzs, PRECISION)
    tl.store(dstate + (segment * heads + head) * N * N + within, g)


@triton.jit
def _against(x, y, PRECISION: tl.constexpr):
    """x y^T for operands of the inputs' size."""
    return _product(x, tl.trans(y), PRECISION)


@triton.jit
def wkv7_gradients(
    r, w, k, v, a, b, dy, u, dz, states, dstates, dr, dw, dk, da, db, bounds, heads,
    N: tl.constexpr, C: tl.constexpr, E: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """dr, dw, dk, da, db (rows, heads * N).  A program for each chunk, head and E key lanes; E value lanes at a time.

    The gradient of log w_j is what passes through row j: pairs of a reader at or after j (R' dR') or after it (A' dA')
    and a writer before it, the state that entered and the state that leaves.  Sums to the chunk's end of readers less
    writers leave those pairs; the readers of M and the writers of the state that leaves are summed without cancelling.
    """
    program = tl.program_id(0).to(tl.int64)
    place, i = program // (N // E), tl.arange(0, C)
    chunk, head = place // heads, place % heads
    keys = (program % (N // E)) * E + tl.arange(0, E)
    dab = tl.zeros((C, C), tl.float32)
    dak, drb, drk = dab, dab, dab
    dr_m = tl.zeros((C, E), tl.float32)
    da_m, db_g, dk_g = dr_m, dr_m, dr_m
    kept = tl.zeros((E,), tl.float32)
    for part in range(0, N, E):
        lanes = part + tl.arange(0, E)
        at, inside = wkv7_places(chunk, head, lanes, bounds, heads, N, C)
        within = place * N * N + keys[:, None] * N + lanes[None, :]
        m, g = tl.load(states + within), tl.load(dstates + within)
        kept += tl.sum(m * g, 1)
        us, vs, dys, dzs = _read(u, at, inside), _read(v, at, inside), _read(dy, at, inside), _read(dz, at, inside)
        dr_m += _against(dys, m, PRECISION)
        da_m += _against(dzs, m, PRECISION)
        db_g += _against(us, g, PRECISION)
        dk_g += _against(vs, g, PRECISION)
        dab += _against(dzs, us, PRECISION)
        dak += _against(dzs, vs, PRECISION)
        drb += _against(dys, us, PRECISION)
        drk += _against(dys, vs, PRECISION)
    dab, dak, drb, drk = _triangles(dab, dak, drb, drk, C)
    at, inside = wkv7_places(chunk, head, keys, bounds, heads, N, C)
    rs, az, bs, ks, ws, through, whole = wkv7_scaled(r, w, k, a, b, at, inside, C)
    drs = dr_m + _exact(drb, bs) + _exact(drk, ks)
    das = da_m + _exact(dab, bs) + _exact(dak, ks)
    dbs = _exact(tl.trans(dab), az) + _exact(tl.trans(drb), rs)
    dks = _exact(tl.trans(dak), az) + _exact(tl.trans(drk), rs)
    tl.store(dr + at, drs * through, mask=inside)
    tl.store(da + at, das * (through / ws), mask=inside)
    tl.store(db + at, (dbs + db_g * whole[None, :]) / through, mask=inside)
    tl.store(dk + at, (dks + dk_g * whole[None, :]) / through, mask=inside)
    here = rs * drs - bs * dbs - ks * dks
    leaves = (bs * db_g + ks * dk_g) * whole[None, :]
    dlog = here + _exact((i[:, None] < i[None, :]).to(tl.float32), here + az * das)
    dlog += _exact((i[:, None] > i[None, :]).to(tl.float32), leaves) + (kept * whole)[None, :]
    tl.store(dw + at, dlog / ws, mask=inside)
