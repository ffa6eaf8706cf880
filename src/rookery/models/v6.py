"""
RWKV-6 "Finch": RWKV-5 with decay and token shift that depend on the data.

Peng et al., "Eagle and Finch", arXiv:2404.05892.  The state `wkv` is (H, N, N): head, key lane, value lane.
"""

from __future__ import annotations

from typing import Any


def time_mix(o: Any, p: Any, x: Any, s: Any, v_first: Any) -> Any:
    """y_t = r (S + u k v^T);  S <- diag(w_t) S + k v^T;  w_t = e^(-e^(decay + low-rank(x_w)))"""
    prev, s.att_x = o.shift(x, s.att_x)
    d = prev - x
    base = x + d * p.time_maa_x
    m = p.time_maa_w2.shape[1]

    def mixed(i: int, bias: Any) -> Any:
        h = o.tanh(o.linear(base, p.time_maa_w1[:, i * m : (i + 1) * m].T))
        return x + d * (bias + o.linear(h, p.time_maa_w2[i].T))

    biases = (p.time_maa_w, p.time_maa_k, p.time_maa_v, p.time_maa_r, p.time_maa_g)
    xw, xk, xv, xr, xg = (mixed(i, bias) for i, bias in enumerate(biases))
    r, k, v = o.linear(xr, p.receptance), o.linear(xk, p.key), o.linear(xv, p.value)
    g = o.silu(o.linear(xg, p.gate))
    w = o.exp(-o.exp(p.time_decay + o.linear(o.tanh(o.linear(xw, p.time_decay_w1.T)), p.time_decay_w2.T)))
    y, s.wkv = o.wkv6(r, w, k, v, p.time_faaaa, s.wkv)
    return o.linear(o.group_norm(y, p.ln_x, p.heads, p.eps) * g, p.output), v_first


def channel_mix(o: Any, p: Any, x: Any, s: Any) -> Any:
    """y = sigmoid(W_r x_r) * W_v relu(W_k x_k)^2"""
    prev, s.ffn_x = o.shift(x, s.ffn_x)
    d = prev - x
    xk, xr = x + d * p.time_maa_k, x + d * p.time_maa_r
    return o.sigmoid(o.linear(xr, p.receptance)) * o.linear(o.relu2(o.linear(xk, p.key)), p.value)
