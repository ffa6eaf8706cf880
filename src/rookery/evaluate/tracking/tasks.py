"""
The tasks by name, and what a task offers.

Every sequence begins with a start token; without it the first token would have to create a state and change it at once.
Sequences are a pure function of the random numbers given, so that a cell of the study can be computed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np

from rookery.errors import SettingsError
from rookery.evaluate.tracking.brackets import Brackets
from rookery.evaluate.tracking.groups import alternating, products, symmetric
from rookery.evaluate.tracking.recall import Recall
from rookery.evaluate.tracking.rows import Rows, started

__all__ = ["TASKS", "Automaton", "Task", "task"]


class Task(Protocol):
    """
    name:    on the command line.
    vocab:   rows of the embedding and of the head: inputs, answers, and the start token, the last of all.
    answers: how many answers there are: a guess is right once in so many.
    length:  tokens of a sequence in training, without the start token.
    steps:   of training, where nothing else is said.
    stream:  the answer at every place is the one to the sequence up to there.
    """

    @property
    def name(self) -> str: ...
    @property
    def vocab(self) -> int: ...
    @property
    def answers(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def stream(self) -> bool: ...

    def rows(self, random: np.random.Generator, count: int, length: int) -> Rows:
        """`count` sequences of a start token and about `length` others."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A finite automaton: `table[input, state]` is the next state.  It begins in state 0; asked is every state."""

    name: str
    table: np.ndarray
    length: int = 64
    steps: int = 1000
    stream: bool = True

    @property
    def answers(self) -> int:
        return self.table.shape[1]

    @property
    def vocab(self) -> int:
        return max(self.table.shape) + 1

    def rows(self, random: np.random.Generator, count: int, length: int) -> Rows:
        inputs = random.integers(0, len(self.table), (count, length))
        states = np.zeros((count, length + 1), np.int64)
        for i in range(length):
            states[:, i + 1] = self.table[inputs[:, i], states[:, i]]
        return started(inputs, states[:, 1:], np.ones(inputs.shape), self.vocab - 1)


def _sums(modulus: int) -> np.ndarray:
    every = np.arange(modulus)
    return (every[:, None] + every) % modulus


def _cups(count: int) -> np.ndarray:
    """A ball under the first of some cups; a token swaps two of them."""
    table = np.tile(np.arange(count), (count * (count - 1) // 2, 1))
    for row, (a, b) in zip(table, combinations(range(count), 2), strict=True):
        row[[a, b]] = b, a
    return table


_ALL: tuple[Task, ...] = (
    Automaton("parity", _sums(2)),
    Automaton("sum5", _sums(5), steps=1500),
    Brackets("brackets", modulus=5),
    Automaton("cups3", _cups(3)),
    Automaton("cups5", _cups(5), steps=2000),
    Automaton("s3", products(symmetric(3)), length=32, steps=2000),
    Automaton("a5", products(alternating(5)), length=32, steps=3000),
    Automaton("s5", products(symmetric(5)), length=32, steps=3000),
    Recall("mqar"),
)
TASKS: dict[str, Task] = {each.name: each for each in _ALL}


def task(name: str) -> Task:
    """The task of that name; SettingsError, listing all, where there is none."""
    if name not in TASKS:
        raise SettingsError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    return TASKS[name]
