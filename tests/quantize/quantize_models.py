"""Random models of sizes of one's choice."""

from __future__ import annotations

from rookery.formats import Checkpoint
from rookery.formats.check import checked
from rookery.initialise import make_config, random_model

__all__ = ["model_of"]


def model_of(version: str, dtype: str = "F32", **sizes: int) -> Checkpoint:
    config = make_config(version, **({"layers": 2, "width": 256, "vocab": 256, "ffn": 512, "head_size": 64} | sizes))
    return checked(random_model(config, 1, dtype))
