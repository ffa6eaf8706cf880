"""Adapters with random numbers for the small models, as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from models_at_hand import Small, random_small
from safetensors.numpy import save_file

from rookery.adapter import Adapter, LowRank, write_adapter
from rookery.formats import lazy, save_checkpoint

__all__ = ["TARGETS", "arrays", "changed", "low_rank", "model_file", "states", "written"]

TARGETS = ("att.key", "att.output", "ffn.key", "ffn.value")


def model_file(
    folder: Path, version: str = "7", format: str = "F32", suffix: str = ".safetensors"
) -> tuple[Small, Path]:
    small = random_small(version, format)
    path = folder / f"model-{version}-{format}{suffix}"
    save_checkpoint(small.checkpoint, path)
    return small, path


def low_rank(small: Small, rank: int = 3, targets: tuple[str, ...] = TARGETS) -> dict[str, LowRank]:
    random = np.random.default_rng(5)
    found = {}
    for i in range(small.config.layers):
        for target in targets:
            name = f"blocks.{i}.{target}.weight"
            outputs, inputs = small.checkpoint.tensors[name].shape
            a, b = random.standard_normal((rank, inputs)), random.standard_normal((outputs, rank))
            found[name] = LowRank((a / inputs**0.5).astype(np.float32), (b / 8).astype(np.float32))
    return found


def states(small: Small, scale: float = 0.5) -> dict[str, np.ndarray]:
    """Tuned initial states, (H, N, N), head, value lane, key lane."""
    random, config = np.random.default_rng(6), small.config
    shape = (config.heads, config.head_size, config.head_size)
    return {
        f"blocks.{i}.att.time_state": (scale * random.standard_normal(shape)).astype(np.float32)
        for i in range(config.layers)
    }


def arrays(changes: Mapping[str, LowRank]) -> dict[str, np.ndarray]:
    """Under the names that RWKV-PEFT gives them."""
    found = {}
    for name, low in changes.items():
        path = name.removesuffix(".weight")
        found |= {f"{path}.lora_A": low.a, f"{path}.lora_B": low.b}
    return found


def changed(small: Small, changes: Mapping[str, LowRank], alpha: float) -> dict[str, np.ndarray]:
    """All tensors in float64 with the changes added: what merging is to give."""
    out = {name: tensor.numpy().astype(np.float64) for name, tensor in small.checkpoint.tensors.items()}
    for name, low in changes.items():
        out[name] += alpha / low.rank * low.b.astype(np.float64) @ low.a.astype(np.float64)
    return out


def written(
    path: Path, tensors: Mapping[str, np.ndarray], *, alpha: float | None = None, base: str | None = None
) -> Path:
    """A file with these tensors; ours, with what it knows, where alpha or base is given, else a plain one."""
    if path.suffix == ".safetensors" and alpha is None and base is None:
        save_file(dict(tensors), path)
        return path
    kept = {name: lazy.array("F32", x) for name, x in tensors.items() if ".lora_" not in name}
    pairs = {
        f"{name.removesuffix('.lora_A')}.weight": LowRank(x, tensors[name.removesuffix("A") + "B"])
        for name, x in tensors.items()
        if name.endswith(".lora_A")
    }
    tuned = {name: t for name, t in kept.items() if name.endswith("time_state")}
    rest = {name: t for name, t in kept.items() if name not in tuned}
    write_adapter(Adapter("test", pairs, rest, tuned, alpha, base), path)
    return path
