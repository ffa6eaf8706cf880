"""
Which tokens to take, so that greedy longest match needs the fewest.

Greedy matching is not monotone: a token may spoil what comes after it, and no formula says what a set of tokens costs.
So the words are encoded with the set, again and again.  Too large a set is pruned of the tokens whose absence would
cost least; then it is grown by pairs that follow one another and by words that need many tokens, and pruned again, as
long as that helps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from rookery._native import Trie
from rookery.train.vocabulary.candidates import LONGEST
from rookery.train.vocabulary.words import Words

__all__ = ["BYTES", "Choice", "choose"]

BYTES = [bytes([byte]) for byte in range(256)]
STEP = 0.85  # of what is too much is left by a step of pruning
GROWTH = (0.3, 0.2, 0.15, 0.1, 0.1, 0.07, 0.07, 0.05, 0.05, 0.03, 0.03, 0.02, 0.02, 0.01, 0.01)
_END = 1  # the id of the zero byte, which ends every word


@dataclass(frozen=True, slots=True)
class Choice:
    """Tokens of two bytes or more, and how many tokens the text needs with them and the bytes."""

    tokens: frozenset[bytes]
    cost: int


class _Encoded:
    """The words in the tokens of a set: `listed` are all tokens, id 1 the first."""

    def __init__(self, words: Words, tokens: Iterable[bytes]) -> None:
        self.listed = [*BYTES, *sorted(tokens)]
        pack = struct.Struct("<II").pack
        self.trie = Trie(b"".join(pack(id, len(token)) + token for id, token in enumerate(self.listed, 1)))
        self.ids = self.trie.encode(words.text)
        ends = self.ids == _END
        self.which = np.cumsum(ends) - ends
        self.weights = np.where(ends, 0, words.counts[self.which])
        self.used = np.bincount(self.ids, self.weights, len(self.listed) + 1)[1:].astype(np.int64)
        self.cost = int(self.weights.sum())


def choose(
    words: Words, pool: Iterable[bytes], size: int, progress: Callable[[int, int], None] | None = None
) -> Choice:
    """`size` tokens at most of two bytes or more: from a pool, improved.

    progress: called with (rounds done, rounds in all).
    """
    report = progress or (lambda _done, _total: None)
    best = _pruned(words, set(pool), size)
    for number, growth in enumerate(GROWTH, 1):
        report(number, len(GROWTH) + 1)
        grown = set(best.tokens) | set(_wanted(words, best.tokens, max(1, int(size * growth))))
        found = _pruned(words, grown, size)
        if found.cost < best.cost:
            best = found
    report(len(GROWTH) + 1, len(GROWTH) + 1)
    return best


def _pruned(words: Words, tokens: set[bytes], size: int) -> Choice:
    """Without the tokens that are missed least, until `size` are left; a few at a time."""
    while True:
        encoded = _Encoded(words, tokens)
        if len(tokens) <= size:
            return Choice(frozenset(tokens), encoded.cost)
        missed = _missed(encoded, tokens)
        too_many = len(tokens) - size
        unused = sum(loss == 0 for loss, _ in missed)
        drop = min(too_many, max(unused, int(too_many * (1 - STEP)), int(size * 0.01), 1))
        tokens = tokens - {token for _, token in missed[:drop]}


def _missed(encoded: _Encoded, tokens: set[bytes]) -> list[tuple[int, bytes]]:
    """(tokens more that the text would need, token) of each, the least first."""
    found = []
    for token, used in zip(encoded.listed[256:], encoded.used[256:].tolist(), strict=True):
        found.append((used * (_pieces(token, tokens, encoded.trie) - 1) if used else 0, token))
    return sorted(found)


def _pieces(token: bytes, tokens: set[bytes], trie: Trie) -> int:
    """In how many tokens a token falls when it is gone."""
    size = next((n for n in range(len(token) - 1, 1, -1) if token[:n] in tokens), 1)
    return 1 + len(trie.encode(token[size:]))


def _wanted(words: Words, tokens: frozenset[bytes], most: int) -> list[bytes]:
    """Tokens that would save the most, at first sight: pairs that follow one another, and words of many tokens."""
    encoded = _Encoded(words, tokens)
    scored = sorted([*_pairs(encoded, 3 * most), *_words(words, encoded, most)], reverse=True)
    found: dict[bytes, None] = {}
    for _, token in scored:
        if len(found) == most:
            break
        if token not in tokens and len(token) <= LONGEST:
            found[token] = None
    return list(found)


def _pairs(encoded: _Encoded, most: int) -> list[tuple[int, bytes]]:
    ids, base = encoded.ids.astype(np.int64), len(encoded.listed) + 1
    inside = (ids[:-1] != _END) & (ids[1:] != _END)
    keys, which = np.unique(ids[:-1][inside] * base + ids[1:][inside], return_inverse=True)
    counts = np.bincount(which, encoded.weights[:-1][inside]).astype(np.int64)
    order = np.lexsort((keys, -counts))[:most]
    pairs = []
    for key, count in zip(keys[order].tolist(), counts[order].tolist(), strict=True):
        token = encoded.listed[key // base - 1] + encoded.listed[key % base - 1]
        if _whole(token):
            pairs.append((count, token))
    return pairs


def _words(words: Words, encoded: _Encoded, most: int) -> list[tuple[int, bytes]]:
    needed = np.bincount(encoded.which, minlength=len(words)) - 1  # without the zero byte
    saved = words.counts * (needed - 1)
    order = np.lexsort((np.arange(len(words)), -saved))[:most]
    return [(int(saved[i]), words.words[i]) for i in order.tolist() if needed[i] > 1 and _whole(words.words[i])]


def _whole(token: bytes) -> bool:
    """Whether it consists of whole characters."""
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
