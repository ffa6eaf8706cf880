"""
Which tokenizer: by name, by file, or for a model.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path

from rookery.config import PILE_ROWS, WORLD_ROWS
from rookery.errors import FormatError, MissingExtra, TokenError
from rookery.tokenizer.base import Tokenizer
from rookery.tokenizer.greedy import WORLD_FINGERPRINT, WorldTokenizer
from rookery.tokenizer.pile import PileTokenizer
from rookery.tokenizer.vocabulary import read

__all__ = ["load_tokenizer", "tokenizer_for", "world"]

_WORLD_FILE = "rwkv_vocab_v20230424.txt"
_WORLD_PACKAGES = ("pyrwkv_tokenizer", "rwkv")  # both carry the file


def load_tokenizer(source: str | os.PathLike[str] | None = None) -> Tokenizer:
    """A tokenizer.

    source: None or "world"; or the path of a vocabulary in the World's format, or of a Hugging Face
            `tokenizer.json`.  The content decides which, not the name.
    """
    if source is None or source == "world":
        return world()
    path = Path(source)
    content = read(path)
    if re.match(rb"\s*\{", content):
        return PileTokenizer(path)
    if re.match(rb"[0-9]+ [b'\"]", content):
        return WorldTokenizer.parse(content, path)
    raise FormatError(
        f"{path}: neither a vocabulary (lines like: 33155 'Hello' 5) nor a Hugging Face tokenizer.json; "
        "give one of these, or 'world'"
    )


@functools.cache
def world() -> WorldTokenizer:
    """The World tokenizer; its vocabulary file comes with the pyrwkv-tokenizer package, which is not imported."""
    for package in _WORLD_PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder) / _WORLD_FILE
            if path.is_file():
                return _checked_world(path)
    raise MissingExtra("the World vocabulary is absent; install it: pip install pyrwkv-tokenizer")


def tokenizer_for(vocabulary: Mapping[int, bytes] | None, vocab_size: int) -> Tokenizer:
    """The tokenizer of a model.

    vocabulary: token bytes by id where the model's file carries them; they come first.
    vocab_size: rows of the embedding; the known sizes stand for the known tokenizers.
    """
    if vocabulary:
        tokenizer = WorldTokenizer(vocabulary, "model")
        if tokenizer.vocab_size > vocab_size:
            last = tokenizer.vocab_size - 1
            raise TokenError(f"the vocabulary has id {last}, but the model only {vocab_size} rows")
        return tokenizer
    if vocab_size in WORLD_ROWS:
        return world()
    if vocab_size == 256:
        return WorldTokenizer({byte: bytes([byte]) for byte in range(256)}, "bytes")
    hint = "give its path as the tokenizer"
    if vocab_size in PILE_ROWS:
        raise TokenError(f"a model of {vocab_size} rows needs the Pile tokenizer, a file 20B_tokenizer.json: {hint}")
    raise TokenError(
        f"no known tokenizer has {vocab_size} rows (World: 65536, Pile: 50277 or 50304, bytes: 256); "
        f"the model needs its own vocabulary file: {hint}"
    )


def _checked_world(path: Path) -> WorldTokenizer:
    tokenizer = WorldTokenizer.parse(read(path), path)
    if tokenizer.fingerprint != WORLD_FINGERPRINT:
        raise FormatError(f"{path}: not the World vocabulary; reinstall the package {path.parent.name}")
    return tokenizer
