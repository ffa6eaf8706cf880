"""
safetensors: a JSON header, then the numbers.

The reader is strict: the header lists every tensor once, the tensors fill the rest of the file without gap or
overlap, and each has exactly the bytes its type and shape need.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from rookery.errors import FormatError, TruncatedFile, UnsupportedError
from rookery.formats import lazy, names, safetensors_blocks
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.source import Source

__all__ = ["NAME", "STATE", "parse_json", "read", "read_metadata", "read_tensors", "read_unnamed", "sniff"]

NAME = "safetensors"
STATE = "rookery.state"  # metadata that only state files have

_MAX_HEADER = 16 << 20  # bytes; a model of 10,000 tensors needs 1 MB, and parsed JSON takes many times its size
_MAX_NAME = 500


def sniff(path: Path, head: bytes) -> bool:
    """A plausible header length followed by a JSON object.

    Four zero bytes in the length tell it from formats with a magic and a version there, such as GGUF.
    """
    return head[4:9] == b"\0\0\0\0{"


def read(path: Path) -> Checkpoint:
    """The tensors under official names, unchecked; the file's `__metadata__` as metadata."""
    opened = read_unnamed(path)
    if STATE in opened.metadata:
        raise FormatError(f"{path}: this is a state, not a model; give it with --state, beside its model")
    return replace(opened, tensors=names.official(opened.tensors, str(path)))


def read_unnamed(path: Path) -> Checkpoint:
    """The tensors under the names in the file."""
    source = Source(path)
    tensors, metadata = _tensors(source)
    return Checkpoint(path, NAME, tensors, dict(metadata), release=source.release)


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor and the metadata of a file, with no idea of what they mean.

    Element types are those of `lazy.DTYPES`.  FormatError, TruncatedFile or UnsupportedError, naming the file.
    """
    return _tensors(Source(Path(path)))


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata alone, whatever the tensors are like; errors as of `read_tensors`."""
    source = Source(path)
    return _metadata(source, _header(source).get("__metadata__", {}))


def parse_json(text: bytes, what: str) -> dict[str, Any]:
    """A JSON object from an untrusted file; FormatError, beginning with `what`, for damage or a repeated key."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) != len(pairs):
            raise FormatError(f"{what} lists a name twice; fetch the file again")
        return out

    try:
        root = json.loads(text.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not valid JSON ({str(error)[:100]}); fetch the file again") from None
    if not isinstance(root, dict):
        raise FormatError(f"{what} is not a JSON object; fetch the file again")
    return root


def _header(source: Source) -> dict[str, Any]:
    size = source.unpack("<Q", "the header length")[0]
    if size > _MAX_HEADER:
        raise FormatError(f"{source.path}: the header claims {size} bytes; expected at most {_MAX_HEADER}")
    return parse_json(source.take(size, "the header"), f"{source.path}: the header")


def _tensors(source: Source) -> tuple[dict[str, Tensor], dict[str, str]]:
    header = _header(source)
    metadata = _metadata(source, header.pop("__metadata__", {}))
    place = [_place(source, name, entry) for name, entry in header.items()]
    _check_cover(source, place)
    start = source.position
    tensors = {n: lazy.mapped(source, start + a, f, shape, f"tensor {n!r}") for a, _, n, f, shape in place}
    blocks = metadata.pop(safetensors_blocks.KEY, None)
    if blocks is not None:
        formats = parse_json(blocks.encode(), f"{source.path}: the metadata {safetensors_blocks.KEY!r}")
        tensors = safetensors_blocks.restored(tensors, formats, str(source.path))
    return tensors, metadata


def _metadata(source: Source, found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise FormatError(f"{source.path}: '__metadata__' must map names to strings")
    return found


_Place = tuple[int, int, str, str, tuple[int, ...]]  # begin, end, name, element type, shape


def _place(source: Source, name: str, entry: Any) -> _Place:
    what = f"{source.path}: tensor {name[:_MAX_NAME]!r}"
    if len(name) > _MAX_NAME or not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise FormatError(f"{what} has no valid entry; expected dtype, shape and data_offsets")
    format, offsets = entry["dtype"], entry["data_offsets"]
    if not isinstance(format, str) or format not in lazy.DTYPES:
        raise UnsupportedError(
            f"{what} has element type {str(format)[:40]!r}; expected one of {', '.join(lazy.DTYPES)}"
        )
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(type(x) is int for x in offsets):
        raise FormatError(f"{what} has no valid data_offsets; expected [begin, end]")
    shape = lazy.check_shape(entry["shape"], what)
    needed = math.prod(shape) * lazy.DTYPES[format].itemsize
    if offsets[1] - offsets[0] != needed:
        raise FormatError(f"{what}, {format} of shape {shape}, needs {needed} bytes, not {offsets[1] - offsets[0]}")
    return offsets[0], offsets[1], name, format, shape


def _check_cover(source: Source, places: list[_Place]) -> None:
    """The tensors follow each other from the first byte behind the header to the end of the file."""
    end = 0
    for begin, following, name, *_ in sorted(places):
        if begin != end:
            raise FormatError(f"{source.path}: tensor {name!r} begins at {begin}, expected {end}: a gap or an overlap")
        end = following
    available = source.size - source.position
    if end > available:
        raise TruncatedFile(
            f"{source.path}: the header promises {end} bytes of tensors, but the file has {available}; it was not "
            "copied completely, fetch it again"
        )
    if end < available:
        raise FormatError(f"{source.path}: {available - end} bytes follow the last tensor; expected none")
