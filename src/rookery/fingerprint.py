"""
Which weights are these?  A hash that is the same in whatever file the same numbers lie.
"""

from __future__ import annotations

import hashlib

import numpy as np

from rookery.config import GROUP_NORM_EPS, Config, optional
from rookery.formats.checkpoint import Checkpoint
from rookery.weights import Tensor

__all__ = ["fingerprint"]

ROWS, COLUMNS = 8, 32  # sampled of every matrix: enough to tell any two trainings apart, few pages to read

# Some formats store these transformed; undoing that may change the last bit.
TRANSFORMED = ("time_decay", "time_first")


def fingerprint(checkpoint: Checkpoint, config: Config | None = None) -> str:
    """32 hex digits over names, shapes and a sample of every tensor's numbers, of those that every format keeps.

    The numbers, not the bytes: the same model as .pth, safetensors, GGUF or HF directory has one fingerprint.  A
    quantised model is another model, and so is one that normalises its heads with an epsilon of its own.

    config: as the model is run; by default the checkpoint's.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(checkpoint.tensors.items()):
        if optional(name) or name.endswith(TRANSFORMED):
            continue
        digest.update(f"{name} {tensor.shape} ".encode())
        digest.update(_sample(tensor).tobytes())
        checkpoint.release()
    config = config or checkpoint.config
    if config and config.version != "4" and config.group_norm_eps != GROUP_NORM_EPS:  # v4 has no heads
        digest.update(f"group_norm_eps {float(config.group_norm_eps)!r}".encode())
    return digest.hexdigest()


def _sample(w: Tensor) -> np.ndarray:
    """The first numbers of evenly spaced rows, as float32."""
    stored = w.load()
    data = stored if len(w.shape) > 1 else stored[None]
    lead = data.shape[:-1]
    total = int(np.prod(lead))
    rows = np.unravel_index(np.linspace(0, total - 1, min(ROWS, total)).astype(np.int64), lead)
    columns = COLUMNS if w.kind.block == 1 else w.kind.row_bytes(max(COLUMNS, w.kind.block))
    return w.kind.decode(data[..., :columns][rows])[..., :COLUMNS].astype(np.float32)
