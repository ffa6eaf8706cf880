"""
RWKV-7 "Goose": a generalised delta rule.  The state can forget a key and write it anew.

Peng et al., "RWKV-7 Goose with Expressive Dynamic State Evolution", arXiv:2503.14456.
The state `wkv` is (H, N, N): head, key lane, value lane (the paper's transposed, as in v5 and v6).
"""

from __future__ import annotations

from typing import Any

DECAY_SCALE = -0.6065306597126334  # -e^(-1/2): keeps the decay between 0.545 and 1


def time_mix(o: Any, p: Any, x: Any, s: Any, v_first: Any) -> Any:
    """S <- diag(w) S + b (a^T S) + k v^T with a = -kk, b = c kk * rate;  y = r S + (r k r_k) v"""
    prev, s.att_x = o.shift(x, s.att_x)
    d = prev - x
    xr, xw, xk, xv, xa, xg = (x + d * m for m in (p.x_r, p.x_w, p.x_k, p.x_v, p.x_a, p.x_g))
    r, k, v = o.linear(xr, p.receptance), o.linear(xk, p.key), o.linear(xv, p.value)
    w = o.exp(DECAY_SCALE * o.sigmoid(p.w0 + o.linear(o.tanh(o.linear(xw, p.w1.T)), p.w2.T)))
    rate = o.sigmoid(p.a0 + o.linear(o.linear(xa, p.a1.T), p.a2.T))  # the in-context learning rate
    g = o.linear(o.sigmoid(o.linear(xg, p.g1.T)), p.g2.T)
    if v_first is None:
        v_first = v
    else:
        v = v + (v_first - v) * o.sigmoid(p.v0 + o.linear(o.linear(xv, p.v1.T), p.v2.T))
    kk = o.l2norm(k * p.k_k, p.heads)  # from the key before it is scaled
    k = k * (1.0 + (rate - 1.0) * p.k_a)
    y, s.wkv = o.wkv7(r, w, k, v, -kk, _removal(kk * rate, w, p.removal), s.wkv)
    y = o.group_norm(y, p.ln_x, p.heads, p.eps) + o.head_sum(r * k * p.r_k, p.heads) * v
    return o.linear(y * g, p.output), v_first


def _removal(b: Any, w: Any, removal: str) -> Any:
    """c b: beyond 1, which the released models have, a write can turn the sign of what it finds (`Config.removal`)."""
    if removal == "1":
        return b
    return b * (w + 1.0 if removal == "1+w" else 2.0)


def channel_mix(o: Any, p: Any, x: Any, s: Any) -> Any:
    """y = W_v relu(W_k x_k)^2"""
    prev, s.ffn_x = o.shift(x, s.ffn_x)
    return o.linear(o.relu2(o.linear(x + (prev - x) * p.x_k, p.key)), p.value)
