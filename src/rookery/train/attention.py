"""Causal attention over ragged segments, with rotary positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["Past", "Reading"]

BASE = 10000.0  # of the wavelengths of rotary positions (Su et al., arXiv:2104.09864)


@dataclass(frozen=True, slots=True)
class Past:
    """Keys, already rotated, and values (rows, heads, lanes) of all that segments of these lengths have read."""

    keys: torch.Tensor
    values: torch.Tensor
    lengths: list[int]


class Reading:
    """What all blocks share in one call: who may look at whom, and how positions turn keys and queries.

    lengths:   rows of each segment in this call.  before: rows it has read already.
    like:      a tensor of the device and type of the rows.
    half:      what attention is computed in; None for that type.
    """

    def __init__(
        self, lengths: list[int], before: list[int], head_size: int, like: torch.Tensor, half: torch.dtype | None
    ) -> None:
        self.lengths, self.head_size, self.half = list(lengths), head_size, half
        self.groups, self.place = _groups(self.lengths, like.device)
        positions = torch.cat(
            [torch.arange(b, b + n) for n, b in zip(lengths, before, strict=True)] or [torch.zeros(0)]
        )
        turns = positions[:, None].double() * BASE ** (-torch.arange(0, head_size, 2).double() / head_size)
        self.cos, self.sin = (f(turns)[:, None].to(like.device, like.dtype) for f in (torch.cos, torch.sin))

    def heads(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, width) as (rows, heads, lanes)."""
        return x.unflatten(-1, (-1, self.head_size))

    def attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, past: Past | None) -> tuple[torch.Tensor, Past]:
        """Each row's mean of the values of its segment so far, weighted by softmax(q k / sqrt(lanes)): (rows, width).

        q, k, v: (rows, heads, lanes).
        """
        q, k = self._rotated(q), self._rotated(k)
        new = Past(k, v, self.lengths)
        if past is not None:
            new = _joined(past, new)
            return self._each(q, new).to(v.dtype), new
        return self._together(q, k, v).to(v.dtype), new

    def _rotated(self, x: torch.Tensor) -> torch.Tensor:
        """Lane i and lane i + lanes / 2 turn together, by an angle that grows with the position."""
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)

    def _together(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Segments of like lengths at once.  The shorter are filled up at their end, where no row of theirs looks."""
        parts = []
        for rows in self.groups:
            some = (x.index_select(0, rows.flatten()).unflatten(0, rows.shape) for x in (q, k, v))
            parts.append(self._attention(*some, causal=True).flatten(0, 1))
        return torch.cat(parts).index_select(0, self.place) if parts else v.flatten(1)

    def _each(self, q: torch.Tensor, past: Past) -> torch.Tensor:
        """One segment after another, whose last keys are those of the queries."""
        parts, rows = [], zip(q.split(self.lengths), past.keys.split(past.lengths), strict=True)
        for (some, keys), values in zip(rows, past.values.split(past.lengths), strict=True):
            seen = torch.ones(len(some), len(keys), dtype=torch.bool, device=q.device).tril(len(keys) - len(some))
            parts.append(self._attention(some[None], keys[None], values[None], seen=seen)[0])
        return torch.cat(parts)

    def _attention(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        *,
        seen: torch.Tensor | None = None,
        causal: bool = False,
    ) -> torch.Tensor:
        """(segments, rows, heads, lanes) each; returns (segments, rows, width)."""
        q, k, v = (x.to(self.half or x.dtype).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v, seen, is_causal=causal).transpose(1, 2).flatten(2)


def _groups(lengths: list[int], device: torch.device) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Rows of segments of like lengths, (segments, longest) each; and where in all of these each row lies."""
    starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    like: dict[int, list[int]] = {}
    for segment, length in enumerate(lengths):
        if length:
            like.setdefault(length.bit_length(), []).append(segment)  # none is half as long as another
    groups, place, done = [], np.empty(starts[-1], np.int64), 0
    for members in like.values():
        n = np.array([lengths[i] for i in members])[:, None]
        column = np.arange(n.max())
        rows = starts[members][:, None] + np.minimum(column, n - 1)
        real = np.flatnonzero(column < n)
        place[rows.reshape(-1)[real]] = done + real
        done += rows.size
        groups.append(torch.from_numpy(rows).to(device))
    return groups, torch.from_numpy(place).to(device)


def _joined(past: Past, new: Past) -> Past:
    """Segment by segment what was and what is new."""

    def joined(before: torch.Tensor, now: torch.Tensor) -> torch.Tensor:
        pairs = zip(before.split(past.lengths), now.split(new.lengths), strict=True)
        return torch.cat([part for pair in pairs for part in pair])

    lengths = [a + b for a, b in zip(past.lengths, new.lengths, strict=True)]
    return Past(joined(past.keys, new.keys), joined(past.values, new.values), lengths)
