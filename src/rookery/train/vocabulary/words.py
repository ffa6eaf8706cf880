"""
The words of a text, and how often each occurs: all that the choice of a vocabulary needs to know, in little memory.

A word is a run of letters with the space before it, one digit, a run of punctuation, an ending such as 's, or a run of
spaces or line ends.  No token crosses from one into the next, so that the same word has the same tokens wherever it
stands, and prompts may be cut at line ends.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np

from rookery.train.data.sources import Source
from rookery.train.data.sources.base import Span

__all__ = ["Words", "counted", "stretches"]

STRETCH = 1 << 20  # bytes looked at together
MOST_WORDS = 3_000_000  # beyond them, those seen once are forgotten

_MARKS = rb"(?:[!-/:-@\[-`{-~]|\xc2[\x80-\xbf]|\xe2\x80[\x80-\xbf]|\xe3\x80[\x80-\xbf]|\xef[\xbc\xbd][\x80-\xbf])"
_CONTINUED = rb"[\x80-\xbf]"
# Scripts without spaces have no words: their runs are cut, so that these do not become whole sentences.
_UNSPACED = rb"(?:(?!\xe3\x80)[\xe3-\xed]" + _CONTINUED + rb"{2})"
_LETTERS = (
    rb"(?:[A-Za-z]|[\xc3-\xdf]" + _CONTINUED + rb"|(?!\xe2\x80)[\xe0-\xe2]" + _CONTINUED + rb"{2}"
    rb"|(?!\xef[\xbc\xbd])[\xee\xef]" + _CONTINUED + rb"{2}|[\xf0-\xf4]" + _CONTINUED + rb"{3})"
)
_ENDING = rb"(?:'|\xe2\x80\x99)(?:ll|re|ve|[sdmt])(?![A-Za-z])"
_WORD = re.compile(
    rb"\n+|"
    + _ENDING
    + rb"| ?"
    + _LETTERS
    + rb"{1,32}| ?[0-9]| ?"
    + _MARKS
    + rb"{1,16}| ?"
    + _UNSPACED
    + rb"{1,6}| +|[\r\t]+"
)


class Words:
    """Distinct words, in one array.

    text:   all of them, with a zero byte after each; none contains one.
    counts: (words,) int64, how often each occurs.
    """

    def __init__(self, counts: Counter[bytes]) -> None:
        words = sorted(counts)
        self.text = b"".join(word + b"\0" for word in words)
        self.counts = np.array([counts[word] for word in words], np.int64)
        self.words: Sequence[bytes] = words

    def __len__(self) -> int:
        return len(self.words)


def counted(texts: Iterable[bytes]) -> Words:
    """The words of texts."""
    counts: Counter[bytes] = Counter()
    for text in texts:
        counts.update(_WORD.findall(text))
        if len(counts) > MOST_WORDS:
            counts = Counter({word: count for word, count in counts.items() if count > 1})
    return Words(counts)


def stretches(sources: Sequence[Source]) -> Iterator[tuple[bytes, int]]:
    """The text of sources about a megabyte at a time, cut between documents or lines, with the bytes read so far.

    A zero byte follows every document.
    """
    held: list[bytes] = []
    size, at = 0, 0
    for text, at in _texts(sources):
        held.append(text)
        size += len(text)
        if size >= STRETCH:
            yield b"".join(held), at
            held, size = [], 0
    if held:
        yield b"".join(held), at


def _texts(sources: Sequence[Source]) -> Iterator[tuple[bytes, int]]:
    before = 0
    for source in sources:
        last = 0
        for document in source.documents():
            total, done = max(1, sum(len(piece.text) for piece in document.pieces)), 0
            for text in chain.from_iterable(_cut(piece.text) for piece in document.pieces):
                done += len(text)
                yield text, before + last + (document.read - last) * done // total
            last = document.read
            yield b"\0", before + last
        before += source.size


def _cut(text: Span | np.ndarray) -> Iterator[bytes]:
    """A long text by lines, a stretch at a time; ids have no text."""
    if isinstance(text, np.ndarray):
        return
    at = 0
    while at < len(text):
        part = text[at : at + STRETCH]
        end = part.rfind(b"\n") + 1
        if at + STRETCH < len(text) and end:
            part = part[:end]
        yield part
        at += len(part)
