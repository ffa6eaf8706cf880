"""
Block formats inside safetensors files, which have no element type for them.

Such a tensor is written as bytes, U8 of shape (rows, bytes per row), and the metadata entry `rookery.formats` maps its
name to its format.  The length of a row in numbers follows from the bytes.  Readers that do not know the entry see
plain bytes and refuse them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rookery.errors import FormatError, UnsupportedError
from rookery.formats.checkpoint import Tensor
from rookery.quant import FORMATS

__all__ = ["KEY", "listed", "restored"]

KEY = "rookery.formats"
_BLOCKS = {name: kind for name, kind in FORMATS.items() if kind.block > 1}


def listed(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The metadata entry for tensors in block formats; nothing where there are none."""
    formats = {name: tensor.format for name, tensor in tensors.items() if tensor.format in _BLOCKS}
    return {KEY: json.dumps(formats, separators=(",", ":"))} if formats else {}


def restored(tensors: dict[str, Tensor], formats: Mapping[str, Any], path: str) -> dict[str, Tensor]:
    """The tensors of a file with those that `formats` names in their block format and logical shape.

    FormatError for a name the file does not have and for bytes that are no whole blocks, UnsupportedError for a
    format that is not known, each naming the file and the tensor.
    """
    out = dict(tensors)
    for name, format in formats.items():
        what = f"{path}: tensor {name[:500]!r}"
        if name not in tensors:
            raise FormatError(f"{what} is listed in {KEY!r} but is not in the file; fetch the file again")
        if not isinstance(format, str) or format not in _BLOCKS:
            raise UnsupportedError(
                f"{what} has weight format {str(format)[:40]!r}; expected one of {', '.join(_BLOCKS)}"
            )
        out[name] = _restored(tensors[name], format, what)
    return out


def _restored(tensor: Tensor, format: str, what: str) -> Tensor:
    kind = FORMATS[format]
    if tensor.format != "U8" or not tensor.shape or not kind.holds_rows_of(tensor.shape[-1]):
        head = f"{kind.head} bytes and " if kind.head else ""
        raise FormatError(
            f"{what}, {tensor.format} of shape {tensor.shape}, is not {format}: expected U8 with rows of {head}a "
            f"multiple of {kind.nbytes} bytes"
        )
    *rows, nbytes = tensor.shape
    return Tensor(format, (*rows, kind.numbers(nbytes)), tensor.load)
