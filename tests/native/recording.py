"""
A stand-in for the native runner that writes down what it is told, for `core_check` to do on another processor.

The file is a row of records: a line `NAME NUMBERS... BYTES` with counts before lists, then BYTES raw bytes.
`tests/native/check/replay.cc` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from goldens import load_golden
from models_at_hand import golden_model

__all__ = ["Recording", "record_golden"]


class Recording:
    """What `rookery._native.Runner` is told while a model is loaded, and calls with the results they should have."""

    table, threads, nbytes = "recording", 1, 0

    def __init__(self) -> None:
        self.data = bytearray()

    def _write(self, name: str, numbers: Sequence[float], blob: np.ndarray | None = None) -> None:
        raw = b"" if blob is None else np.ascontiguousarray(blob).tobytes()
        self.data += " ".join([name, str(len(numbers)), *map(repr, numbers), str(len(raw))]).encode() + b"\n" + raw

    def vector(self, v: np.ndarray) -> None:
        self._write("vector", [], v)

    def embedding(self, format: int, rows: int, cols: int, data: np.ndarray) -> None:
        self._write("embedding", [format, rows, cols], data)

    def reserve(self, shapes: Sequence[tuple[int, int, int, bool]], width: int, lanes: int) -> None:
        self._write("reserve", [width, lanes, *(int(n) for shape in shapes for n in shape)])

    def matrix(self, place: int, data: np.ndarray) -> None:
        self._write("matrix", [place], data)

    def op(self, name: str, out: int, inputs: list[int], vectors: list[int], *rest: Any) -> None:
        """rest: matrix, scalar, heads, offset of the state, stage."""
        self._write(name, [out, *rest, len(inputs), *inputs, *vectors])

    def finish(self, *lists_and_sizes: Any) -> None:
        """Widths, buffers, widths of buffers; the result, the size of a state, rows of a block."""
        widths, buffers, buffer_widths, *sizes = lists_and_sizes
        self._write("finish", [*sizes, len(widths), *widths, *buffers, *buffer_widths])

    def expect(self, tokens: np.ndarray, logits: np.ndarray, tolerance: float) -> None:
        """The logits after each token, the state being zeros at first."""
        self._write("expect", [tolerance, *(int(t) for t in tokens)], logits.astype(np.float32))


def record_golden(name: str, path: Path, monkeypatch: Any, tolerance: float) -> None:
    """Write a golden model, its tokens and the official logits."""
    recording = Recording()
    monkeypatch.setattr("rookery.ops.native._runner", lambda threads: recording)
    golden = load_golden(name)
    golden_model(name).native()
    recording.expect(golden.tokens, golden.logits, tolerance)
    path.write_bytes(recording.data)
