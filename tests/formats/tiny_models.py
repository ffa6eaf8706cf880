"""Tiny random models of every version, built from the version's own list of tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rookery.config import Config, shapes
from rookery.formats import Checkpoint, lazy
from rookery.formats.check import checked
from rookery.quant import FORMATS

CONFIGS = {
    "4": Config("4", layers=2, width=24, vocab=19, ffn=96, head_size=24),
    "5.0": Config("5.0", layers=2, width=24, vocab=19, ffn=96, head_size=8, bonus_exp=True),
    "5.0 r2": Config("5.0", layers=2, width=24, vocab=19, ffn=96, head_size=8),
    "5.1": Config("5.1", layers=2, width=24, vocab=19, ffn=96, head_size=8),
    "5.2": Config("5.2", layers=2, width=24, vocab=19, ffn=64, head_size=8),
    "6": Config("6", layers=2, width=24, vocab=19, ffn=64, head_size=8, ranks={"mix": 3, "decay": 5}),
    "7": Config("7", layers=3, width=24, vocab=19, ffn=96, head_size=8, ranks={"w": 5, "a": 6, "v": 7, "g": 10}),
}


def arrays(config: Config, seed: int = 0) -> dict[str, np.ndarray]:
    """Float32 numbers under official names, in official shapes."""
    random = np.random.default_rng(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes(config).items()}


def stored(numbers: np.ndarray, format: str) -> np.ndarray:
    """The storage form of `format`."""
    encode = FORMATS[format].encode
    assert encode is not None
    return encode(numbers)


def checkpoint(config: Config, format: str = "F32", seed: int = 0, state: bool = False) -> Checkpoint:
    """A checked checkpoint in memory."""
    tensors = {name: lazy.array(format, stored(x, format)) for name, x in arrays(config, seed).items()}
    if state:
        n = config.head_size
        for layer in range(config.layers):
            shape = (config.heads, n, n)
            x = np.random.default_rng(seed + layer).normal(size=shape).astype(np.float32)
            tensors[f"blocks.{layer}.att.time_state"] = lazy.array(format, stored(x, format))
    return checked(Checkpoint(Path("memory"), "test", tensors))


def assert_same(found: Checkpoint, expected: Checkpoint, *, unused: bool = False) -> None:
    """Bit for bit: names, order, shapes, types and numbers.  unused: block 0's value residual may be missing."""
    wanted = dict(expected.tensors)
    if unused:
        wanted = {name: t for name, t in wanted.items() if not name.startswith("blocks.0.att.v") or "value" in name}
    assert list(found.tensors) == list(wanted)
    assert found.config == expected.config
    assert list(found.initial_state) == list(expected.initial_state)
    for name, tensor in (wanted | expected.initial_state).items():
        other = (found.tensors | found.initial_state)[name]
        assert (other.format, other.shape) == (tensor.format, tensor.shape), name
        assert other.load().dtype == tensor.load().dtype, name
        assert np.array_equal(other.load(), tensor.load()), name
