"""
Once through some data, for validation: every document from its beginning, cut at the context and nowhere else, so that
the result does not depend on the size of a batch.
"""

from __future__ import annotations

import numpy as np

from rookery.errors import SettingsError
from rookery.tokenizer import Tokenizer
from rookery.train.data.batches import Batch, check_layout, rows_of
from rookery.train.data.order import Permutation
from rookery.train.data.parts import Part
from rookery.train.data.stream import Segments, by_context

__all__ = ["Passage", "bytes_learned", "token_sizes"]


class Passage:
    """The batches of one pass over a part: `len` of them, by index.

    tokens_per_batch: at most, except that a batch has one segment at least.
    context: tokens a segment has at most.
    limit:   tokens at most in all; the segments are then drawn from the whole part, the same ones every time.
    """

    def __init__(self, part: Part, *, tokens_per_batch: int, context: int, limit: int | None = None) -> None:
        check_layout(tokens_per_batch, context, "none", 1)
        if limit is not None and limit < 1:
            raise SettingsError(f"limit is {limit}, expected 1 token or more")
        self._segments = _limited(by_context(Segments(part, part.starts, part.stops, part.ends), context), limit)
        self._borders = _borders(self._segments.stops - self._segments.starts, tokens_per_batch)
        self.size = int((self._segments.stops - self._segments.starts).sum())

    def __len__(self) -> int:
        return len(self._borders) - 1

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return rows_of([self._segments[self._borders[index] : self._borders[index + 1]]])


def token_sizes(tokenizer: Tokenizer) -> np.ndarray:
    """(vocab_size,) int64: bytes of every token; none for end of text."""
    return np.array([len(tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size)], np.int64)


def bytes_learned(batch: Batch, sizes: np.ndarray) -> int:
    """Bytes of the targets that count: what bits per byte divides by.  sizes: as of `token_sizes`."""
    return int(sizes[batch.targets[batch.weights > 0]].sum())


def _limited(segments: Segments, limit: int | None) -> Segments:
    lengths = segments.stops - segments.starts
    if limit is None or lengths.sum() <= limit:
        return segments
    order = Permutation(len(lengths), "passage")(np.arange(len(lengths)))
    count = max(1, int(np.searchsorted(np.cumsum(lengths[order]), limit, "right")))
    return segments[np.sort(order[:count])]


def _borders(lengths: np.ndarray, most: int) -> list[int]:
    """Segments before each batch, and all of them."""
    sums = np.concatenate(([0], np.cumsum(lengths)))
    borders = [0]
    while borders[-1] < len(lengths):
        fits = int(np.searchsorted(sums, sums[borders[-1]] + most, "right")) - 1
        borders.append(max(borders[-1] + 1, fits))
    return borders
