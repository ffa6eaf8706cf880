"""Opening a model file of any format: which reader, then the checks."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from rookery.errors import FormatError
from rookery.formats.check import checked
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.source import regular

__all__ = ["READERS", "Reader", "open_checkpoint", "read_tensors", "read_unnamed"]

# Modules, imported when a file is sniffed.  The first that claims the file reads it: safetensors before pth, because
# a header of 640 bytes begins like a pickle.
READERS = {
    "gguf": "rookery.formats.gguf",
    "hf": "rookery.formats.hf",
    "rookery": "rookery.formats.native",
    "rwkv.cpp": "rookery.formats.rwkvcpp",
    "safetensors": "rookery.formats.safetensors",
    "pth": "rookery.formats.pth",
}

_HEAD = 64  # bytes


class Reader(Protocol):
    """What a format's module offers."""

    NAME: str

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether the reader wants the file.  head: the first 64 bytes, empty for a directory."""

    def read(self, path: Path) -> Checkpoint:
        """The tensors under official names; shapes are checked by the caller."""


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a model: a file of any known format, or a Hugging Face directory.

    Tensors come under official names in the order of `rookery.config.shapes`, vectors as (C,), everything else in
    its official shape; `config` is set; tuned states are in `initial_state`.  No number has been read yet.

    Raises FormatError and its kinds, or UnsupportedError, with one sentence that names the file and the tensor.
    """
    path = Path(path)
    return checked(_reader(path).read(path))


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Every tensor of a .pth or safetensors file under the name it has there, with no idea of what it means.

    For states, adapters and other companions of a model.
    """
    return read_unnamed(path).tensors


def read_unnamed(path: str | Path) -> Checkpoint:
    """The same with the metadata, where the format has any: an unchecked checkpoint."""
    path = Path(path)
    module = _reader(path)
    if not hasattr(module, "read_unnamed"):
        raise FormatError(f"{path}: expected a .pth or safetensors file")
    opened: Checkpoint = module.read_unnamed(path)
    return opened


def _reader(path: Path) -> Reader:
    head = _head(path)
    for module in READERS.values():
        reader = cast(Reader, importlib.import_module(module))
        if reader.sniff(path, head):
            return reader
    if head.startswith(b"version https://git-lfs"):
        raise FormatError(f"{path}: this is a Git LFS pointer, not the model; fetch it with: git lfs pull")
    raise FormatError(f"{path}: not a model in a known format; expected one of {', '.join(READERS)}")


def _head(path: Path) -> bytes:
    if path.is_dir():
        return b""
    try:
        with regular(path) as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise FormatError(f"{path}: cannot be opened ({error.strerror}); expected a model file or directory") from None
    if not head:
        raise FormatError(f"{path}: the file is empty; expected a model")
    return head
