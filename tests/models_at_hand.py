"""
Small models of every version, as the executors take them.

Goldens carry what the official package makes of them; random models have sizes of one's choice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from goldens import GOLDENS, load_golden

from rookery.config import VERSIONS, Config
from rookery.formats import Checkpoint, open_checkpoint
from rookery.formats.check import checked
from rookery.initialise import make_config, random_model
from rookery.layout import StateLayout
from rookery.ops.native import NativeExecutor
from rookery.ops.oracle import NumpyExecutor
from rookery.parameters import parameters
from rookery.quant import FORMATS
from rookery.weights import Tensor

__all__ = ["GOLDENS", "VERSIONS", "Small", "golden_model", "random_small"]


@dataclass(frozen=True, slots=True)
class Small:
    """A checkpoint and what can be made of it."""

    checkpoint: Checkpoint
    layout: StateLayout

    @property
    def config(self) -> Config:
        return self.layout.config

    def leaves(self) -> Any:
        """Parameters as the native executor takes them."""
        return parameters(self.config, self.checkpoint.tensors)

    def native(self, **options: Any) -> NativeExecutor:
        return NativeExecutor(self.layout, self.leaves(), **options)

    def oracle(self) -> NumpyExecutor:
        return NumpyExecutor(self.layout, parameters(self.config, self.checkpoint.tensors, np.float64))

    def tokens(self, count: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, self.config.vocab, count, np.int32)


def golden_model(name: str) -> Small:
    return opened(load_golden(name).checkpoint_path)


def opened(path: Path, **sizes: Any) -> Small:
    checkpoint = open_checkpoint(path)
    assert checkpoint.config is not None
    return Small(checkpoint, StateLayout(replace(checkpoint.config, **sizes)))


def random_small(version: str, format: str = "F32", *, width: int = 64, head_size: int = 16, ffn: int = 96) -> Small:
    """Two layers and a vocabulary of 53.  format: of every matrix whose rows are whole blocks of it."""
    config = make_config(version, layers=2, width=width, vocab=53, head_size=head_size, ffn=ffn)
    drawn = random_model(config, seed=1)
    tensors = dict(drawn.tensors)
    for name, tensor in tensors.items():
        kind = FORMATS[format]
        if len(tensor.shape) == 2 and name.endswith(".weight") and tensor.shape[1] % kind.block == 0:
            assert kind.encode is not None
            tensors[name] = Tensor(format, tensor.shape, partial(_same, kind.encode(tensor.numpy())))
    checkpoint = checked(Checkpoint(Path("memory"), "test", tensors))
    assert checkpoint.config is not None
    return Small(checkpoint, StateLayout(checkpoint.config))


def _same(x: np.ndarray) -> np.ndarray:
    return x
