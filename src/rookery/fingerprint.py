"""
Which weights are these?  A hash that is the same in whatever file the same numbers lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from rookery.config import GROUP_NORM_EPS, Config, optional

if TYPE_CHECKING:
    from rookery.formats.checkpoint import Checkpoint
    from rookery.quant import WeightFormat

__all__ = ["combined", "fingerprint", "sample"]

ROWS, COLUMNS = 8, 32  # sampled of every matrix: enough to tell any two trainings apart, few pages to read

# Some formats store these transformed; undoing that may change the last bit.
TRANSFORMED = ("time_decay", "time_first")


def fingerprint(checkpoint: Checkpoint, config: Config | None = None) -> str:
    """32 hex digits over names, shapes and a sample of every tensor's numbers, of those that every format keeps.

    The numbers, not the bytes: the same model as .pth, safetensors, GGUF or HF directory has one fingerprint.  A
    quantised model is another model, and so is one that normalises its heads with an epsilon of its own, or whose
    `removal` is not 1.  A native file says its fingerprint, so that loading it need not read here and there.

    config: as the model is run; by default the checkpoint's.
    """
    config = config or checkpoint.config
    if checkpoint.fingerprint is not None and not _own_epsilon(config):
        return checkpoint.fingerprint

    def samples() -> Iterable[tuple[str, tuple[int, ...], np.ndarray]]:
        for name, tensor in checkpoint.tensors.items():
            if _counts(name):
                yield name, tensor.shape, sample(tensor.kind, tensor.shape, tensor.load())
                checkpoint.release()

    return combined(samples(), config)


def combined(samples: Iterable[tuple[str, tuple[int, ...], np.ndarray]], config: Config | None = None) -> str:
    """The fingerprint of a model whose tensors have these names, shapes and samples, in any order."""
    digest = hashlib.blake2b(digest_size=16)
    for name, shape, numbers in sorted(samples, key=lambda tensor: tensor[0]):
        if _counts(name):
            digest.update(f"{name} {shape} ".encode())
            digest.update(numbers.tobytes())
    if config and _own_epsilon(config):
        digest.update(f"group_norm_eps {float(config.group_norm_eps)!r}".encode())
    if config and config.removal != "1":
        digest.update(f"removal {config.removal}".encode())
    return digest.hexdigest()


def sample(kind: WeightFormat, shape: tuple[int, ...], stored: np.ndarray) -> np.ndarray:
    """The first numbers of evenly spaced rows of a tensor, as float32.

    kind, shape, stored: as of a `Tensor` and what its `load` gives.
    """
    data = stored if len(shape) > 1 else stored[None]
    lead = data.shape[:-1]
    total = int(np.prod(lead))
    rows = np.unravel_index(np.linspace(0, total - 1, min(ROWS, total)).astype(np.int64), lead)
    columns = COLUMNS if kind.block == 1 else kind.row_bytes(max(COLUMNS, kind.block))
    numbers: np.ndarray = kind.decode(data[..., :columns][rows])[..., :COLUMNS].astype(np.float32)
    return numbers


def _counts(name: str) -> bool:
    return not optional(name) and not name.endswith(TRANSFORMED)


def _own_epsilon(config: Config | None) -> bool:
    """Whether the heads, which v4 does not have, are normalised in another way than usual."""
    return config is not None and config.version != "4" and config.group_norm_eps != GROUP_NORM_EPS
