"""
One source as an endless stream: its documents, shuffled anew in every epoch, one after another.

Documents longer than the context are dealt in pieces of it, so that a batch sees many books and not one; each epoch
cuts them at other places.  Any place of the stream is found by arithmetic and one search in the sums of lengths of its
epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from rookery.errors import SettingsError
from rookery.train.data.order import Permutation
from rookery.train.data.parts import Part

__all__ = ["SHUFFLES", "Segments", "Stream", "by_context", "gathered"]

SHUFFLES = ("pieces", "documents", "none")
_EPOCHS = 2  # that are kept: a batch may reach from one into the next


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

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: slice | np.ndarray) -> Segments:
        """Some of them."""
        return Segments(self.part, self.starts[which], self.stops[which], self.ends[which])


class Stream:
    """A part in the order of training.

    context: tokens a piece has at most.
    shuffle: "pieces", "documents" (long ones stay together, in order) or "none".
    key:     what the order depends on, besides the epoch.
    """

    def __init__(self, part: Part, context: int, shuffle: str, *key: int | str) -> None:
        self.part, self.size = part, part.size
        if not self.size:
            raise SettingsError("a source has no tokens to train on; give more data, or hold out less")
        self._context, self._shuffle, self._key = context, shuffle, key
        self._epochs: OrderedDict[int, _Epoch] = OrderedDict()

    def segments(self, start: int, stop: int) -> list[Segments]:
        """The places [start, stop) of the stream, cut where documents, pieces and epochs end."""
        found = []
        while start < stop:
            epoch, at = divmod(start, self.size)
            taken = min(stop - start, self.size - at)
            found.append(by_context(self._epoch(epoch).segments(at, at + taken), self._context))
            start += taken
        return found

    def _epoch(self, number: int) -> _Epoch:
        if number not in self._epochs:
            self._epochs[number] = self._made(number)
            while len(self._epochs) > _EPOCHS:
                self._epochs.popitem(last=False)
        return self._epochs[number]

    def _made(self, number: int) -> _Epoch:
        """Where long documents are cut differs between epochs, each of which cuts all at multiples of the context and
        a shift."""
        units = self.part.starts, self.part.stops, self.part.ends
        if self._shuffle == "pieces":
            shift = int(Permutation(self._context, *self._key, "shift")(number % self._context))
            units = _pieces(self.part, self._context, shift)
        order = None if self._shuffle == "none" else Permutation(len(units[0]), *self._key, number)
        return _Epoch(Segments(self.part, *units), order)


class _Epoch:
    """Pieces in the order of one epoch, and the sums of their lengths, from 0."""

    def __init__(self, pieces: Segments, order: Permutation | None) -> None:
        self._pieces, self._order = pieces, order
        shuffled = self._shuffled(0, len(pieces))
        self._sums = np.concatenate(([0], np.cumsum(shuffled.stops - shuffled.starts)))

    def segments(self, start: int, stop: int) -> Segments:
        """What lies in the places [start, stop) of the epoch."""
        first = int(np.searchsorted(self._sums, start, "right")) - 1
        last = int(np.searchsorted(self._sums, stop, "left"))
        found = self._shuffled(first, last)
        before = np.maximum(start - self._sums[first:last], 0)
        after = np.maximum(self._sums[first + 1 : last + 1] - stop, 0)
        return Segments(found.part, found.starts + before, found.stops - after, found.ends & (after == 0))

    def _shuffled(self, first: int, last: int) -> Segments:
        at = np.arange(first, last)
        return self._pieces[at if self._order is None else self._order(at)]


def _pieces(part: Part, context: int, shift: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every stretch, those longer than the context cut at `shift` and every `context` tokens on."""
    lengths = part.stops - part.starts
    back = np.where(lengths > context, -shift % context, 0)  # as if the stretch began so many tokens earlier
    which, number = gathered(-(-(lengths + back) // context))
    begin = part.starts[which] - back[which] + number * context
    starts, stops = np.maximum(begin, part.starts[which]), np.minimum(begin + context, part.stops[which])
    return starts, stops, part.ends[which] & (stops == part.stops[which])


def gathered(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For segments of these lengths, one after another: of every row its segment, and its place in it."""
    which = np.repeat(np.arange(len(lengths)), lengths)
    firsts = np.cumsum(lengths) - lengths
    return which, np.arange(len(which)) - firsts[which]


def by_context(found: Segments, context: int) -> Segments:
    """Segments cut where they are longer than the context."""
    lengths = found.stops - found.starts
    if not len(lengths) or lengths.max() <= context:
        return found
    which, number = gathered(-(-lengths // context))
    starts = found.starts[which] + number * context
    stops = np.minimum(found.stops[which], starts + context)
    return Segments(found.part, starts, stops, found.ends[which] & (stops == found.stops[which]))
