"""Writing a model in another format, streaming."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from rookery.errors import SettingsError
from rookery.formats.check import checked
from rookery.formats.checkpoint import Checkpoint
from rookery.formats.removal import check_removal
from rookery.formats.stream import DENSE, Progress
from rookery.formats.target import check_target
from rookery.quant import FORMATS

__all__ = ["WRITERS", "Writer", "dtypes", "format_of", "save_checkpoint"]

# Modules, imported when the format is chosen.
WRITERS = {
    "gguf": "rookery.formats.gguf_write",
    "hf": "rookery.formats.hf_writer",
    "pth": "rookery.formats.pth_writer",
    "rookery": "rookery.formats.native_writer",
    "safetensors": "rookery.formats.safetensors_writer",
}
_SUFFIXES = {
    ".pth": "pth",
    ".pt": "pth",
    ".safetensors": "safetensors",
    ".st": "safetensors",
    ".gguf": "gguf",
    ".rookery": "rookery",
    "": "hf",
}


class Writer(Protocol):
    """What the module of a format that can be written offers.

    A module whose files hold more than plain numbers lists what it can write in `DTYPES`.
    """

    def write(self, checkpoint: Checkpoint, path: Path, dtype: str | None, progress: Progress | None) -> None:
        """Write a checked checkpoint; `path` appears whole or not at all."""


def save_checkpoint(
    checkpoint: Checkpoint,
    path: str | Path,
    format: str | None = None,
    dtype: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a model to `path`, one piece of a tensor in memory at a time.

    format:   a key of `WRITERS`; by default what the suffix says, a Hugging Face directory where there is none.
    dtype:    one of `dtypes(format)`: "F32", "F16", "BF16", and block formats for GGUF; None keeps each tensor's type.
    progress: called with (bytes written, bytes in all).

    SettingsError for an unknown format or dtype, NumericError for numbers the dtype cannot hold, UnsupportedError for
    what the format has no place for.  A file that was there before survives every error.
    """
    path = Path(path)
    name = format_of(path, format)
    if dtype is not None and dtype not in dtypes(name):
        instead = "; rookery quantize writes it as .gguf, .rookery or .safetensors" if dtype in FORMATS else ""
        raise SettingsError(f"{dtype!r} cannot be written as {name}; known: {', '.join(dtypes(name))}{instead}")
    check_target(path, directory=name == "hf")
    writer = cast(Writer, importlib.import_module(WRITERS[name]))
    whole = checkpoint if checkpoint.config else checked(checkpoint)
    check_removal(whole.config, name, path)
    writer.write(whole, path, dtype, progress)


def format_of(path: Path, format: str | None = None) -> str:
    """The key of `WRITERS` for a path: `format` if given, else what the suffix says; SettingsError if neither does."""
    name = format or ("hf" if path.is_dir() else _SUFFIXES.get(path.suffix.lower()))
    if name is None:
        raise SettingsError(
            f"{path}: the suffix {path.suffix!r} does not say which format to write; name one of "
            f"{', '.join(WRITERS)}, such as --to hf for a Hugging Face directory"
        )
    if name not in WRITERS:
        raise SettingsError(f"{path}: models cannot be written as {name!r}; known formats: {', '.join(WRITERS)}")
    return name


def dtypes(format: str) -> tuple[str, ...]:
    """The weight formats that a file format can be written in."""
    own: tuple[str, ...] = getattr(importlib.import_module(WRITERS[format]), "DTYPES", DENSE)
    return own
