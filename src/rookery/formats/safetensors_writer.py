"""Writing safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from rookery.formats import lazy, safetensors_blocks
from rookery.formats.checkpoint import Checkpoint
from rookery.formats.removal import noted
from rookery.formats.stream import Part, Progress, Stream, dense_parts
from rookery.formats.target import atomic
from rookery.quant import FORMATS

__all__ = ["write", "write_blocks", "write_into", "write_stream"]


def write(checkpoint: Checkpoint, path: Path, dtype: str | None, progress: Progress | None) -> None:
    """The names, shapes and orientation of the official checkpoint.

    A quantised model keeps its block formats where no dtype is given, which only rookery reads: see `write_blocks`.
    """
    if dtype is None and any(tensor.kind.block > 1 for tensor in checkpoint.tensors.values()):
        return write_blocks(checkpoint, path, progress)
    kept = {key: value for key, value in checkpoint.metadata.items() if isinstance(value, str)}
    metadata = (kept if checkpoint.format == "safetensors" else {}) | noted(checkpoint.config)
    # "pt" is what readers built on torch look for; of web-rwkv's convention this file has nothing.
    write_stream(
        path, Stream(dense_parts(checkpoint, dtype), checkpoint.release, progress), metadata | {"format": "pt"}
    )


def write_blocks(checkpoint: Checkpoint, path: Path, progress: Progress | None = None) -> None:
    """Every tensor in the type it has, block formats as `safetensors_blocks` describes.

    The widest element types come first, so that every tensor is aligned.  Metadata named "rookery." is kept.
    """
    tensors = checkpoint.tensors | checkpoint.initial_state
    ordered = sorted(tensors, key=lambda name: -lazy.DTYPES[_element(tensors[name].format)].itemsize)
    parts = {name: Part(tensors[name], tensors[name].format) for name in ordered}
    kept = {k: v for k, v in checkpoint.metadata.items() if k.startswith("rookery.") and isinstance(v, str)}
    metadata = kept | noted(checkpoint.config) | safetensors_blocks.listed(tensors)
    write_stream(path, Stream(parts, checkpoint.release, progress), metadata)


def write_stream(path: Path, stream: Stream, metadata: Mapping[str, str]) -> None:
    """A file with the parts of the stream in its order."""
    with atomic(path) as file:
        write_into(file, stream, metadata)


def write_into(file: BinaryIO, stream: Stream, metadata: Mapping[str, str]) -> None:
    """The same into a file that is open."""
    file.write(_header(stream, metadata))
    for name in stream.parts:
        for piece in stream.bytes_of(name):
            file.write(piece)


def _header(stream: Stream, metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, part in stream.parts.items():
        end = offset + part.nbytes
        entries[name] = {"dtype": _element(part.format), "shape": _shape(part), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin aligned
    return len(text).to_bytes(8, "little") + text


def _element(format: str) -> str:
    return format if format in lazy.DTYPES else "U8"


def _shape(part: Part) -> list[int]:
    *rows, numbers = part.tensor.shape
    return [*rows, numbers if part.format in lazy.DTYPES else FORMATS[part.format].row_bytes(numbers)]
