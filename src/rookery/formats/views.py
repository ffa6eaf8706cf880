"""
Tensors made of tensors, still unread: stored ranges of a file, other shapes, transposes, parts, stacks.

Dense tensors stay views of the mapped file.  Block formats keep their form while their rows stay whole, and become
float32 when loaded otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rookery.errors import FormatError, NumericError
from rookery.formats.checkpoint import Tensor
from rookery.formats.source import Source
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS, scaled

__all__ = ["computed", "part", "rescaled", "reshaped", "stacked", "stored", "stored_bytes", "transposed"]

_DENSE = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def stored_bytes(format: str, shape: tuple[int, ...], what: str) -> int:
    """Bytes of a tensor in storage; FormatError, naming `what`, when its rows are no whole blocks."""
    kind = FORMATS[format]
    if shape[-1] % kind.block:
        raise FormatError(f"{what} has rows of {shape[-1]} numbers, but {format} needs a multiple of {kind.block}")
    return math.prod(shape[:-1]) * kind.row_bytes(shape[-1])


def stored(source: Source, offset: int, format: str, shape: tuple[int, ...], what: str) -> Tensor:
    """The tensor at `offset` of a file.  Its range is checked now and read when it is loaded."""
    nbytes = stored_bytes(format, shape, f"{source.path}: {what}")
    source.view(offset, nbytes, what)

    def load() -> np.ndarray:
        raw = source.view(offset, nbytes, what)
        if format not in _DENSE:
            return raw.reshape(*shape[:-1], -1)
        dense = raw.view(_DENSE[format]).reshape(shape)
        return dense if dense.flags.aligned else dense.copy()  # native code needs aligned numbers

    return Tensor(format, shape, load)


def reshaped(tensor: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    """The same numbers in another shape; FormatError, naming `what`, when the sizes differ."""
    if math.prod(shape) != math.prod(tensor.shape) or 0 in shape:
        raise FormatError(f"{what} has shape {tensor.shape}, expected {shape}")
    if tensor.format in _DENSE:
        return Tensor(tensor.format, shape, lambda: tensor.load().reshape(shape))
    if shape[-1] != tensor.shape[-1]:
        return computed(tensor, lambda x: x.reshape(shape), shape)
    return Tensor(tensor.format, shape, lambda: tensor.load().reshape(*shape[:-1], -1))


def transposed(tensor: Tensor, what: str) -> Tensor:
    """The last two dimensions swapped."""
    if len(tensor.shape) < 2:
        raise FormatError(f"{what} has shape {tensor.shape}, expected a matrix")
    shape = (*tensor.shape[:-2], tensor.shape[-1], tensor.shape[-2])
    if tensor.format not in _DENSE:
        return computed(tensor, lambda x: x.swapaxes(-1, -2), shape)
    return Tensor(tensor.format, shape, lambda: tensor.load().swapaxes(-1, -2))


def part(tensor: Tensor, index: int) -> Tensor:
    """tensor[index], along the slowest dimension."""
    return Tensor(tensor.format, tensor.shape[1:], lambda: tensor.load()[index])


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape under a new slowest dimension, as float32."""
    return Tensor("F32", (len(tensors), *tensors[0].shape), lambda: np.stack([t.numpy() for t in tensors]))


def computed(
    tensor: Tensor, function: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...] | None = None
) -> Tensor:
    """function(float32 numbers), evaluated when loaded; of `shape` where the function changes it."""
    return Tensor("F32", shape or tensor.shape, lambda: np.ascontiguousarray(function(tensor.numpy()), np.float32))


def rescaled(tensor: Tensor, power: int, what: str) -> Tensor:
    """The numbers times 2**power, power >= 0, in the same format and exact.

    Loading raises NumericError, naming `what`, where a number (a scale, in block formats) leaves the format's range:
    no file made by dividing by 2**power can do that.
    """

    def load() -> np.ndarray:
        before = tensor.load()
        after = _times_power(tensor.format, before, power)
        if _infinities(tensor.format, after) > _infinities(tensor.format, before):
            raise NumericError(
                f"{what} overflows {tensor.format} when its division by 2^{power} is undone; the file is damaged"
            )
        return after

    return Tensor(tensor.format, tensor.shape, load)


def _times_power(format: str, data: np.ndarray, power: int) -> np.ndarray:
    if format in LAYOUTS:
        return scaled(format, data, power)
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = np.ldexp(FORMATS[format].decode(data), power)
        if format == "BF16":  # the lower half is zero before and after: nothing to round
            numbers = numbers.view(np.uint32) >> 16
        out: np.ndarray = numbers.astype(data.dtype)
        return out


def _infinities(format: str, data: np.ndarray) -> int:
    if format not in LAYOUTS:
        return int(np.isinf(FORMATS[format].decode(data)).sum())
    blocks = np.ascontiguousarray(data).view(LAYOUTS[format])
    return sum(int(np.isinf(blocks[f]).sum()) for f in ("d", "m", "dmin") if f in (LAYOUTS[format].names or ()))
