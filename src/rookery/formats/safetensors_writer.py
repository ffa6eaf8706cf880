"""Writing safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from rookery.formats.checkpoint import Checkpoint
from rookery.formats.stream import Progress, Stream, dense_parts
from rookery.formats.target import atomic

__all__ = ["write", "write_into", "write_stream"]


def write(checkpoint: Checkpoint, path: Path, dtype: str | None, progress: Progress | None) -> None:
    """Plain contents: the names, shapes and orientation of the official checkpoint."""
    kept = {key: value for key, value in checkpoint.metadata.items() if isinstance(value, str)}
    metadata = kept if checkpoint.format == "safetensors" else {}
    # "pt" is what readers built on torch look for; of web-rwkv's convention this file has nothing.
    write_stream(
        path, Stream(dense_parts(checkpoint, dtype), checkpoint.release, progress), metadata | {"format": "pt"}
    )


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
        entries[name] = {"dtype": part.format, "shape": list(part.tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin aligned
    return len(text).to_bytes(8, "little") + text
