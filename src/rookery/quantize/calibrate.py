"""
Calibration: how large the inputs of every matrix are on a text.

An error in a weight shows in the output times the input it meets, so the mean square of each input says how much the
squared error of its column counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rookery.errors import SettingsError
from rookery.formats import Checkpoint
from rookery.layout import StateLayout
from rookery.ops.native import NativeExecutor
from rookery.parameters import parameters

__all__ = ["second_moments"]

_ROWS = 32  # rows that go through the program together: all values of a call are kept
_FLOOR = 1e-3  # of the mean: what one text never excites another may


def second_moments(
    checkpoint: Checkpoint,
    tokens: Sequence[int],
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, np.ndarray]:
    """Mean squares of the inputs of every matrix while the model reads tokens.

    Returns official names to float32 (columns,), scaled to a mean of 1, with small ones raised to a thousandth.
    The embedding has no input.  SettingsError for less than two tokens.
    """
    if len(tokens) < 2:
        raise SettingsError("the text to calibrate with has no tokens; give a longer one")
    reader = _Reader(checkpoint, threads)
    for at in range(0, len(tokens), _ROWS):
        reader.read(np.asarray(tokens[at : at + _ROWS], np.int32))
        if progress:
            progress(min(at + _ROWS, len(tokens)), len(tokens))
    checkpoint.release()
    return {name: _scaled(sums) for name, sums in reader.sums.items()}


class _Reader:
    """A model that adds up the squares of its matrices' inputs as it reads."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        assert checkpoint.config is not None  # open_checkpoint has filled it in
        layout = StateLayout(checkpoint.config)
        p = parameters(layout.config, checkpoint.tensors, lambda name, tensor: replace(tensor, name=name))
        self.executor = NativeExecutor(layout, p, threads=threads, block_rows=_ROWS, pack=False)
        self.state = layout.zeros()
        self.sums: dict[str, np.ndarray] = {}
        program = self.executor.program
        self._head = program.hidden
        self._inputs = {
            program.matrices[op.matrix].name: op.inputs[0]
            for op in program.ops
            if op.name == "linear" and program.matrices[op.matrix].name in checkpoint.tensors
        }

    def read(self, tokens: np.ndarray) -> None:
        every = np.arange(len(tokens), dtype=np.int32)
        top = self.executor.hidden(tokens, [len(tokens)], [self.state], every)
        squares: dict[int, np.ndarray] = {self._head: _squares(top)}
        for name, value in self._inputs.items():
            if value not in squares:
                squares[value] = _squares(self.executor.value(value))
            self.sums[name] = self.sums.get(name, 0.0) + squares[value]


def _squares(x: np.ndarray) -> np.ndarray:
    squares: np.ndarray = np.square(x, dtype=np.float64).sum(axis=0)
    return squares


def _scaled(sums: np.ndarray) -> np.ndarray:
    mean = sums.mean()
    if not mean > 0:
        return np.ones(len(sums), np.float32)
    return np.maximum(sums / mean, _FLOOR).astype(np.float32)
