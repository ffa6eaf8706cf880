"""
A hash chain over tokens: which text a state has read, in 16 bytes.

Each link is the hash of the link before it and one token, so the same tokens give the same chain however they were
cut into calls, and every prefix of a text has a chain of its own to be found by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

__all__ = ["START", "extend", "links", "origin"]

START = bytes(16)  # nothing read, zero state


def origin(initial: np.ndarray | None) -> bytes:
    """Where a chain begins: `START`, or the hash of a tuned initial state."""
    if initial is None:
        return START
    return hashlib.blake2b(np.ascontiguousarray(initial).data, digest_size=16).digest()


def links(start: bytes, tokens: Iterable[int]) -> Iterator[bytes]:
    """The chain after each token."""
    for token in tokens:
        start = hashlib.blake2b(start + int(token).to_bytes(4, "little"), digest_size=16).digest()
        yield start


def extend(start: bytes, tokens: Iterable[int]) -> bytes:
    """The chain after all tokens."""
    for link in links(start, tokens):
        start = link
    return start
