"""
The golden models, loaded, with vocabularies of their own: what tests of states, caches and engines run on.
"""

from __future__ import annotations

import functools

import numpy as np
from goldens import load_golden

import rookery
from rookery import Model
from rookery.tokenizer import WorldTokenizer

__all__ = ["model_of", "words"]


@functools.cache
def words(vocab: int) -> WorldTokenizer:
    """Token 0 ends a text; every byte of a small alphabet, some of UTF-8's, and words of several bytes over them."""
    random = np.random.default_rng(11)
    letters = [bytes([b]) for b in b"abcd \n"] + [bytes([b]) for b in "é".encode()]
    found = dict.fromkeys(letters)
    while len(found) < vocab - 1:
        found[b"".join(random.choice(letters, random.integers(2, 5)))] = None
    return WorldTokenizer(dict(enumerate(found, 1)), "small")


@functools.cache
def model_of(name: str, executor: str = "native") -> Model:
    """A golden model on one thread; v7-bytes has a vocabulary of bytes, the others one of words."""
    golden = load_golden(name)
    tokenizer = words(golden.config_hint.vocab)
    if name == "v7-bytes":
        tokenizer = WorldTokenizer({byte + 1: bytes([byte]) for byte in range(256)}, "bytes")
    return rookery.load(golden.checkpoint_path, tokenizer=tokenizer, executor=executor, threads=1)
