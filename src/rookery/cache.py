"""
The prefix cache: states of texts already read, found by their hash chain.

A prompt that begins like an earlier one starts from the longest prefix that is kept.  A state is a pure function of
the initial state and the tokens, and the chain identifies both, so a hit is as good as reading again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from rookery.state import State

__all__ = ["Entry", "StateCache"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A state, and the logits after its last token where they were computed."""

    state: State
    logits: np.ndarray | None

    @property
    def nbytes(self) -> int:
        return self.state.data.nbytes + (0 if self.logits is None else self.logits.nbytes)


class StateCache:
    """States by (model, chain), the least recently used given up first.

    budget: bytes to hold at most.  Safe to share between threads.
    """

    def __init__(self, budget: int = 256 << 20) -> None:
        self.budget = budget
        self.nbytes = 0
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[tuple[str, bytes], Entry] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, state: State, logits: np.ndarray | None = None) -> None:
        """Keep a state; logits kept earlier for the same state stay."""
        key = (state.model, state.chain)
        with self._lock:
            old = self._entries.pop(key, None)
            if old is not None:
                self.nbytes -= old.nbytes
                logits = old.logits if logits is None else logits
            entry = Entry(state, logits)
            if entry.nbytes > self.budget:
                entry = Entry(state, None)
            if entry.nbytes > self.budget:
                return
            self._entries[key] = entry
            self.nbytes += entry.nbytes
            while self.nbytes > self.budget:
                self.nbytes -= self._entries.popitem(last=False)[1].nbytes

    def longest(self, model: str, chains: list[bytes]) -> tuple[int, Entry] | None:
        """The entry for the longest prefix: `chains[i]` is the chain after i + 1 tokens.

        Returns the number of tokens it covers and the entry.  Covering every token is of use only with logits.
        """
        with self._lock:
            for count in range(len(chains), 0, -1):
                key = (model, chains[count - 1])
                entry = self._entries.get(key)
                if entry is not None and (count < len(chains) or entry.logits is not None):
                    self._entries.move_to_end(key)
                    self.hits += 1
                    return count, entry
            self.misses += 1
            return None

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.nbytes = 0
