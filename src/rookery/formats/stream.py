"""
A checkpoint as a stream of bytes: one tensor after another, in the element types of the file being written.

Numbers pass in pieces of a few megabytes, converted on the way, and pages of the source are given back after each
piece, so converting needs the same memory whatever the size of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rookery.config import shapes
from rookery.errors import NumericError, SettingsError
from rookery.formats import lazy
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.quant import FORMATS

__all__ = ["DENSE", "Part", "Progress", "Stream", "converted", "dense_parts"]

Progress = Callable[[int, int], None]
DENSE = ("F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Part:
    """A tensor and the weight format it is to be written in."""

    tensor: Tensor
    format: str

    @property
    def nbytes(self) -> int:
        *rows, numbers = self.tensor.shape or (1,)
        return int(np.prod(rows, dtype=object)) * FORMATS[self.format].row_bytes(numbers)


class Stream:
    """The parts of a file being written, in order, with one count of the bytes that have passed.

    parts:    by the name they get in the file.
    release:  the source's; called after each piece.
    progress: called with (bytes done, bytes in all) after each piece.
    """

    def __init__(self, parts: Mapping[str, Part], release: Callable[[], None], progress: Progress | None) -> None:
        self.parts = parts
        self.total = sum(part.nbytes for part in parts.values())
        self.done = 0
        self._release = release
        self._progress = progress

    def bytes_of(self, name: str) -> Iterator[memoryview]:
        """The bytes of a part, row-major and little-endian, piece by piece.

        NumericError, naming the tensor, for a finite number that the new type cannot hold.
        """
        part = self.parts[name]
        for piece in lazy.pieces(part.tensor):
            data = converted(piece, part, name)
            yield data
            self.done += data.nbytes
            self._release()
            if self._progress:
                self._progress(self.done, self.total)


def dense_parts(checkpoint: Checkpoint, dtype: str | None) -> dict[str, Part]:
    """Weights and tuned states as the official trainers write them: official names and shapes, one type for all.

    dtype: "F32", "F16" or "BF16"; None keeps the type of each tensor.
    SettingsError for a quantised tensor without a dtype: these files hold plain numbers only.
    """
    assert checkpoint.config is not None
    wanted = shapes(checkpoint.config)
    parts = {}
    for name, tensor in (checkpoint.tensors | checkpoint.initial_state).items():
        format = dtype or tensor.format
        if format not in DENSE:
            raise SettingsError(
                f"tensor {name!r} is stored as {format}, which this file format cannot hold; choose a dtype, for "
                "example F16"
            )
        parts[name] = Part(lazy.reshaped(tensor, wanted[name]) if name in wanted else tensor, format)
    return parts


def converted(piece: np.ndarray, part: Part, name: str) -> memoryview:
    """Some rows of a part's tensor as the bytes to write; errors as of `Stream.bytes_of`."""
    if part.format != part.tensor.format:
        piece = _encode(FORMATS[part.tensor.format].decode(piece), part.format, name)
    return np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data


def _encode(numbers: np.ndarray, format: str, name: str) -> np.ndarray:
    kind = FORMATS[format]
    if kind.encode is None:
        raise SettingsError(f"weights cannot be written as {format}; choose a format that can be encoded")
    out = kind.encode(numbers)
    if format in ("F16", "BF16") and (np.isinf(kind.decode(out)) & np.isfinite(numbers)).any():
        hint = "choose BF16" if format == "F16" else "choose F32"
        raise NumericError(f"tensor {name!r} holds numbers beyond the range of {format}; {hint}")
    return out
