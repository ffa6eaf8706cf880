"""Small data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rookery.tokenizer import WorldTokenizer
from rookery.train.data import Options, Settings, Tokens, open_sources, tokenised


@pytest.fixture(scope="session")
def letters() -> WorldTokenizer:
    """Every byte is a token: id = byte + 1."""
    return WorldTokenizer({byte + 1: bytes([byte]) for byte in range(256)}, "letters")


@pytest.fixture
def tokens_of(tmp_path: Path, letters: WorldTokenizer) -> Callable[..., Tokens]:
    """Tokens of texts, one document each."""

    def make(*texts: str, **settings: int | None) -> Tokens:
        path = tmp_path / f"texts-{len(list(tmp_path.iterdir()))}.txt"
        path.write_text("\n====\n".join(texts), encoding="utf-8")
        sources = open_sources(path, Options(separator="===="))
        return tokenised(sources, letters, tmp_path / "tokens", Settings(**settings))

    return make


@pytest.fixture
def many(tokens_of: Callable[..., Tokens]) -> Tokens:
    """97 documents of 1 to 60 letters."""
    random = np.random.default_rng(5)
    return tokens_of(*("".join(random.choice(list("abcdefgh"), n)) for n in random.integers(1, 61, 97)))
