"""
Views of tensors that have not been read: reshaped, transposed, sliced, stored otherwise.

Nothing here touches a number until `load` is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rookery.errors import FormatError, NumericError
from rookery.formats.checkpoint import Tensor
from rookery.formats.source import Source
from rookery.quant import FORMATS

__all__ = [
    "DTYPES",
    "array",
    "check_shape",
    "computed",
    "mapped",
    "part",
    "pieces",
    "reshaped",
    "row_major",
    "squeezed",
    "stacked",
    "stored_bytes",
    "transposed",
    "widened",
]

# Element types of torch and safetensors files to the numpy type that holds the bits.
DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F64": np.dtype("<f8"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("u1"),
}

_MAX_DIMENSIONS = 8
_MAX_LENGTH = 1 << 40  # of one dimension; keeps every product far from the limits of numpy


def check_shape(shape: Any, what: str) -> tuple[int, ...]:
    """`shape` as a tuple of sane lengths; FormatError, beginning with `what`, otherwise."""
    if not isinstance(shape, list | tuple) or len(shape) > _MAX_DIMENSIONS:
        raise FormatError(f"{what} has no valid shape; expected at most {_MAX_DIMENSIONS} lengths")
    for length in shape:
        if type(length) is not int or not 0 <= length <= _MAX_LENGTH:
            raise FormatError(f"{what} has no valid shape; expected lengths from 0 to 2^40")
    return tuple(shape)


def stored_bytes(format: str, shape: tuple[int, ...], what: str) -> int:
    """Bytes of a tensor in storage; FormatError, beginning with `what`, when its rows are no whole blocks."""
    if format in DTYPES:
        return math.prod(shape) * DTYPES[format].itemsize
    kind = FORMATS[format]
    if shape[-1] % kind.block:
        raise FormatError(f"{what} has rows of {shape[-1]} numbers, but {format} needs a multiple of {kind.block}")
    return math.prod(shape[:-1]) * kind.row_bytes(shape[-1])


def mapped(source: Source, offset: int, format: str, shape: tuple[int, ...], what: str) -> Tensor:
    """A contiguous tensor at `offset` of a mapped file; TruncatedFile, naming `what`, when the bytes are not there."""
    count = stored_bytes(format, shape, f"{source.path}: {what}")
    source.view(offset, count, what)

    def load() -> np.ndarray:
        raw = source.view(offset, count, what)
        if format not in DTYPES:
            return raw.reshape(*shape[:-1], -1)
        return _aligned(raw.view(DTYPES[format]).reshape(shape))

    return Tensor(format, shape, load)


def _aligned(x: np.ndarray) -> np.ndarray:
    """Kernels want natural alignment; most writers give it, so the copy is rare."""
    return x if x.flags.aligned else x.copy()


def array(format: str, x: np.ndarray) -> Tensor:
    """A tensor that is already in memory, in the storage form `Tensor` describes for a dense `format`."""
    return Tensor(format, x.shape, lambda: x)


def reshaped(tensor: Tensor, shape: tuple[int, ...], what: str = "a tensor") -> Tensor:
    """The same numbers under another shape; FormatError, beginning with `what`, when the sizes differ.

    Block formats keep their form while their rows stay whole, and become float32 when loaded otherwise.
    """
    if tensor.shape == shape:
        return tensor
    if math.prod(tensor.shape) != math.prod(shape):
        raise FormatError(f"{what} has shape {tensor.shape}, expected {shape}")
    if not _blocks(tensor):
        return Tensor(tensor.format, shape, lambda: tensor.load().reshape(shape))
    if tensor.shape[-1:] != shape[-1:]:
        return computed(tensor, lambda x: x.reshape(shape), shape)
    return Tensor(tensor.format, shape, lambda: tensor.load().reshape(*shape[:-1], -1))


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without its lengths of 1."""
    return tuple(length for length in shape if length != 1)


def transposed(tensor: Tensor, what: str = "a tensor") -> Tensor:
    """The last two dimensions swapped; block formats become float32 when loaded."""
    if len(tensor.shape) < 2:
        raise FormatError(f"{what} has shape {tensor.shape}, expected a matrix")
    shape = (*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2])
    if _blocks(tensor):
        return computed(tensor, lambda x: x.swapaxes(-1, -2), shape)
    return Tensor(tensor.format, shape, lambda: tensor.load().swapaxes(-1, -2))


def part(tensor: Tensor, index: int) -> Tensor:
    """`tensor[index]` along the first dimension."""
    return Tensor(tensor.format, tensor.shape[1:], lambda: tensor.load()[index])


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape under a new slowest dimension, as float32."""
    return Tensor("F32", (len(tensors), *tensors[0].shape), lambda: np.stack([t.numpy() for t in tensors]))


def computed(
    tensor: Tensor, function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...] | None = None
) -> Tensor:
    """function(float32 numbers), evaluated when loaded; of `shape` where the function changes it."""
    return Tensor("F32", shape or tensor.shape, lambda: np.ascontiguousarray(function(tensor.numpy()), np.float32))


def widened(tensor: Tensor, name: str) -> Tensor:
    """An F64 tensor as F32; NumericError, naming the tensor, when a number does not fit."""

    def load() -> np.ndarray:
        wide = tensor.load()
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float32)
        if np.isinf(narrow).any() and not np.isinf(wide).any():
            raise NumericError(f"tensor {name!r} is F64 and holds numbers beyond the range of F32; rescale the model")
        return narrow

    return Tensor("F32", tensor.shape, load)


def pieces(tensor: Tensor, nbytes: int = 4 << 20) -> Iterator[np.ndarray]:
    """The storage array in runs along its first dimension of about `nbytes` each, views where possible."""
    stored = tensor.load()
    if stored.ndim == 0:
        stored = stored[None]
    step = max(1, nbytes * len(stored) // max(stored.nbytes, 1))
    return (stored[i : i + step] for i in range(0, len(stored), step))


def _blocks(tensor: Tensor) -> bool:
    return tensor.format in FORMATS and FORMATS[tensor.format].block > 1


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides, in elements, of a contiguous tensor."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
