"""Small random models in official names, to be written, read and damaged."""

from pathlib import Path

import numpy as np

from rookery.config import Config, optional, shapes
from rookery.formats.checkpoint import Checkpoint, Tensor

CONFIGS = {
    "4": Config("4", layers=2, width=32, vocab=40, ffn=64, head_size=32),
    "5.0": Config("5.0", layers=2, width=32, vocab=40, ffn=64, head_size=8, bonus_exp=True),
    "5.1": Config("5.1", layers=2, width=32, vocab=40, ffn=64, head_size=8),
    "5.2": Config("5.2", layers=2, width=32, vocab=40, ffn=64, head_size=8),
    "6": Config("6", layers=5, width=64, vocab=40, ffn=96, head_size=16, ranks={"mix": 4, "decay": 6}),
    "7": Config("7", layers=3, width=64, vocab=40, ffn=128, head_size=16, ranks={"w": 8, "a": 4, "v": 12, "g": 6}),
}


def arrays(version: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Every tensor of the version as float32, without block 0's optional value residual."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in shapes(CONFIGS[version]).items()
        if not optional(name)
    }


def checkpoint(tensors: dict[str, np.ndarray], **fields) -> Checkpoint:
    """Arrays (float32 or float16) as an opened file."""
    formats = {np.dtype(np.float32): "F32", np.dtype(np.float16): "F16"}
    found = {n: Tensor(formats[a.dtype], a.shape, lambda a=a: a) for n, a in tensors.items()}
    return Checkpoint(Path("model.pth"), "test", found, **fields)
