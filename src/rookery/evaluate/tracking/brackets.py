"""Modular arithmetic with brackets: (3*((1+4)-2)).  At every closing bracket its value is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rookery.evaluate.tracking.rows import Rows, started

__all__ = ["Brackets"]

Item = tuple[int, int, bool]  # token, its value, whether that is asked


@dataclass(frozen=True, slots=True)
class Brackets:
    """Digits 0 to modulus - 1, then + - * ( ) and the start token.

    An expression of 4 k + 1 tokens is a digit (k = 0) or an operation on two such expressions, which divide the tokens
    by chance.  Unlike the automata this needs a stack: states are not enough for expressions of any depth.
    """

    name: str
    modulus: int
    length: int = 61
    steps: int = 2000
    stream: bool = False

    @property
    def answers(self) -> int:
        return self.modulus

    @property
    def vocab(self) -> int:
        return self.modulus + 6

    def rows(self, random: np.random.Generator, count: int, length: int) -> Rows:
        """The nearest length that an expression can have, from below."""
        found = np.array([self._expression(random, (length - 1) // 4)[0] for _ in range(count)])
        tokens, values, asked = found.transpose(2, 0, 1)
        return started(tokens, values, asked, self.vocab - 1)

    def _expression(self, random: np.random.Generator, operations: int) -> tuple[list[Item], int]:
        """Its items and its value."""
        if operations < 1:
            digit = int(random.integers(self.modulus))
            return [(digit, 0, False)], digit
        first = int(random.integers(operations))
        a, x = self._expression(random, first)
        b, y = self._expression(random, operations - 1 - first)
        kind = int(random.integers(3))
        value = (x + y, x - y, x * y)[kind] % self.modulus
        opened, operator, closed = ((self.modulus + i, 0, False) for i in (3, kind, 4))
        return [opened, *a, operator, *b, (closed[0], value, True)], value
