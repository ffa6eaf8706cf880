"""
The torch executor: definitions run eagerly on torch tensors, so that autograd sees every op.

What is trained is by construction what is served: the same files of mathematics, the same ragged segments.  A packed
row of documents is several segments, a document longer than the memory several calls that hand their states on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from rookery.ops import wkv

__all__ = ["Adapted", "TorchOps"]


@dataclass(frozen=True, slots=True)
class Adapted:
    """A matrix and the low-rank change that is learnt beside it: W + scale B A, never formed.

    weight: (outputs, inputs).  a: (rank, inputs).  b: (outputs, rank).
    """

    weight: torch.Tensor
    a: torch.Tensor
    b: torch.Tensor
    scale: float

    @property
    def shape(self) -> torch.Size:
        return self.weight.shape


class TorchOps:
    """Eager ops over torch tensors of shape (rows, columns), bound to one call.

    tokens:  int64 (rows,), the segments one after another.
    lengths: rows of each segment.
    wanted:  int64, the rows whose logits are wanted; None for all.
    half:    bfloat16 or float16: what `linear` multiplies in; its results are of the type of x again.  Everything
             else, the WKV states above all, keeps the type of the parameters.
    """

    def __init__(
        self,
        tokens: torch.Tensor,
        lengths: Sequence[int],
        wanted: torch.Tensor | None = None,
        half: torch.dtype | None = None,
    ) -> None:
        self.tokens, self.wanted, self.half = tokens, wanted, half
        ends = torch.tensor(lengths, dtype=torch.int64).cumsum(0)
        self.offsets = torch.cat([ends.new_zeros(1), ends])  # on the processor: kernels read them before they start
        self._first = self.offsets[:-1].to(tokens.device)
        self._last = (ends - 1).to(tokens.device)

    def embed(self, w: torch.Tensor) -> torch.Tensor:
        return F.embedding(self.tokens, w)

    def take(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.wanted is None else x[self.wanted]

    def linear(self, x: torch.Tensor, w: torch.Tensor | Adapted) -> torch.Tensor:
        if isinstance(w, Adapted):
            return self.linear(x, w.weight) + w.scale * self.linear(self.linear(x, w.a), w.b)
        if self.half is None:
            return F.linear(x, w)
        return F.linear(x.to(self.half), w.to(self.half)).to(x.dtype)

    exp = staticmethod(torch.exp)
    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)
    silu = staticmethod(F.silu)

    def relu2(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x).square()

    def layer_norm(self, x: torch.Tensor, n: Any) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], n.weight, n.bias, 1e-5)

    def group_norm(self, x: torch.Tensor, n: Any, heads: int, eps: float) -> torch.Tensor:
        return F.group_norm(x, heads, n.weight, n.bias, eps)

    def l2norm(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        return F.normalize(x.unflatten(-1, (heads, -1)), dim=-1, eps=1e-12).flatten(-2)

    def head_sum(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        y = x.unflatten(-1, (heads, -1))
        return y.sum(-1, keepdim=True).expand_as(y).flatten(-2)

    def shift(self, x: torch.Tensor, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        moved = torch.cat([x[:1], x[:-1]])
        return moved.index_copy(0, self._first, last.to(x.dtype)), self.last(x)

    def last(self, x: torch.Tensor) -> torch.Tensor:
        """The last row of every segment."""
        return x[self._last]

    def wkv4(self, w: Any, u: Any, k: Any, v: Any, state: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return wkv.wkv4(w, u, k, v, state, self.offsets)

    def wkv6(self, r: Any, w: Any, k: Any, v: Any, u: Any, state: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return wkv.wkv6(r, w.expand_as(k), k, v, u, state, self.offsets)

    def wkv7(self, r: Any, w: Any, k: Any, v: Any, a: Any, b: Any, state: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return wkv.wkv7(r, w, k, v, a, b, state, self.offsets)
