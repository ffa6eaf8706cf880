"""
RWKV-5 "Eagle" (5.0, 5.1, 5.2): a matrix state per head with a constant decay.

Peng et al., "Eagle and Finch", arXiv:2404.05892.  The three differ by what the checkpoint holds: 5.0 has no gate,
5.0 and 5.1 one decay per head (repeated over its lanes when loaded), 5.2 one per lane.
The state `wkv` is (H, N, N): head, key lane, value lane.
"""

from __future__ import annotations

from typing import Any

from rookery.models.v4 import channel_mix

__all__ = ["channel_mix", "time_mix"]


def time_mix(o: Any, p: Any, x: Any, s: Any, v_first: Any) -> Any:
    """y_t = r (S + u k v^T);  S <- diag(w) S + k v^T;  w = e^(-e^decay)"""
    prev, s.att_x = o.shift(x, s.att_x)
    xk, xv, xr = (prev + (x - prev) * m for m in (p.time_mix_k, p.time_mix_v, p.time_mix_r))
    k, v, r = o.linear(xk, p.key), o.linear(xv, p.value), o.linear(xr, p.receptance)
    w = o.exp(-o.exp(p.time_decay))
    u = o.exp(p.time_first) if hasattr(p, "time_first") else p.time_faaaa  # the first preview stored the logarithm
    y, s.wkv = o.wkv6(r, w, k, v, u, s.wkv)
    y = o.group_norm(y, p.ln_x, p.heads, p.eps)
    if hasattr(p, "gate"):
        y = y * o.silu(o.linear(prev + (x - prev) * p.time_mix_g, p.gate))
    return o.linear(y, p.output), v_first
