"""
RWKV-4 "Dove": an attention-free Transformer whose memory is a decayed average per channel.

Peng et al., "RWKV: Reinventing RNNs for the Transformer Era", arXiv:2305.13048.
The state `wkv` is (3, C): numerator, denominator and their shared exponent.
"""

from __future__ import annotations

from typing import Any


def time_mix(o: Any, p: Any, x: Any, s: Any, v_first: Any) -> Any:
    """y_t = (A + e^(u+k) v) / (B + e^(u+k));  A, B decay by e^w and gain e^k v, e^k."""
    prev, s.att_x = o.shift(x, s.att_x)
    xk, xv, xr = (prev + (x - prev) * m for m in (p.time_mix_k, p.time_mix_v, p.time_mix_r))
    k, v, r = o.linear(xk, p.key), o.linear(xv, p.value), o.sigmoid(o.linear(xr, p.receptance))
    y, s.wkv = o.wkv4(-o.exp(p.time_decay), p.time_first, k, v, s.wkv)
    return o.linear(r * y, p.output), v_first


def channel_mix(o: Any, p: Any, x: Any, s: Any) -> Any:
    """y = sigmoid(W_r x_r) * W_v relu(W_k x_k)^2"""
    prev, s.ffn_x = o.shift(x, s.ffn_x)
    xk, xr = (prev + (x - prev) * m for m in (p.time_mix_k, p.time_mix_r))
    return o.sigmoid(o.linear(xr, p.receptance)) * o.linear(o.relu2(o.linear(xk, p.key)), p.value)
