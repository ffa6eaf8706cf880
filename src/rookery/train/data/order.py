"""
Orders that are arithmetic: the i-th of n things in a shuffle, without shuffling anything.

A keyed Feistel network on just enough bits for n, walked along its cycle until it lands below n: a bijection on
[0, n) for every n and key, in no memory, the same on every machine.  The network alternates between halves that may
differ by one bit, so less than half of all numbers are ever walked past.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from rookery.errors import SettingsError

__all__ = ["Permutation"]

ROUNDS = 8
_MOST = 1 << 62
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Permutation:
    """A bijection on [0, n).

    n:   how many things; 1 to 2^62.
    key: whatever the order depends on, such as (seed, epoch); equal keys give equal orders.
    """

    def __init__(self, n: int, *key: int | str) -> None:
        if not 1 <= n <= _MOST:
            raise SettingsError(f"n is {n}, expected 1 to {_MOST}: there is nothing to order otherwise")
        self.n = n
        bits = max(2, (n - 1).bit_length())
        self._low = np.uint64(bits // 2)
        self._masks = ((1 << (bits // 2)) - 1, (1 << (bits - bits // 2)) - 1)
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8 * ROUNDS).digest()
        self._keys = np.frombuffer(digest, "<u8").astype(np.uint64)

    def __call__(self, at: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """What stands at these places.  at: integers in [0, n), any shape; an array of that shape."""
        places = np.asarray(at, np.int64)
        if places.size and (places.min() < 0 or places.max() >= self.n):
            raise SettingsError(f"a place is outside the order of {self.n}: expected 0 to {self.n - 1}")
        found = self._step(places.reshape(-1).astype(np.uint64))
        beyond = np.flatnonzero(found >= self.n)
        while len(beyond):
            walked = self._step(found[beyond])
            found[beyond] = walked
            beyond = beyond[walked >= self.n]
        return found.astype(np.int64).reshape(places.shape)

    def _step(self, numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        low_mask, high_mask = (np.uint64(mask) for mask in self._masks)
        low, high = numbers & low_mask, numbers >> self._low
        for i, key in enumerate(self._keys):
            if i % 2:
                low = low ^ (_mixed(high, key) & low_mask)
            else:
                high = high ^ (_mixed(low, key) & high_mask)
        return (high << self._low) | low


def _mixed(numbers: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64, on 64-bit numbers that wrap."""
    z = (numbers ^ key) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX[0]
    z = (z ^ (z >> np.uint64(27))) * _MIX[1]
    return z ^ (z >> np.uint64(31))
