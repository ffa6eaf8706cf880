"""
Batches as arithmetic: what is trained on at a step is a function of the step, so resuming is one number.

Every batch takes its share of tokens from each source: exactly, over many steps, and to the token in each.  A batch is
a row of segments; each is read from a fresh state, and none is longer than the context.  However a batch is dealt to
processes and micro-batches, its segments are the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from rookery.errors import SettingsError
from rookery.train.data.parts import Part
from rookery.train.data.stream import SHUFFLES, Segments, Stream, gathered

__all__ = ["Batch", "Batches", "Weighted", "check_layout", "micro", "rows_of"]

ORDER = 1  # raise it when anything changes which tokens a step has: runs begun before must not resume


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What is trained on at once.

    tokens:  (rows,) int64, read.
    targets: (rows,) int64, what follows each.
    weights: (rows,) float32, 1 where the target is learned, else 0.
    lengths: rows of each segment, in order; their sum is rows.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    lengths: list[int]

    @property
    def total(self) -> float:
        """Targets that are learned."""
        return float(self.weights.sum(dtype=np.float64))


@dataclass(frozen=True, slots=True)
class Weighted:
    """A source, and how much of the training it is, beside the others."""

    part: Part
    weight: float = 1.0


class Batches:
    """The batches of a run.

    tokens_per_batch: of the whole batch, on all processes together.
    context:  tokens a segment has at most.
    seed:     of the order.
    shuffle:  "pieces": documents longer than the context are dealt in pieces; "documents": they stay in order; "none".
    equal:    cut every batch into so many parts of equal size, at the cost of cutting segments there; then a number of
              processes or micro-batches that divides it gets exactly equal parts.
    """

    def __init__(
        self,
        sources: Sequence[Weighted],
        *,
        tokens_per_batch: int,
        context: int,
        seed: int = 0,
        shuffle: str = "pieces",
        equal: int = 1,
    ) -> None:
        check_layout(tokens_per_batch, context, shuffle, equal)
        self.tokens_per_batch, self.context, self.equal = tokens_per_batch, context, equal
        self._shares = _Shares([source.weight for source in sources], tokens_per_batch)
        self._streams = [Stream(s.part, context, shuffle, seed, i) for i, s in enumerate(sources)]
        _check_vocabularies(sources)
        layout = [ORDER, tokens_per_batch, context, seed, shuffle, equal, [float(s.weight) for s in sources]]
        data = [source.part.fingerprint for source in sources]
        self.fingerprint = hashlib.blake2b(json.dumps([layout, data]).encode(), digest_size=16).hexdigest()
        self.sizes = [stream.size for stream in self._streams]

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of a step, or the part of it that this process trains on."""
        if step < 0 or not 0 <= rank < world:
            raise SettingsError(
                f"step {step}, rank {rank} of {world}: expected a step and a rank below the world, from 0"
            )
        segments = _cut_at(self._segments(step), self.tokens_per_batch, self.equal)
        return rows_of(_dealt(segments, rank, world))

    def epochs(self, step: int) -> list[float]:
        """How often each source has been read when this step begins."""
        return [self._shares.before(step)[i] / stream.size for i, stream in enumerate(self._streams)]

    def _segments(self, step: int) -> list[Segments]:
        before, after = self._shares.before(step), self._shares.before(step + 1)
        return [
            segments
            for stream, start, stop in zip(self._streams, before, after, strict=True)
            for segments in stream.segments(start, stop)
        ]


def micro(batch: Batch, i: int, n: int) -> Batch:
    """Part i of n of a batch, in whole segments, as equal as these allow."""
    borders = _borders(np.asarray(batch.lengths), n)
    first, last = borders[i], borders[i + 1]
    rows = np.concatenate(([0], np.cumsum(batch.lengths)))
    where = slice(int(rows[first]), int(rows[last]))
    return Batch(batch.tokens[where], batch.targets[where], batch.weights[where], batch.lengths[first:last])


def rows_of(segments: Sequence[Segments]) -> Batch:
    """The rows of these segments."""
    parts = [_rows(found) for found in segments]
    lengths = [int(n) for found in segments for n in found.stops - found.starts]
    tokens, targets, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Batch(tokens, targets, weights, lengths)


def _rows(found: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = found.part.tokens
    which, place = gathered(found.stops - found.starts)
    at = found.starts[which] + place
    following = np.minimum(at + 1, len(source.ids) - 1)
    tokens, targets = source.ids[at].astype(np.int64), source.ids[following].astype(np.int64)
    weights = np.ones(len(at), np.float32) if source.mask is None else source.mask[following].astype(np.float32)
    last = np.cumsum(found.stops - found.starts) - 1
    _end(found, last, targets, weights)
    return tokens, targets, weights


def _end(found: Segments, last: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> None:
    """What follows the last token of a document is the ending token, learned if that last token is; or nothing."""
    source = found.part.tokens
    ended = last[found.ends]
    targets[ended] = source.ending or 0
    if source.ending is None:
        weights[ended] = 0
    elif source.mask is not None:
        weights[ended] = source.mask[found.stops[found.ends] - 1]


def _dealt(segments: list[Segments], rank: int, world: int) -> list[Segments]:
    if world == 1:
        return segments
    lengths = np.concatenate([found.stops - found.starts for found in segments])
    borders = _borders(lengths, world)
    dealt, at = [], 0
    for found in segments:
        here = slice(max(0, borders[rank] - at), max(0, borders[rank + 1] - at))
        if len(part := found[here]):
            dealt.append(part)
        at += len(found)
    return dealt


def _borders(lengths: np.ndarray, n: int) -> list[int]:
    """Segments before each of n parts, and all of them: the borders of segments nearest to equal parts."""
    sums = np.concatenate(([0], np.cumsum(lengths)))
    wanted = np.arange(1, n) * int(sums[-1]) // n
    above = np.searchsorted(sums, wanted, "left")
    below = np.maximum(above - 1, 0)
    nearest = np.where(sums[above] - wanted < wanted - sums[below], above, below)
    borders = [0, *(int(b) for b in nearest), len(lengths)]
    if any(a >= b for a, b in pairwise(borders)):
        raise SettingsError(
            f"a batch of {int(sums[-1])} tokens in {len(lengths)} segments cannot be dealt to {n}; "
            "make the batch larger or the context shorter"
        )
    return borders


def _cut_at(segments: list[Segments], size: int, equal: int) -> list[Segments]:
    """Segments cut where one of `equal` parts of the batch ends."""
    if equal == 1:
        return segments
    cut, at = [], 0
    for found in segments:
        first = at + np.cumsum(found.stops - found.starts) - (found.stops - found.starts)
        last = first + (found.stops - found.starts)
        part = size // equal
        which, number = gathered((last - 1) // part - first // part + 1)
        block = first[which] // part + number
        low, high = np.maximum(first[which], block * part), np.minimum(last[which], (block + 1) * part)
        shift = found.starts[which] - first[which]
        cut.append(Segments(found.part, low + shift, high + shift, found.ends[which] & (high == last[which])))
        at = int(last[-1])
    return cut


class _Shares:
    """How many tokens of each source all steps before one have taken; the heaviest takes what rounding leaves."""

    def __init__(self, weights: Sequence[float], tokens: int) -> None:
        if not weights:
            raise SettingsError("there is nothing to train on; give files of training data")
        bad = next((w for w in weights if not 0 < w < float("inf")), None)
        if bad is not None:
            raise SettingsError(f"a weight is {bad}, expected a number above 0; leave a source out that is not wanted")
        total = sum(map(Fraction, weights))
        self._shares = [Fraction(w) / total for w in weights]
        self._heaviest = max(range(len(weights)), key=lambda i: self._shares[i])
        self._tokens = tokens
        if self._shares[self._heaviest] * tokens < len(weights):
            raise SettingsError(f"tokens_per_batch is {tokens}, too small for {len(weights)} sources; make it larger")

    def before(self, step: int) -> list[int]:
        taken = [int(share * (step * self._tokens) + Fraction(1, 2)) for share in self._shares]
        taken[self._heaviest] += step * self._tokens - sum(taken)
        return taken


def check_layout(tokens: int, context: int, shuffle: str, equal: int) -> None:
    """SettingsError for what cannot be."""
    if context < 1:
        raise SettingsError(f"context is {context}, expected 1 token or more")
    if tokens < 1:
        raise SettingsError(f"tokens_per_batch is {tokens}, expected 1 or more")
    if shuffle not in SHUFFLES:
        raise SettingsError(f"shuffle is {shuffle!r}, expected one of {', '.join(SHUFFLES)}")
    if equal < 1 or tokens % equal:
        raise SettingsError(f"equal is {equal}, expected a number that divides tokens_per_batch, which is {tokens}")


def _check_vocabularies(sources: Sequence[Weighted]) -> None:
    if len({source.part.tokens.meta["tokenizer"] for source in sources}) > 1:
        raise SettingsError("the sources were tokenised with different vocabularies; tokenise them with one")
