"""
Stretches of words that occur often, whole characters only.

Of length after length: a stretch is counted only where the shorter one in front of it was frequent.  Stretches are
told apart by a 64-bit polynomial hash that grows with them.
"""

from __future__ import annotations

import numpy as np

from rookery.train.vocabulary.words import Words

__all__ = ["LONGEST", "candidates"]

LONGEST = 24  # bytes
LEAST = 3  # occurrences
_BASE = np.uint64(0x9E3779B97F4A7C15)


def candidates(words: Words, most: int) -> list[bytes]:
    """Up to `most` stretches of two bytes or more, those that might save most first: occurrences times bytes saved."""
    text = np.frombuffer(words.text, np.uint8)
    occurrences = _occurrences(text, words)
    whole = (text & 0xC0) != 0x80  # where a character begins
    at = np.flatnonzero(text)
    hashes = text[at].astype(np.uint64) + np.uint64(1)
    found: list[tuple[np.ndarray, np.ndarray, int]] = []
    for length in range(2, LONGEST + 1):
        inside = text[at + length - 1] != 0
        at, hashes = at[inside], hashes[inside]
        if not len(at):
            break
        hashes = hashes * _BASE + text[at + length - 1].astype(np.uint64)
        _, first, which = np.unique(hashes, return_index=True, return_inverse=True)
        counts = np.bincount(which, weights=occurrences[at])
        firsts = at[first]
        good = (counts >= LEAST) & whole[firsts] & whole[firsts + length]
        found.append((firsts[good], counts[good], length))
        frequent = (counts >= LEAST)[which]
        at, hashes = at[frequent], hashes[frequent]
    return _best(found, words.text, most)


def _occurrences(text: np.ndarray, words: Words) -> np.ndarray:
    """Of every byte: how often its word occurs."""
    which = np.cumsum(text == 0) - (text == 0)
    counts: np.ndarray = words.counts[which]
    return counts


def _best(found: list[tuple[np.ndarray, np.ndarray, int]], text: bytes, most: int) -> list[bytes]:
    if not found:
        return []
    at = np.concatenate([firsts for firsts, _, _ in found])
    lengths = np.concatenate([np.full(len(firsts), length) for firsts, _, length in found])
    saved = np.concatenate([counts * (length - 1) for _, counts, length in found])
    order = np.lexsort((at, lengths, -saved))[:most]
    return [text[a : a + n] for a, n in zip(at[order].tolist(), lengths[order].tolist(), strict=True)]
