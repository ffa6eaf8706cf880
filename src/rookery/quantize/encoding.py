"""
A checkpoint in the formats of a recipe, encoded when its tensors are loaded.

Any writer can write it and any executor run it; the numbers pass a few megabytes at a time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from rookery.errors import NumericError
from rookery.formats import Checkpoint
from rookery.formats.lazy import DTYPES, stored_bytes
from rookery.quant import FORMATS, WeightFormat, encode_rows
from rookery.quant.clipping import EVERY_FORMAT_HOLDS, clips
from rookery.quantize.compensate import Compensation, Panels, encode_compensated
from rookery.quantize.recipes import Recipe, plan
from rookery.weights import Tensor

__all__ = ["Moments", "quantized"]

# Official name of a matrix -> second moments of its inputs.
Moments = Mapping[str, Panels]

_PIECE = 1 << 22  # numbers converted at a time


def quantized(checkpoint: Checkpoint, chosen: Recipe, moments: Moments | None = None, threads: int = 1) -> Checkpoint:
    """The checkpoint with every tensor in the recipe's format; nothing but low-rank matrices has been read yet.

    moments: from `second_moments`: errors are then compensated.  Matrices without are rounded one number at a time.
    Loading a tensor raises NumericError, naming it, for NaN, infinity, or numbers its format cannot hold.
    """
    known = moments or {}
    formats = plan(checkpoint.tensors, chosen)
    tensors = {
        name: _encoded(
            name, tensor, formats[name], _encoder(formats[name], known.get(name), threads), checkpoint.release
        )
        for name, tensor in checkpoint.tensors.items()
    }
    return replace(checkpoint, tensors=tensors, fingerprint=None, verify=lambda: None)


Encode = Callable[[WeightFormat, np.ndarray], np.ndarray]


def _encoder(format: str, panels: Panels | None, threads: int) -> Encode:
    """How rows become `format`.  What compensating needs is worked out when the first rows come, then kept."""
    if FORMATS[format].block == 1:
        return _dense
    if panels is None:
        return lambda kind, numbers: encode_rows(kind, numbers, threads=threads)
    plan = functools.cache(lambda: Compensation(panels, FORMATS[format].block))
    return lambda kind, numbers: encode_compensated(kind, numbers, plan(), threads)


def _check_range(kind: WeightFormat, numbers: np.ndarray) -> None:
    """NumericError for finite numbers that a block format has no scale for."""
    large = numbers[(np.abs(numbers) > EVERY_FORMAT_HOLDS).any(axis=1)]
    if kind.block > 1 and np.isfinite(large).all() and clips(kind, large, encode_rows(kind, large)):
        raise NumericError(f"it holds numbers beyond the range of {kind.name}; try another recipe")


def _dense(kind: WeightFormat, numbers: np.ndarray) -> np.ndarray:
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
                _check_range(kind, numbers)
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
