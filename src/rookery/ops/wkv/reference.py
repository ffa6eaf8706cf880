"""
The recurrences as their formulas, one row after another, under autograd: any device, any float type.

Slow; what the other backends are tested against, in float64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["wkv4", "wkv6", "wkv7"]


def wkv4(w: Tensor, u: Tensor, k: Tensor, v: Tensor, state: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    ys, finals = [], []
    for i, (begin, end) in enumerate(pairwise(offsets.tolist())):
        a, b, p = state[i]
        for t in range(begin, end):
            q = torch.maximum(p, u + k[t])
            old, new = torch.exp(p - q), torch.exp(u + k[t] - q)
            ys.append((old * a + new * v[t]) / (old * b + new))
            q = torch.maximum(p + w, k[t])
            old, new = torch.exp(p + w - q), torch.exp(k[t] - q)
            a, b, p = old * a + new * v[t], old * b + new, q
        finals.append(torch.stack([a, b, p]))
    return torch.stack(ys), torch.stack(finals)


def wkv6(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, u: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    heads = state.shape[1]
    r, w, k, v = (x.unflatten(-1, (heads, -1)) for x in (r, w, k, v))
    bonus = u.reshape(heads, -1, 1)
    ys, finals = [], []
    for i, (begin, end) in enumerate(pairwise(offsets.tolist())):
        s = state[i]
        for t in range(begin, end):
            kv = k[t][:, :, None] * v[t][:, None, :]
            ys.append(torch.einsum("hk,hkv->hv", r[t], s + bonus * kv))
            s = w[t][:, :, None] * s + kv
        finals.append(s)
    return torch.stack(ys).flatten(-2), torch.stack(finals)


def wkv7(
    r: Tensor, w: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor, offsets: Tensor
) -> tuple[Tensor, Tensor]:
    heads = state.shape[1]
    r, w, k, v, a, b = (x.unflatten(-1, (heads, -1)) for x in (r, w, k, v, a, b))
    ys, finals = [], []
    for i, (begin, end) in enumerate(pairwise(offsets.tolist())):
        s = state[i]
        for t in range(begin, end):
            read = torch.einsum("hk,hkv->hv", a[t], s)
            s = w[t][:, :, None] * s + b[t][:, :, None] * read[:, None, :] + k[t][:, :, None] * v[t][:, None, :]
            ys.append(torch.einsum("hk,hkv->hv", r[t], s))
        finals.append(s)
    return torch.stack(ys).flatten(-2), torch.stack(finals)
