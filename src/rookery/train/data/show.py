"""
A batch for people: what the model reads, and which of it it learns.

Most fine-tunes that go wrong were wrong here: the wrong template, the wrong half masked, everything cut away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rookery.tokenizer import Tokenizer
from rookery.train.data.batches import Batch

__all__ = ["ShownSegment", "Stretch", "segments_of", "show_batch"]


class Stretch(NamedTuple):
    """Some of a segment's text, and whether it is learned."""

    text: str
    learned: bool


class ShownSegment(NamedTuple):
    """A segment: rows read, targets learned, and its text, from the first token read to the last target."""

    rows: int
    learned: int
    stretches: list[Stretch]


def segments_of(batch: Batch, tokenizer: Tokenizer) -> Iterator[ShownSegment]:
    """The segments of a batch, decoded.  Tokens without bytes are shown by their id, as in ⟨0⟩."""
    stop = 0
    for rows in batch.lengths:
        start, stop = stop, stop + rows
        ids = np.concatenate((batch.tokens[start : start + 1], batch.targets[start:stop]))
        learned = np.concatenate(([False], batch.weights[start:stop] > 0))
        yield ShownSegment(rows, int(learned.sum()), list(_stretches(ids, learned, tokenizer)))


def show_batch(batch: Batch, tokenizer: Tokenizer, masked: Callable[[str], str] | None = None) -> str:
    """All segments as text, a line about each before it.

    masked: how what is not learned is written; by default between ⟦ and ⟧.
    """
    mark = masked or (lambda text: f"⟦{text}⟧")
    parts = []
    for number, shown in enumerate(segments_of(batch, tokenizer), 1):
        text = "".join(s.text if s.learned else mark(s.text) for s in shown.stretches)
        parts.append(
            f"segment {number} of {len(batch.lengths)}: {shown.rows} tokens, {shown.learned} learned\n{text}\n"
        )
    return "\n".join(parts)


def _stretches(ids: np.ndarray, learned: np.ndarray, tokenizer: Tokenizer) -> Iterator[Stretch]:
    borders = [0, *(np.flatnonzero(np.diff(learned)) + 1).tolist(), len(ids)]
    for start, stop in pairwise(borders):
        given = b"".join(tokenizer.token_bytes(id) or f"⟨{id}⟩".encode() for id in ids[start:stop].tolist())
        yield Stretch(given.decode("utf-8", "replace"), bool(learned[start]))
