"""
Multi-query associative recall: which value stood beside this key?

The protocol is zoology's (Arora et al., arXiv:2312.04927) at a size for processors: pairs of a key and a value, then
every key again, once, among other tokens; soon after the pairs more often than late.  Asked is the value, at the key.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rookery.evaluate.tracking.rows import Rows, started

__all__ = ["Recall"]

POWER = 0.01  # of the law by which late questions are rare: as (distance)^(POWER - 1)


@dataclass(frozen=True, slots=True)
class Recall:
    """Keys are the first half of the tokens, values the second, of which the tokens between the questions are too.

    In training a sequence has `fewest` to length / 8 pairs, longer ones in evaluation always length / 8.
    """

    name: str
    tokens: int = 256
    length: int = 64
    fewest: int = 4
    steps: int = 3000
    stream: bool = False

    @property
    def answers(self) -> int:
        return self.tokens // 2

    @property
    def vocab(self) -> int:
        return self.tokens + 1

    def rows(self, random: np.random.Generator, count: int, length: int) -> Rows:
        half, most = self.tokens // 2, max(1, min(length // 8, self.tokens // 2))
        few = min(self.fewest, most) if length == self.length else most
        pairs = random.integers(few, most + 1, (count, 1))
        keys = random.random((count, half)).argsort(1)[:, :most]
        values = random.random((count, half)).argsort(1)[:, :most] + half
        inputs = random.integers(half, self.tokens, (count, length))
        targets, asked = np.zeros_like(inputs), np.zeros(inputs.shape)
        places = _places(random, count, most, (length - 2 * most) // 2)
        row, number = np.nonzero(np.arange(most) < pairs)
        own = (row, number)
        inputs[row, 2 * number], inputs[row, 2 * number + 1] = keys[own], values[own]
        where = (row, 2 * pairs[row, 0] + 2 * places[own])
        inputs[where], targets[where], asked[where] = keys[own], values[own], 1
        return started(inputs, targets, asked, self.vocab - 1)


def _places(random: np.random.Generator, count: int, wanted: int, room: int) -> np.ndarray:
    """Different places below `room` in every row, (count, wanted), by the power law.

    The largest of log-weights with Gumbel noise are a draw without replacement.
    """
    weight = np.log(np.arange(1, room + 1)) * (POWER - 1)
    noisy = weight + random.gumbel(size=(count, room))
    return np.argsort(-noisy, axis=1)[:, :wanted]
