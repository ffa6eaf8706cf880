"""From sources to a vocabulary in the World's form: id 0 means end of text, ids 1 to 256 are the bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rookery.errors import SettingsError
from rookery.tokenizer import WorldTokenizer, world
from rookery.train.data.sources import Source
from rookery.train.vocabulary.candidates import candidates
from rookery.train.vocabulary.search import BYTES, choose
from rookery.train.vocabulary.words import counted, stretches

__all__ = ["LARGEST", "SMALLEST", "Trained", "train_vocabulary"]

SMALLEST, LARGEST = 257, 65536
POOL = 8  # candidates for each token wanted
_MOST_POOL = 60_000  # beyond the tokens wanted
_MEASURED = 16 << 20  # bytes of the text that the result is measured on

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A vocabulary, and what it is worth on the text it was made from.

    vocabulary: token bytes by id, from 1.
    bytes:      of text read.  words: distinct ones in it.
    bytes_per_token, of_world: measured with the tokenizer itself, and with the World's, on the first 16 MiB read.
    """

    vocabulary: dict[int, bytes]
    bytes: int
    words: int
    bytes_per_token: float
    of_world: float


def train_vocabulary(
    sources: Sequence[Source], size: int, *, sample: int | None = None, progress: Progress | None = None
) -> Trained:
    """A vocabulary of `size` ids, the end of text included, for greedy longest match.

    sample:   bytes of text to read at most, evenly from all of it; None reads everything.
    progress: called with (what is done, done, in all).
    Equal texts give equal vocabularies.  SettingsError for a size that cannot be, or no text.
    """
    if not SMALLEST <= size <= LARGEST:
        raise SettingsError(f"size is {size}, expected {SMALLEST} (the bytes and the end of text) to {LARGEST}")
    if sample is not None and sample < 1:
        raise SettingsError(f"sample is {sample}, expected a number of bytes, 1 or more")
    report = progress or (lambda _what, _done, _total: None)
    reading = _Reading(sources, sample, report)
    words = counted(reading.texts())
    if not reading.bytes:
        raise SettingsError("there is no text in the files; a vocabulary needs some to be made for")
    wanted = size - SMALLEST
    pool = candidates(words, min(POOL * wanted, wanted + _MOST_POOL))
    chosen = choose(words, pool, wanted, lambda done, total: report("Choosing", done, total))
    tokens = [*BYTES, *sorted(chosen.tokens, key=lambda token: (len(token), token))]
    vocabulary = dict(enumerate(tokens, 1))
    first = bytes(reading.first)
    here, there = (len(first) / len(t.encode_array(first)) for t in (WorldTokenizer(vocabulary, "trained"), world()))
    return Trained(vocabulary, reading.bytes, len(words), here, there)


class _Reading:
    """The text, or an even sample of it, passing by."""

    def __init__(self, sources: Sequence[Source], sample: int | None, report: Progress) -> None:
        self._sources, self._report = sources, report
        self._total = sum(source.size for source in sources)
        self._sample = sample
        self.bytes = 0
        self.first = bytearray()

    def texts(self) -> Iterator[bytes]:
        for text, at in stretches(self._sources):
            self._report("Reading", min(at, self._total), self._total)
            if self._sample is not None and self.bytes * self._total >= self._sample * at:
                continue  # the sample keeps pace with the reading
            self.bytes += len(text) - text.count(b"\0")
            if len(self.first) < _MEASURED:
                self.first += text.replace(b"\0", b"")
            yield text
