"""
Text to tokens, once: documents stream through the tokenizer, in threads, into a folder that appears when it is whole.

The folder is named by what is in it: the content of the sources, the vocabulary, the settings.  So other data or
other settings never meet old tokens; a damaged folder is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rookery.errors import FormatError, SettingsError
from rookery.formats.target import said_of
from rookery.ops.native import default_threads
from rookery.tokenizer import Tokenizer
from rookery.train.data.encoding import Encoded, encoded
from rookery.train.data.sources import Document, Source
from rookery.train.data.tokens import META, VERSION, Tokens, sampled
from rookery.train.data.writing import TokenWriter

__all__ = ["Settings", "tokenised"]

GROUP = 1 << 20  # bytes of text a thread takes at a time
AHEAD = 4  # groups waiting for each thread
ABANDONED_S = 24 * 3600
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How text becomes tokens.

    leading: token in front of every document, as in inference; None for none.
    ending:  token that is learned after the last of a document; None to learn nothing there.
    threads: that encode; 0 for all processors this process may use.
    """

    leading: int | None = 0
    ending: int | None = 0
    threads: int = 0


def tokenised(
    sources: Sequence[Source],
    tokenizer: Tokenizer,
    folder: str | os.PathLike[str] | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Tokens:
    """The tokens of these sources, from the folder's cache where they are there, else made and put there.

    folder:   where caches lie; by default the user's cache folder.
    progress: called with (bytes read, bytes in all) of the sources.
    SettingsError where the folder cannot be written or nothing is in the sources; what the sources raise.
    """
    settings = settings or Settings()
    _check(sources, tokenizer, settings)
    made = _made_of(sources, tokenizer, settings)
    key = hashlib.blake2b(json.dumps(made, sort_keys=True).encode(), digest_size=16).hexdigest()
    place = (Path(folder) if folder is not None else _default()) / f"tokens-{key}"
    with suppress(FormatError):
        return Tokens.open(place)
    _make(place, {"key": key, **made}, _Work(sources, tokenizer, settings, progress))
    return Tokens.open(place)


def _check(sources: Sequence[Source], tokenizer: Tokenizer, settings: Settings) -> None:
    if not sources:
        raise SettingsError("there is nothing to train on; give files of training data")
    for name in ("leading", "ending"):
        token = getattr(settings, name)
        if token is not None and not 0 <= token < max(1, tokenizer.vocab_size):
            raise SettingsError(f"{name} is {token}, expected a token of the vocabulary, below {tokenizer.vocab_size}")
    if settings.threads < 0:
        raise SettingsError(f"threads is {settings.threads}, expected 0 (all) or more")


def _made_of(sources: Sequence[Source], tokenizer: Tokenizer, settings: Settings) -> dict[str, Any]:
    return {
        "version": VERSION,
        "tokenizer": tokenizer.fingerprint,
        "vocabulary": tokenizer.vocab_size,
        "leading": settings.leading,
        "ending": settings.ending,
        "sources": [[type(s).__name__, s.identity(), s.options.described()] for s in sources],
    }


def _default() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("rookery"))


@dataclass(frozen=True, slots=True)
class _Work:
    sources: Sequence[Source]
    tokenizer: Tokenizer
    settings: Settings
    progress: Progress | None


def _make(place: Path, made: dict[str, Any], work: _Work) -> None:
    """Write beside `place`, then rename: whoever looks sees all of it or nothing."""
    with said_of(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        with said_of(place), TokenWriter(beside, work.tokenizer.vocab_size) as writer:
            _write(writer, work)
        with said_of(place):
            _finish(beside, place, made | writer.counts())
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _sweep(place: Path) -> None:
    """Remove what a process left that was killed while it wrote, long enough ago that no other is writing it now."""
    for left in place.parent.glob(f".{place.name}.*"):
        with suppress(OSError):
            if time.time() - max(path.stat().st_mtime for path in (left, *left.iterdir())) > ABANDONED_S:
                shutil.rmtree(left, ignore_errors=True)


def _finish(beside: Path, place: Path, meta: dict[str, Any]) -> None:
    meta["sample"] = sampled(beside, meta["masked"])
    with open(beside / META, "w", encoding="utf-8") as file:
        json.dump(meta, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    try:
        Tokens.open(place)  # another process has made the same meanwhile
    except FormatError:
        shutil.rmtree(place, ignore_errors=True)  # it is torn, or absent
        os.rename(beside, place)


def _write(writer: TokenWriter, work: _Work) -> None:
    total = sum(source.size for source in work.sources)
    for at, document in _encoded(work):
        writer.add(document)
        if work.progress:
            work.progress(min(at, total), total)
    if not writer.tokens:
        names = ", ".join(str(source.path) for source in work.sources[:3])
        raise SettingsError(f"{names}: no text in it; training needs a document of one byte or more")


def _encoded(work: _Work) -> Iterator[tuple[int, Encoded]]:
    """All documents in order, with the bytes read up to each."""
    threads = work.settings.threads or default_threads()
    waiting: deque[tuple[int, Future[list[Encoded]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for at, group in _groups(work.sources):
                waiting.append((at, pool.submit(_encode, group, work)))
                if len(waiting) > AHEAD * threads:
                    yield from _done(waiting)
            while waiting:
                yield from _done(waiting)
        finally:
            for _, future in waiting:
                future.cancel()


def _done(waiting: deque[tuple[int, Future[list[Encoded]]]]) -> Iterator[tuple[int, Encoded]]:
    at, future = waiting.popleft()
    for document in future.result():
        yield at, document


def _encode(group: list[Document], work: _Work) -> list[Encoded]:
    settings = work.settings
    return [encoded(document, work.tokenizer, settings.leading, settings.ending) for document in group]


def _groups(sources: Sequence[Source]) -> Iterator[tuple[int, list[Document]]]:
    """Documents by the megabyte; the number is how many bytes have been read."""
    before, at, size = 0, 0, 0
    group: list[Document] = []
    for source in sources:
        for document in source.documents():
            at = before + document.read
            group.append(document)
            size += sum(len(piece.text) for piece in document.pieces)
            if size >= GROUP:
                yield at, group
                group, size = [], 0
        before += source.size
    if group:
        yield at, group
