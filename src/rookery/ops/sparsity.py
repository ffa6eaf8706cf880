"""
Zeros that need not be multiplied: how many the channel mix's value matrices read, and what a file says of them.

Their inputs are squares of rectified numbers.  Skipping the zeros changes no bit of a result, but a matrix that is laid
out for it is slower where few are zero; so `rookery quantize` counts them, layer by layer, and writes it down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rookery.layout import StateLayout
from rookery.ops.native import NativeExecutor

__all__ = ["KEY", "PAYS", "inputs", "metadata", "paying_layers", "rounded", "zeros"]

KEY = "rookery.zeros"
PAYS = 0.65  # share of zeros from which skipping pays with some margin; docs/performance.md has the sweep
_ROWS = 64  # tokens that go through the model together
_RUN = 32  # inputs that are rounded with one scale
_MAX = 1 << 16  # characters worth parsing


def inputs(layout: StateLayout, p: Any, tokens: np.ndarray, threads: int = 1) -> Iterator[list[np.ndarray]]:
    """What the value matrix of each layer reads, float32 (rows, ffn), for some tokens after the other.

    p: parameters with `Tensor` leaves.  tokens: int32.
    """
    executor = NativeExecutor(layout, p, threads=threads, block_rows=_ROWS, pack=False)
    squares = [op.out for op in executor.program.ops if op.name == "relu2"]
    state = layout.zeros()
    for at in range(0, len(tokens), _ROWS):
        some = tokens[at : at + _ROWS]
        executor.hidden(some, [len(some)], [state], np.arange(len(some), dtype=np.int32))
        yield [executor.value(value) for value in squares]


def rounded(x: np.ndarray) -> np.ndarray:
    """Inputs, (rows, columns), rounded as the integer kernels do: the largest magnitude of 32 becomes 127."""
    runs = x.reshape(len(x), -1, _RUN)
    most = np.abs(runs).max(-1, keepdims=True)
    inverse = np.divide(np.float32(127), most, where=most > 1e-36, out=np.zeros_like(most))  # below, it overflows
    return np.rint(runs * inverse).reshape(x.shape)


def zeros(layout: StateLayout, p: Any, tokens: np.ndarray, threads: int = 1) -> list[float]:
    """The share of inputs that are zero once rounded, for each layer."""
    parts = [[(rounded(x) == 0).mean(1).sum() for x in layers] for layers in inputs(layout, p, tokens, threads)]
    return [float(sum(layer)) / len(tokens) for layer in zip(*parts, strict=True)]


def metadata(shares: list[float]) -> dict[str, str]:
    """What goes into a file."""
    return {KEY: json.dumps([round(share, 3) for share in shares])}


def paying_layers(metadata: Mapping[str, Any]) -> frozenset[int]:
    """The layers in which, by what the file says, skipping pays; none where it says nothing that can be read."""
    text = metadata.get(KEY)
    if not isinstance(text, str) or len(text) > _MAX:
        return frozenset()
    try:
        shares = json.loads(text)
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(shares, list) or not all(isinstance(share, int | float) for share in shares):
        return frozenset()
    return frozenset(layer for layer, share in enumerate(shares) if share >= PAYS)
