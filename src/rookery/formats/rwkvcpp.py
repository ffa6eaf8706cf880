"""
rwkv.cpp files ("ggmf"): read into official names, shapes and values.

The program stores some tensors transformed (decays exponentiated, low-rank matrices transposed, v7's shift vectors in
one tensor); all of that is undone here, lazily.  Read only: GGUF has taken this format's place.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rookery.errors import FormatError, NumericError, TruncatedFile, UnsupportedError
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.lazy import computed, mapped, part, reshaped, stored_bytes, transposed
from rookery.formats.source import Source

__all__ = ["NAME", "read", "sniff"]

NAME = "rwkv.cpp"
MAGIC = struct.pack("<I", 0x67676D66)

# Far above any real file; they bound the work a hostile file can ask for.
MAX_TENSORS = 1 << 16
MAX_NAME = 256
MAX_DIMS = 4

_TYPES = {0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q5_0", 8: "Q5_1", 9: "Q8_0", 13: "Q4_K", 14: "Q5_K", 15: "Q6_K"}
_OBSOLETE = {4: "Q4_1_O", 5: "Q4_2", 6: "Q4_3"}
_UNSUPPORTED = {10: "Q8_1", 11: "Q2_K", 12: "Q3_K", 16: "Q8_K"}
_BLOCK = re.compile(r"blocks\.([0-9]+)\.(.+)")
_LOW_RANK = {
    "6": {f"att.{name}" for name in ("time_maa_w1", "time_maa_w2", "time_decay_w1", "time_decay_w2")},
    "7": {f"att.{x}{i}" for x in "wavg" for i in (1, 2)},
}


class Header(NamedTuple):
    version: int
    vocab: int
    width: int
    layers: int
    type: int


def sniff(path: Path, head: bytes) -> bool:
    """Whether a file that begins with `head` is of rwkv.cpp."""
    return head.startswith(MAGIC)


def read(path: Path) -> Checkpoint:
    """An rwkv.cpp file as a checkpoint with official names.

    Raises FormatError or TruncatedFile when the file is damaged, UnsupportedError for versions and element types
    rookery does not read.
    """
    source = Source(path)
    header = _header(source)
    tensors: dict[str, Tensor] = {}
    while source.position < source.size:
        name, tensor = _tensor(source, header)
        if name in tensors or len(tensors) == MAX_TENSORS:
            raise FormatError(f"{path}: tensor {name!r} occurs twice, or there are more than {MAX_TENSORS} tensors")
        tensors[name] = tensor
    _check(path, header, tensors)
    return Checkpoint(
        path=path,
        format=NAME,
        tensors=_official(path, tensors),
        metadata={"rwkv.cpp version": header.version, "data type": _TYPES[header.type]},
        release=source.release,
    )


def _header(source: Source) -> Header:
    if source.take(4, "the magic number") != MAGIC:
        raise FormatError(f"{source.path}: this is no rwkv.cpp file: the magic number differs")
    header = Header(*source.unpack("<5i", "the header"))
    if header.version not in (100, 101):
        raise UnsupportedError(f"{source.path}: rwkv.cpp version {header.version}, expected 100 or 101")
    _type(source, header.type, header.version, "the file")
    if min(header.vocab, header.width, header.layers) < 1:
        raise FormatError(f"{source.path}: impossible sizes in the header: {header}")
    return header


def _type(source: Source, code: int, version: int, what: str) -> str:
    if code in _OBSOLETE or code in _UNSUPPORTED:
        kind = (_OBSOLETE | _UNSUPPORTED)[code]
        raise UnsupportedError(f"{source.path}: {what} is stored as {kind}, which is not supported; convert it again")
    if code not in _TYPES:
        raise FormatError(f"{source.path}: {what} has the unknown data type {code}")
    if version == 100 and code > 1:
        raise UnsupportedError(
            f"{source.path}: {what} is stored as {_TYPES[code]} in the layout of version 100, which is obsolete; "
            f"quantise the model again"
        )
    return _TYPES[code]


def _tensor(source: Source, header: Header) -> tuple[str, Tensor]:
    dims, length, code = source.unpack("<3i", "a tensor header")
    if not 1 <= dims <= MAX_DIMS or not 1 <= length <= MAX_NAME:
        raise FormatError(
            f"{source.path}: a tensor with {dims} dimensions and a name of {length} bytes at byte "
            f"{source.position - 12}; the file is damaged"
        )
    shape = source.unpack(f"<{dims}i", "the dimensions of a tensor")[::-1]
    raw = source.take(length, "a tensor name")
    try:
        name = raw.decode("ascii")
    except UnicodeDecodeError:
        raise FormatError(f"{source.path}: the tensor name {raw[:40]!r} is not ASCII; the file is damaged") from None
    if min(shape) < 1:
        raise FormatError(f"{source.path}: tensor {name!r} has the impossible shape {shape}")
    format = _type(source, code, header.version, f"tensor {name!r}")
    tensor = mapped(source, source.position, format, shape, f"tensor {name!r}")
    source.position += stored_bytes(format, shape, name)
    return name, tensor


def _check(path: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    """What the header promises: an embedding of this size and blocks of these numbers."""
    if "head.weight" not in tensors:
        raise TruncatedFile(f"{path}: the file ends before 'head.weight'; fetch it again")
    shape = tensors["emb.weight"].shape if "emb.weight" in tensors else None
    if shape != (header.vocab, header.width):
        raise FormatError(f"{path}: 'emb.weight' has shape {shape}, expected {(header.vocab, header.width)}")
    blocks = {match[1] for name in tensors if (match := _BLOCK.fullmatch(name))}
    if header.layers > len(tensors) or blocks != {str(layer) for layer in range(header.layers)}:
        raise FormatError(f"{path}: the header promises {header.layers} blocks, but there are {len(blocks)}")


def _official(path: Path, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    version = _version(tensors)
    out: dict[str, Tensor] = {}
    for stored_name, tensor in tensors.items():
        for name, found in _convert(path, version, stored_name, tensor):
            if name in out:
                raise FormatError(f"{path}: tensor {name!r} is stored twice")
            out[name] = found
    return out


def _version(tensors: dict[str, Tensor]) -> str:
    marks = {"r_k": "7", "k_k": "7", "time_maa_x": "6", "ln_x.weight": "5"}
    return next((version for mark, version in marks.items() if f"blocks.0.att.{mark}" in tensors), "4")


def _convert(path: Path, version: str, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    match = _BLOCK.fullmatch(name)
    rest, what = match[2] if match else name, f"{path}: tensor {name!r}"
    if version == "7" and rest == "att.x_rwkvag":
        yield from _vectors(name.removesuffix("rwkvag"), tensor, what)
    elif rest in _LOW_RANK.get(version, ()):
        yield name, transposed(tensor, what)
    elif version == "5" and rest in ("att.time_decay", "att.time_first", "att.time_faaaa"):
        yield name, _lanes(_undone(tensor, rest, version, what))
    elif rest == "att.time_faaaa":
        yield name, _lanes(tensor)
    elif version == "4" and rest in ("att.time_decay", "att.time_first"):
        yield name, reshaped(_undone(tensor, rest, version, what), (_size(tensor),), what)
    elif match and (".time_" in name or rest in ("ffn.x_k", *(f"att.{x}" for x in ("w0", "a0", "v0", "k_k", "k_a")))):
        yield name, reshaped(tensor, (1, 1, _size(tensor)), what)
    else:
        yield name, tensor


def _vectors(prefix: str, tensor: Tensor, what: str) -> Iterator[tuple[str, Tensor]]:
    """`x_r` ... `x_g` out of the one tensor that holds them."""
    if tensor.shape[0] != 6:
        raise FormatError(f"{what} has shape {tensor.shape}, expected (6, 1, width)")
    for index, letter in enumerate("rwkvag"):
        row = part(tensor, index)
        yield prefix + letter, reshaped(row, (1, 1, _size(row)), what)


def _lanes(tensor: Tensor) -> Tensor:
    """(heads, lanes, 1) as (heads, lanes); (heads, 1, 1) as (heads,)."""
    shape = tensor.shape
    while len(shape) > 1 and shape[-1] == 1:
        shape = shape[:-1]
    return reshaped(tensor, shape, "lanes")


class _Inverse(NamedTuple):
    """Back from a stored number to the trained one, between bounds that no finite stored number reaches.

    A stored 0 or 1, float32's limits, has no finite logarithm: the bounds give the same stored number again.
    """

    function: Callable[[np.ndarray], np.ndarray]
    least: float
    most: float = np.inf


_INVERSES = {
    ("4", "att.time_decay"): _Inverse(lambda x: np.log(-x), -110),  # stored: -exp(decay)
    ("5", "att.time_decay"): _Inverse(lambda x: np.log(-np.log(x)), -20, 5),  # stored: exp(-exp(decay))
    ("5", "att.time_first"): _Inverse(np.log, -110),  # stored: exp(first)
}


def _undone(tensor: Tensor, rest: str, version: str, what: str) -> Tensor:
    """The trained parameter behind a stored decay or bonus; computed in float64, given as float32."""
    inverse = _INVERSES.get((version, rest))
    if inverse is None:
        return tensor

    def undo(x: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            raw = inverse.function(x.astype(np.float64)).astype(np.float32)
        if np.isnan(raw).any():
            raise NumericError(f"{what} holds numbers that no {rest} can give; the file is damaged")
        return raw.clip(inverse.least, inverse.most)

    return computed(tensor, undo)


def _size(tensor: Tensor) -> int:
    return int(np.prod(tensor.shape, dtype=object))
