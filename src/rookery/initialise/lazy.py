"""
Checkpoints whose tensors are made when they are loaded.

A tensor depends on the seed and its own name only, never on the order of loading.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from rookery.config import Config, shapes
from rookery.errors import SettingsError
from rookery.formats.checkpoint import Checkpoint
from rookery.formats.removal import noted
from rookery.quant import FORMATS
from rookery.weights import Tensor

__all__ = ["Fill", "lazy_checkpoint", "uniform_blocks"]

# From a tensor's own random numbers to its values in order, in float32 blocks of any size.
Fill = Callable[[np.random.Generator], Iterator[np.ndarray]]

_STORAGE = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
_BLOCK = 1 << 20  # numbers made at once: 4 MiB of scratch, however large the tensor


def lazy_checkpoint(config: Config, recipe: Callable[[str], Fill], seed: int, dtype: str) -> Checkpoint:
    """A checkpoint of all tensors of `config`, each filled by `recipe(name)` when it is loaded."""
    if dtype not in _STORAGE:
        raise SettingsError(f"dtype {dtype!r} cannot hold a new model; known: {', '.join(_STORAGE)}")
    if not 0 <= seed < 2**64:
        raise SettingsError(f"seed is {seed}; expected a whole number from 0 to 2^64 - 1")
    tensors = {
        name: Tensor(dtype, shape, partial(_load, recipe(name), shape, _key(seed, name), dtype))
        for name, shape in shapes(config).items()
    }
    metadata = {"version": config.version, "seed": seed, **noted(config)}
    return Checkpoint(Path(f"rwkv-{config.version}-seed-{seed}"), "new", tensors, metadata)


def uniform_blocks(
    shape: tuple[int, ...], low: float, high: float, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Numbers evenly between `low` and `high`."""
    left = math.prod(shape)
    while left:
        block = random.random(min(left, _BLOCK), np.float32)
        block *= high - low
        block += low
        left -= block.size
        yield block


def _load(fill: Fill, shape: tuple[int, ...], key: int, dtype: str) -> np.ndarray:
    encode = FORMATS[dtype].encode
    assert encode is not None
    flat = np.empty(math.prod(shape), _STORAGE[dtype])
    done = 0
    for block in fill(np.random.Generator(np.random.Philox(key=key))):
        flat[done : done + block.size] = encode(block.reshape(-1))
        done += block.size
    assert done == flat.size
    return flat.reshape(shape)


def _key(seed: int, name: str) -> int:
    """128 bits: half seed, half name."""
    return seed << 64 | int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
