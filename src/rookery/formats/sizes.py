"""What tensors weigh: numbers, bytes and bits."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.lazy import DTYPES
from rookery.quant import FORMATS

__all__ = ["bytes_on_disk", "count", "total_bytes"]


def count(tensors: Iterable[Tensor]) -> int:
    """How many numbers there are."""
    return sum(math.prod(tensor.shape) for tensor in tensors)


def total_bytes(tensors: Iterable[Tensor], dtype: str | None = None) -> int:
    """Bytes of the numbers as they are stored, or in `dtype`: whole blocks, the last of a row filled up."""
    return sum(_bytes(tensor.shape, dtype or tensor.format) for tensor in tensors)


def bytes_on_disk(checkpoint: Checkpoint) -> int:
    """The size of the file, or of all files of a directory."""
    path = checkpoint.path
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def _bytes(shape: tuple[int, ...], format: str) -> int:
    if format in DTYPES:
        return math.prod(shape) * DTYPES[format].itemsize
    kind = FORMATS[format]
    *rows, last = shape or (1,)
    return math.prod(rows) * kind.row_bytes(-(-last // kind.block) * kind.block)
