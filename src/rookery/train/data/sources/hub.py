"""Data sets of the Hugging Face hub or of a folder, through the `datasets` package where it is installed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rookery.errors import FormatError, MissingExtra, SettingsError
from rookery.train.data.sources.base import Document, Options, Source
from rookery.train.data.sources.records import record_pieces

__all__ = ["HubDataset", "from_spec"]

PREFIX = "hf:"


def from_spec(spec: str, options: Options) -> HubDataset:
    """`hf:name[:split[:field]]`; the split is "train" unless it is said."""
    parts = spec.removeprefix(PREFIX).split(":")
    if not parts[0] or len(parts) > 3:
        raise SettingsError(f"{spec}: expected hf:name, hf:name:split or hf:name:split:field")
    name, split, field = [*parts, "", ""][:3]
    return HubDataset(Path(name), replace(options, field=field) if field else options, split or "train")


class HubDataset(Source):
    """A data set that `datasets.load_dataset` knows."""

    def __init__(self, path: Path, options: Options, split: str) -> None:
        super().__init__(path, options)
        self.split = split
        self._loaded: Any = None

    def documents(self) -> Iterator[Document]:
        rows = self._rows()
        for i in range(len(rows)):
            where = f"{PREFIX}{self.path}:{self.split}, record {i}"
            yield Document(record_pieces(rows[i], self.options, where), where, i + 1)

    @property
    def size(self) -> int:
        """Records: how many bytes they are is not known beforehand."""
        return len(self._rows())

    def identity(self) -> list[Any]:
        """`datasets` names what a data set consists of; samples of the records tell the rest."""
        rows = self._rows()
        count = len(rows)
        picked = [rows[i * (count - 1) // 63] for i in range(64)] if count else []
        sample = hashlib.blake2b(json.dumps(picked, default=str, sort_keys=True).encode(), digest_size=16).hexdigest()
        return [str(self.path), self.split, count, sample]

    def _rows(self) -> Any:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> Any:
        name = f"{PREFIX}{self.path}"
        try:
            import datasets
        except ImportError:
            raise MissingExtra(f"{name}: needs the datasets package; install it: pip install datasets") from None
        try:
            return datasets.load_dataset(str(self.path), split=self.split)
        except Exception as error:  # whatever its loaders raise
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise FormatError(
                f"{name}: the split {self.split!r} cannot be loaded ({reason}); check name and split"
            ) from None
