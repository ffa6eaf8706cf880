"""
What every file format becomes: named tensors in official names, loaded one at a time.

Readers fill a `Checkpoint`; writers take one.  Neither knows what the tensors mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rookery.config import Config
from rookery.weights import Weight

__all__ = ["Checkpoint", "Tensor"]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that has not been read yet.

    format, shape: as in `Weight`.
    load: gives the storage array described in `Weight`; usually a view of the mapped file, so nothing is read
          until it is used.  May be called more than once.
    """

    format: str
    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]

    def weight(self) -> Weight:
        return Weight(self.format, self.shape, self.load())

    def numpy(self) -> np.ndarray:
        """The numbers as float32 of `shape`."""
        return self.weight().numpy()


@dataclass(slots=True)
class Checkpoint:
    """A model file, opened.

    path:       the file or directory.
    format:     the reader's name: "pth", "safetensors", "gguf", "hf", "rwkv.cpp".
    tensors:    official tensor names (see docs/formats.md) to tensors.
    metadata:   whatever else the file says of itself, for `rookery show`.
    vocabulary: token bytes by id where the file carries a vocabulary of its own.
    config:     the sizes of the model, once they are known.
    release:    gives mapped pages that were read back to the system; call it after each tensor when streaming.
    """

    path: Path
    format: str
    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)
    vocabulary: dict[int, bytes] | None = None
    config: Config | None = None
    release: Callable[[], None] = lambda: None
