"""
Calibration: which inputs every matrix gets on a text.

An error in a weight shows in the output times the input it meets, so the second moments of the inputs, mean x xT, say
what an error costs and which other weights can make up for it.  They are kept in square panels along the diagonal,
as wide as a budget of memory allows: far columns rarely help each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rookery.errors import NumericError, SettingsError
from rookery.formats import Checkpoint
from rookery.layout import StateLayout
from rookery.ops.native import NativeExecutor
from rookery.parameters import parameters
from rookery.quantize.compensate import Panels

__all__ = ["second_moments"]

_ROWS = 64  # rows that go through the program together: all values of a call are kept
_BUDGET = 768 << 20  # bytes of all panels
_WIDEST = 1024  # columns of a panel; wider ones cost much time and win little
_UNIT = 256  # a panel is a whole number of the largest blocks


def second_moments(
    checkpoint: Checkpoint,
    tokens: Sequence[int],
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Panels]:
    """Second moments of the inputs of every matrix while the model reads tokens.

    Returns official names to panels, float32; matrices with the same input share theirs.  The embedding has no input.
    SettingsError for less than two tokens, NumericError, naming the matrix, where the moments are no finite numbers.
    """
    if len(tokens) < 2:
        raise SettingsError("the text to calibrate with has no tokens; give a longer one")
    reader = _Reader(checkpoint, threads)
    for at in range(0, len(tokens), _ROWS):
        reader.read(np.asarray(tokens[at : at + _ROWS], np.int32))
        if progress:
            progress(min(at + _ROWS, len(tokens)), len(tokens))
    checkpoint.release()
    for panels in reader.panels.values():
        for panel in panels:
            panel /= len(tokens)
    for name, value in reader.inputs.items():
        if not all(np.isfinite(panel).all() for panel in reader.panels[value]):
            raise NumericError(
                f"tensor {name!r}: the squares of its inputs on the text to calibrate with are NaN or beyond the range "
                "of F32; calibrate with another text, or not at all"
            )
    return {name: reader.panels[value] for name, value in reader.inputs.items()}


class _Reader:
    """A model that adds up the products of its matrices' inputs as it reads."""

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        assert checkpoint.config is not None  # open_checkpoint has filled it in
        layout = StateLayout(checkpoint.config)
        p = parameters(layout.config, checkpoint.tensors)
        self.executor = NativeExecutor(layout, p, threads=threads, block_rows=_ROWS, pack=False)
        self.state = layout.zeros()
        program = self.executor.program
        self.inputs = {
            program.matrices[op.matrix].name: op.inputs[0]
            for op in program.ops
            if op.name == "linear" and program.matrices[op.matrix].name in checkpoint.tensors
        }
        widths = {value: program.widths[value] for value in self.inputs.values()}
        wide = _panel(list(widths.values()))
        self.panels = {value: _zeros(width, wide) for value, width in widths.items()}

    def read(self, tokens: np.ndarray) -> None:
        every = np.arange(len(tokens), dtype=np.int32)
        top = self.executor.hidden(tokens, [len(tokens)], [self.state], every)
        for value, panels in self.panels.items():
            x = top if value == self.executor.program.hidden else self.executor.value(value)
            start = 0
            for panel in panels:
                part = x[:, start : start + len(panel)]
                with np.errstate(over="ignore", invalid="ignore"):  # looked for in the end
                    panel += part.T @ part
                start += len(panel)


def _panel(widths: Sequence[int]) -> int:
    """The widest panel with which all fit into the budget."""
    wide = min(_WIDEST, max(widths, default=_UNIT))
    while wide > _UNIT and 4 * sum(width * min(wide, width) for width in widths) > _BUDGET:
        wide = -(-wide // (2 * _UNIT)) * _UNIT  # half of it, in whole units
    return wide


def _zeros(width: int, wide: int) -> Panels:
    sizes = [min(wide, width - start) for start in range(0, width, wide)]
    return [np.zeros((size, size), np.float32) for size in sizes]
