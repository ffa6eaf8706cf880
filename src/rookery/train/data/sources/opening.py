"""Which kind of source a path is, by its suffix; folders and patterns are all that lies in them."""

from __future__ import annotations

import glob
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from rookery.errors import SettingsError
from rookery.prompts import format_named
from rookery.train.data.sources.base import Options, Source
from rookery.train.data.sources.packed import SUFFIXES, plain_suffix

__all__ = ["KINDS", "open_sources"]

PACKABLE = (".txt", ".md", ".text", ".jsonl", ".ndjson")
_HERE = "rookery.train.data.sources"
# suffix: (module, class), imported when met
KINDS = {
    ".txt": ("text", "TextSource"),
    ".md": ("text", "TextSource"),
    ".text": ("text", "TextSource"),
    ".jsonl": ("lines", "JsonLines"),
    ".ndjson": ("lines", "JsonLines"),
    ".parquet": ("parquet", "Parquet"),
    ".idx": ("binidx", "BinIdx"),
    ".bin": ("binidx", "BinIdx"),
}


def open_sources(
    given: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], options: Options | None = None
) -> list[Source]:
    """The sources of a path, or of several, in order.

    given: a file, a folder, a pattern such as "tales/*.jsonl.xz", or "hf:name[:split[:field]]" for a data set of the
           Hugging Face hub.  Of `.bin` and `.idx` either, or their common beginning.
    SettingsError for what is absent or of no known kind.
    """
    options = options or Options()
    format_named(options.format)
    items = [given] if isinstance(given, str | os.PathLike) else list(given)
    return [source for item in items for source in _of(os.fspath(item), options)]


def _of(item: str, options: Options) -> list[Source]:
    if item.startswith("hf:"):
        from rookery.train.data.sources.hub import from_spec

        return [from_spec(item, options)]
    path = Path(item)
    if path.is_dir():
        return [_file(p, options) for p in _known(sorted(path.rglob("*")), item)]
    if path.exists():
        return [_file(path, options)]
    if Path(f"{item}.idx").exists():
        return [_file(Path(f"{item}.idx"), options)]
    if glob.has_magic(item):
        return [_file(p, options) for p in _known(sorted(map(Path, glob.glob(item, recursive=True))), item)]
    raise SettingsError(f"{item}: there is no such file; give a file, a folder, or a pattern such as 'tales/*.jsonl'")


def _known(paths: Sequence[Path], item: str) -> list[Path]:
    found = [p for p in paths if p.is_file() and p.suffix != ".bin" and _kind(p)]
    if not found:
        raise SettingsError(f"{item}: no training data in it; known are files named {_suffixes()}")
    return found


def _file(path: Path, options: Options) -> Source:
    kind = _kind(path)
    if kind is None:
        raise SettingsError(f"{path}: not a known kind of training data; known are files named {_suffixes()}")
    cls = getattr(importlib.import_module(f"{_HERE}.{kind[0]}"), kind[1])
    return cast(Source, cls(path, options))


def _kind(path: Path) -> tuple[str, str] | None:
    suffix = plain_suffix(path)
    return KINDS.get(suffix) if suffix in PACKABLE or path.suffix not in SUFFIXES else None


def _suffixes() -> str:
    return f"{', '.join(f'*{suffix}' for suffix in KINDS)}, the texts among them also packed as .gz or .xz"
