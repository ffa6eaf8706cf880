"""
One source as an endless stream: its documents, shuffled anew in every epoch, one after another.

Documents longer than the context are dealt in pieces of it, so that a batch sees many books and not one.  Any place
of the stream is found by arithmetic and one search in the sums of lengths of its epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rookery.errors import SettingsError
from rookery.train.data.order import Permutation
from rookery.train.data.parts import Part

__all__ = ["SHUFFLES", "Segments", "Stream", "gathered"]

SHUFFLES = ("pieces", "documents", "none")
_EPOCHS = 2  # whose sums are kept: a batch may reach from one into the next


@dataclass(frozen=True, slots=True)
class Segments:
    """Stretches of tokens of one part, each read from a fresh state.

    starts, stops: (segments,) int64, positions in the part's ids.
    ends:          (segments,) bool, whether a document ends with the segment.
    """

    part: Part
    starts: np.ndarray
    stops: np.ndarray
    ends: np.ndarray


class Stream:
    """A part in the order of training.

    context: tokens a piece has at most.
    shuffle: "pieces", "documents" (long ones stay together, in order) or "none".
    key:     what the order depends on, besides the epoch.
    """

    def __init__(self, part: Part, context: int, shuffle: str, *key: int | str) -> None:
        lengths = part.stops - part.starts
        if not lengths.sum():
            raise SettingsError("a source has no tokens to train on; give more data, or hold out less")
        self.part, self.size = part, int(lengths.sum())
        self._context, self._shuffle, self._key = context, shuffle, key
        counts = -(-lengths // context) if shuffle == "pieces" else np.ones_like(lengths)
        self._units = np.concatenate(([0], np.cumsum(counts)))
        self._epochs: OrderedDict[int, np.ndarray] = OrderedDict()

    def segments(self, start: int, stop: int) -> list[Segments]:
        """The places [start, stop) of the stream, cut where documents, pieces and epochs end."""
        return [self._within(epoch, a, b) for epoch, a, b in self._by_epoch(start, stop)]

    def _by_epoch(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        while start < stop:
            epoch, at = divmod(start, self.size)
            taken = min(stop - start, self.size - at)
            yield epoch, at, at + taken
            start += taken

    def _within(self, epoch: int, start: int, stop: int) -> Segments:
        sums = self._sums(epoch)
        first = int(np.searchsorted(sums, start, "right")) - 1
        last = int(np.searchsorted(sums, stop, "left"))
        starts, stops, ends = self._unit(self._ordered(epoch, np.arange(first, last)))
        before = np.maximum(start - sums[first:last], 0)
        after = np.maximum(sums[first + 1 : last + 1] - stop, 0)
        return _by_context(Segments(self.part, starts + before, stops - after, ends & (after == 0)), self._context)

    def _ordered(self, epoch: int, at: np.ndarray) -> np.ndarray:
        if self._shuffle == "none":
            return at
        return Permutation(int(self._units[-1]), *self._key, epoch)(at)

    def _unit(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where these pieces begin and stop, and whether they end their documents."""
        which = np.searchsorted(self._units, units, "right") - 1
        starts, stops = self.part.starts[which], self.part.stops[which]
        if self._shuffle == "pieces":
            starts = starts + (units - self._units[which]) * self._context
            whole, stops = stops, np.minimum(stops, starts + self._context)
            return starts, stops, self.part.ends[which] & (stops == whole)
        return starts, stops, self.part.ends[which]

    def _sums(self, epoch: int) -> np.ndarray:
        """Lengths of all pieces in the order of an epoch, summed from 0."""
        if epoch not in self._epochs:
            starts, stops, _ = self._unit(self._ordered(epoch, np.arange(int(self._units[-1]))))
            self._epochs[epoch] = np.concatenate(([0], np.cumsum(stops - starts)))
            while len(self._epochs) > _EPOCHS:
                self._epochs.popitem(last=False)
        return self._epochs[epoch]


def gathered(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For segments of these lengths, one after another: of every row its segment, and its place in it."""
    which = np.repeat(np.arange(len(lengths)), lengths)
    firsts = np.cumsum(lengths) - lengths
    return which, np.arange(len(which)) - firsts[which]


def _by_context(found: Segments, context: int) -> Segments:
    """Segments cut where they are longer than the context."""
    lengths = found.stops - found.starts
    if not len(lengths) or lengths.max() <= context:
        return found
    which, number = gathered(-(-lengths // context))
    starts = found.starts[which] + number * context
    stops = np.minimum(found.stops[which], starts + context)
    return Segments(found.part, starts, stops, found.ends[which] & (stops == found.stops[which]))
