"""
The cache of packed vocabularies: one file per source, named by the SHA-256 of that source.

A cache is never an error.  A damaged file is rebuilt, and where nothing can be written everything works without.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

from rookery._native import Trie
from rookery.errors import RookeryError

__all__ = ["trie_for"]


def trie_for(source: bytes, table: Callable[[], bytes]) -> Trie:
    """The trie of a vocabulary: from the cache, else built from `table()` and put there."""
    key = hashlib.sha256(source).digest()
    path = _folder() / f"vocabulary-{key.hex()}.v{Trie.FORMAT}"
    if not path.is_absolute():  # there is no home folder
        return Trie(table())
    trie = _read(path, key)
    if trie is None:
        trie = Trie(table())
        _write(path, key, trie.pack())
    return trie


def _folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("rookery"))


def _read(path: Path, key: bytes) -> Trie | None:
    try:
        stored = path.read_bytes()
        packed = stored[32:]
        return Trie.unpack(packed) if stored[:32] == _seal(key, packed) else None
    except (OSError, ValueError):
        return None


def _write(path: Path, key: bytes, packed: bytes) -> None:
    from rookery.formats.target import atomic

    with contextlib.suppress(OSError, RookeryError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as file:
            file.write(_seal(key, packed))
            file.write(packed)


def _seal(key: bytes, packed: bytes) -> bytes:
    """Ties the content to its source, so that a renamed or damaged file is noticed."""
    return hashlib.sha256(key + hashlib.sha256(packed).digest()).digest()
