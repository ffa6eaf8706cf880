"""
A checkpoint in the formats of a recipe, encoded when its tensors are loaded.

Any writer can write it and any executor run it; the numbers pass a few megabytes at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from rookery.errors import NumericError
from rookery.formats import Checkpoint
from rookery.formats.lazy import DTYPES, stored_bytes
from rookery.quant import FORMATS, WeightFormat, encode_rows
from rookery.quantize.recipes import Recipe, plan
from rookery.weights import Tensor

__all__ = ["Importance", "quantized"]

# Official name of a matrix -> how much each of its columns counts, float32 (columns,).
Importance = Mapping[str, np.ndarray]

_PIECE = 1 << 22  # numbers converted at a time


def quantized(
    checkpoint: Checkpoint, chosen: Recipe, importance: Importance | None = None, threads: int = 1
) -> Checkpoint:
    """The checkpoint with every tensor in the recipe's format; nothing but low-rank matrices has been read yet.

    importance: from `calibrate`; columns of a matrix without it count alike.
    Loading a tensor raises NumericError, naming it, for NaN, infinity, or numbers its format cannot hold.
    """
    weights = importance or {}
    formats = plan(checkpoint.tensors, chosen)
    tensors = {
        name: _encoded(name, tensor, formats[name], partial(_rows, weights.get(name), threads), checkpoint.release)
        for name, tensor in checkpoint.tensors.items()
    }
    return replace(checkpoint, tensors=tensors)


Encode = Callable[[WeightFormat, np.ndarray], np.ndarray]


def _rows(importance: np.ndarray | None, threads: int, kind: WeightFormat, numbers: np.ndarray) -> np.ndarray:
    if kind.block > 1:
        return encode_rows(kind, numbers, importance, threads)
    assert kind.encode is not None
    stored = kind.encode(numbers)
    if not np.isfinite(kind.decode(stored)).all():
        raise NumericError(f"it holds NaN, infinity, or numbers beyond the range of {kind.name}; try another recipe")
    return stored


def _encoded(name: str, tensor: Tensor, format: str, encode: Encode, release: Callable[[], None]) -> Tensor:
    if format == tensor.format:
        return tensor
    kind = FORMATS[format]

    def load() -> np.ndarray:
        stored = np.empty(stored_bytes(format, tensor.shape, f"tensor {name!r}"), np.uint8)
        at = 0
        for numbers in _pieces(tensor):
            try:
                piece = encode(kind, numbers).reshape(-1).view(np.uint8)
            except NumericError as error:
                raise NumericError(f"tensor {name!r}: {error}") from None
            stored[at : at + piece.size] = piece
            at += piece.size
            release()
        return _shaped(stored, format, tensor.shape)

    return Tensor(format, tensor.shape, load, tensor.name)


def _pieces(tensor: Tensor) -> Iterator[np.ndarray]:
    """The numbers as float32 (rows, columns), some rows at a time."""
    stored = tensor.load()
    rows = stored.reshape(-1, stored.shape[-1])
    step = max(1, _PIECE // tensor.shape[-1])
    return (tensor.kind.decode(rows[i : i + step]).astype(np.float32) for i in range(0, len(rows), step))


def _shaped(stored: np.ndarray, format: str, shape: tuple[int, ...]) -> np.ndarray:
    if format in DTYPES:
        return stored.view(DTYPES[format]).reshape(shape)
    return stored.reshape(*shape[:-1], -1)
