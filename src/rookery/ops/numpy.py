"""
The oracle: every op as its formula, in plain numpy, in any precision.

Slow and obviously right.  `NumpyOps` is bound to one call: its tokens, the lengths of its segments, and the rows
whose logits are wanted.  State arguments carry a leading axis of segments.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["NumpyOps"]

Array = np.ndarray


class NumpyOps:
    """Eager ops over arrays of one float type."""

    def __init__(self, tokens: Array, lengths: list[int], wanted: Array) -> None:
        self.tokens = tokens
        self.wanted = wanted
        ends = np.cumsum(lengths)
        self.segments = [slice(int(e) - n, int(e)) for e, n in zip(ends, lengths, strict=True)]

    def embed(self, w: Array) -> Array:
        return w[self.tokens]

    def take(self, x: Array) -> Array:
        return x[self.wanted]

    def linear(self, x: Array, w: Array) -> Array:
        return x @ w.T

    exp = staticmethod(np.exp)
    tanh = staticmethod(np.tanh)

    def sigmoid(self, x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    def silu(self, x: Array) -> Array:
        return x * self.sigmoid(x)

    def relu2(self, x: Array) -> Array:
        return np.maximum(x, 0) ** 2

    def layer_norm(self, x: Array, n: Any) -> Array:
        return self.group_norm(x, n, 1, 1e-5)

    def group_norm(self, x: Array, n: Any, heads: int, eps: float) -> Array:
        y = x.reshape(len(x), heads, x.shape[-1] // heads)  # -1 would not do: no rows at all are wanted at times
        y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + eps)
        return y.reshape(x.shape) * n.weight + n.bias

    def l2norm(self, x: Array, heads: int) -> Array:
        y = x.reshape(len(x), heads, -1)
        return (y / np.maximum(np.linalg.norm(y, axis=-1, keepdims=True), 1e-12)).reshape(x.shape)

    def head_sum(self, x: Array, heads: int) -> Array:
        y = x.reshape(len(x), heads, -1)
        return np.broadcast_to(y.sum(-1, keepdims=True), y.shape).reshape(x.shape)

    def shift(self, x: Array, last: Array) -> tuple[Array, Array]:
        parts = [np.concatenate([last[i : i + 1], x[s][:-1]]) for i, s in enumerate(self.segments)]
        return np.concatenate(parts), np.stack([x[s.stop - 1] for s in self.segments])

    def wkv4(self, w: Array, u: Array, k: Array, v: Array, state: Array) -> tuple[Array, Array]:
        """State (segments, 3, C): a, b, p stand for the sums a e^p and b e^p, so that nothing overflows."""
        y, out = np.empty_like(v), state.copy()
        for i, segment in enumerate(self.segments):
            a, b, p = state[i]
            for t in range(segment.start, segment.stop):
                q = np.maximum(p, u + k[t])
                old, new = np.exp(p - q), np.exp(u + k[t] - q)
                y[t] = (old * a + new * v[t]) / (old * b + new)
                q = np.maximum(p + w, k[t])
                old, new = np.exp(p + w - q), np.exp(k[t] - q)
                a, b, p = old * a + new * v[t], old * b + new, q
            out[i] = a, b, p
        return y, out

    def wkv6(self, r: Array, w: Array, k: Array, v: Array, u: Array, state: Array) -> tuple[Array, Array]:
        heads = state.shape[1]
        r, w, k, v = (_split(z, heads, r.shape) for z in (r, w, k, v))
        bonus = u.reshape(heads, -1, 1)
        y, out = np.empty_like(r), state.copy()
        for i, segment in enumerate(self.segments):
            s = state[i]
            for t in range(segment.start, segment.stop):
                kv = k[t][:, :, None] * v[t][:, None, :]
                y[t] = np.einsum("hk,hkv->hv", r[t], s + bonus * kv)
                s = w[t][:, :, None] * s + kv
            out[i] = s
        return y.reshape(len(y), -1), out

    def wkv7(self, r: Array, w: Array, k: Array, v: Array, a: Array, b: Array, state: Array) -> tuple[Array, Array]:
        heads = state.shape[1]
        r, w, k, v, a, b = (_split(z, heads, r.shape) for z in (r, w, k, v, a, b))
        y, out = np.empty_like(r), state.copy()
        for i, segment in enumerate(self.segments):
            s = state[i]
            for t in range(segment.start, segment.stop):
                read = np.einsum("hk,hkv->hv", a[t], s)
                s = w[t][:, :, None] * s + b[t][:, :, None] * read[:, None, :] + k[t][:, :, None] * v[t][:, None, :]
                y[t] = np.einsum("hk,hkv->hv", r[t], s)
            out[i] = s
        return y.reshape(len(y), -1), out


def _split(x: Array, heads: int, like: tuple[int, ...]) -> Array:
    """Rows, or one row for all of them, as (rows, heads, lanes)."""
    return np.broadcast_to(x, like).reshape(like[0], heads, -1)
