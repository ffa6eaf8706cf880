"""
What every file format becomes: named tensors in official names, loaded one at a time.

Readers fill a `Checkpoint`; writers take one.  Neither knows what the tensors mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rookery.config import Config
from rookery.weights import Tensor

__all__ = ["Checkpoint", "Tensor"]


@dataclass(slots=True)
class Checkpoint:
    """A model file, opened.

    path:       the file or directory.
    format:     the reader's name: "pth", "safetensors", "gguf", "hf", "rwkv.cpp", "rookery".
    tensors:    official tensor names (see docs/formats.md) to tensors.
    metadata:   whatever else the file says of itself, for `rookery show`.
    vocabulary: token bytes by id where the file carries a vocabulary of its own.
    config:     the sizes; None until `open_checkpoint` has checked the tensors.
    initial_state: tuned initial states by official name (`blocks.N.att.time_state`), apart from the weights.
    fingerprint: of the tensors, where the file says it (see `rookery.fingerprint`); None: it is worked out from the
                numbers.  Who puts other numbers into a checkpoint sets it to None.
    verify:     reads everything that has a checksum; FormatError, naming the tensor, where one is wrong.
    release:    gives mapped pages that were read back to the system; call it after each tensor when streaming.
    """

    path: Path
    format: str
    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)
    vocabulary: Mapping[int, bytes] | None = None
    config: Config | None = None
    initial_state: dict[str, Tensor] = field(default_factory=dict)
    fingerprint: str | None = None
    verify: Callable[[], None] = lambda: None
    release: Callable[[], None] = lambda: None
