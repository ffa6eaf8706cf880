"""
Tokens on disk: a folder that is mapped, never read whole.

    tokens.bin     ids, uint16 where the vocabulary fits, else uint32
    documents.idx  int64: where each document begins, and the end of the last
    mask.bin       uint8 for each token: whether it is learned; absent where all are
    meta.json      what made it, counts, and a hash over samples

A document begins with the leading token, which is never learned.  What is learned after its last token, where
anything is, is the ending token, which is not stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import FormatError, TruncatedFile

__all__ = ["DOCUMENTS", "MASK", "META", "TOKENS", "VERSION", "Tokens", "sampled"]

VERSION = 1
TOKENS, DOCUMENTS, MASK, META = "tokens.bin", "documents.idx", "mask.bin", "meta.json"
BLOCKS, BLOCK = 64, 4096  # sampled of every file
_LARGEST_META = 1 << 26


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokenised documents.

    ids:       (tokens,) uint16 or uint32, mapped.
    documents: (documents + 1,) int64: document i is ids[documents[i] : documents[i + 1]].
    mask:      (tokens,) uint8, whether each token is learned; None where all are.
    meta:      as in meta.json.
    """

    ids: np.ndarray
    documents: np.ndarray
    mask: np.ndarray | None
    meta: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Tokens:
        """From a folder.  FormatError or TruncatedFile where it is not what was written."""
        meta = _meta(folder)
        dtype = np.dtype("<u2" if meta["dtype"] == "uint16" else "<u4")
        mask = _mapped(folder / MASK, np.dtype(np.uint8), meta["tokens"]) if meta["masked"] else None
        tokens = cls(
            _mapped(folder / TOKENS, dtype, meta["tokens"]),
            _mapped(folder / DOCUMENTS, np.dtype("<i8"), meta["documents"] + 1),
            mask,
            meta,
        )
        if sampled(folder, tokens.mask is not None) != meta["sample"]:
            raise FormatError(f"{folder}: the tokens in it are not those that were written; delete the folder")
        return tokens

    def __len__(self) -> int:
        """Documents."""
        return len(self.documents) - 1

    @property
    def leading(self) -> int | None:
        """The token that begins every document."""
        value: int | None = self.meta["leading"]
        return value

    @property
    def ending(self) -> int | None:
        """The token that is learned after the last of a document."""
        value: int | None = self.meta["ending"]
        return value

    @property
    def bytes_per_token(self) -> float:
        """Of text; leading tokens count as tokens."""
        return float(self.meta["bytes"] / self.meta["tokens"])

    @property
    def fingerprint(self) -> str:
        """32 hex digits: which tokens these are, wherever they lie."""
        names = ("tokenizer", "documents", "tokens", "targets", "leading", "ending", "sample")
        return hashlib.blake2b(json.dumps([self.meta[n] for n in names]).encode(), digest_size=16).hexdigest()


def sampled(folder: Path, masked: bool) -> str:
    """A hash over evenly spaced blocks of every file, the first and last included."""
    digest = hashlib.blake2b(digest_size=16)
    for name in (TOKENS, DOCUMENTS, *([MASK] if masked else [])):
        with open(folder / name, "rb") as file:
            size = file.seek(0, 2)
            for at in np.linspace(0, max(0, size - BLOCK), BLOCKS).astype(np.int64):
                file.seek(int(at))
                digest.update(file.read(BLOCK))
    return digest.hexdigest()


def _meta(folder: Path) -> dict[str, Any]:
    try:
        with open(folder / META, "rb") as file:
            meta = json.loads(file.read(_LARGEST_META))
        counts = [meta[name] for name in ("documents", "tokens", "targets", "bytes")]
        if meta["version"] != VERSION or not all(type(n) is int and n >= 0 for n in counts):
            raise ValueError("another version")
        for name in ("dtype", "masked", "sample", "tokenizer", "leading", "ending", "key"):
            _ = meta[name]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise FormatError(f"{folder}: not a folder of tokens of version {VERSION}; tokenise the data again") from None
    return dict(meta)


def _mapped(path: Path, dtype: np.dtype[Any], count: int) -> np.ndarray:
    try:
        size = path.stat().st_size
        if size != count * dtype.itemsize:
            raise TruncatedFile(f"{path}: {size} bytes, expected {count * dtype.itemsize}; tokenise the data again")
        return np.memmap(path, dtype, "r", shape=(count,))
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read ({error}); tokenise the data again") from None
