"""
How a batch is cut where it is larger than what memory holds.

A pass is what is in memory at once: pieces of documents side by side.  A piece that does not reach the end of its
document leaves a state, and the next piece of that document, in the next pass, begins with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from rookery.errors import SettingsError

__all__ = ["Pass", "Piece", "borders", "passes"]

SHORTEST = 4096  # rows of a piece that is not the last, if there is room: each costs a state and a second forward


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows `start` to `stop` of a batch, of one document.

    before: number of the border that it begins at; None where its document begins.
    after:  number of the border that it ends at; None where its document ends.
    """

    start: int
    stop: int
    before: int | None = None
    after: int | None = None


Pass = list[Piece]  # those that go on first, then those that begin


@dataclass(slots=True)
class _Document:
    start: int
    left: int
    border: int | None = None


def passes(lengths: Sequence[int], segment: int) -> list[Pass]:
    """The passes over documents of these lengths, none of more than `segment` rows; 0 makes it one pass.

    The documents at hand share the rows evenly, except that what one does not need the others get.  A new one begins
    only if there are SHORTEST rows for each, or as many as it has: so documents that fit are not cut.
    """
    if segment < 0:
        raise SettingsError(f"segment={segment}: expected tokens that fit the memory, or 0 for all at once")
    segment = segment or sum(lengths)
    waiting = deque(_Document(end - length, length) for end, length in zip(accumulate(lengths), lengths, strict=True))
    going: list[_Document] = []
    found: list[Pass] = []
    border = 0
    while going or waiting:
        _admit(going, waiting, segment)
        share = _share([document.left for document in going], segment)
        found.append([])
        for document in going:
            border = _advance(found[-1], document, share, border)
        going = [document for document in going if document.left]
    return found


def borders(plan: Sequence[Pass]) -> int:
    """How many states a plan has to keep."""
    return sum(piece.after is not None for pieces in plan for piece in pieces)


def _admit(going: list[_Document], waiting: deque[_Document], segment: int) -> None:
    """Begin as many documents as get their SHORTEST rows, and one at least."""
    least = min(SHORTEST, segment)
    room = segment - sum(min(document.left, least) for document in going)
    while waiting and (not going or min(waiting[0].left, least) <= room):
        room -= min(waiting[0].left, least)
        going.append(waiting.popleft())


def _share(left: list[int], room: int) -> int:
    """The most rows that each may have so that all together have no more than `room`."""
    ordered = sorted(left)
    for i, rows in enumerate(ordered):
        others = len(ordered) - i
        if rows * others > room:
            return room // others
        room -= rows
    return ordered[-1]


def _advance(pieces: Pass, document: _Document, share: int, border: int) -> int:
    """Append the document's next piece; returns the number of the next border."""
    rows = min(share, document.left)
    ends = rows == document.left
    stop = document.start + rows
    pieces.append(Piece(document.start, stop, document.border, None if ends else border))
    document.start, document.left, document.border = stop, document.left - rows, None if ends else border
    return border + (not ends)
