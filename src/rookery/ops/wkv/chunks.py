"""How ragged segments fall into chunks of rows, which is all that kernels need to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

__all__ = ["Chunks", "chunks"]


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks of segments, in order; a chunk lies in one segment, and only a segment's last may be short.

    bounds: int64 (chunks, 2), a chunk's first row and the row after its last.
    firsts: int64 (segments + 1,), a segment's first chunk.
    edges:  int64 (segments + 1,), a segment's first row.
    All lie where the kernels run.
    """

    bounds: torch.Tensor
    firsts: torch.Tensor
    edges: torch.Tensor

    def __len__(self) -> int:
        return len(self.bounds)

    @property
    def segments(self) -> int:
        return len(self.firsts) - 1


@lru_cache(maxsize=16)  # every layer of a model asks for the same ones, and asks again on the way back
def chunks(offsets: tuple[int, ...], rows: int, device: torch.device) -> Chunks:
    """Chunks of at most `rows` rows for segments that begin and end at offsets."""
    edges = torch.tensor(offsets, dtype=torch.int64)
    counts = -(edges.diff() // -rows)
    firsts = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    segment = torch.repeat_interleave(counts)
    begins = edges[segment] + rows * (torch.arange(len(segment)) - firsts[segment])
    bounds = torch.stack([begins, torch.minimum(begins + rows, edges[segment + 1])], 1)
    return Chunks(bounds.to(device), firsts.to(device), edges.to(device))
