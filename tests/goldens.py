"""
The golden models of tests/golden: weights, tokens, and what the official package makes of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rookery.config import Config

__all__ = ["FOLDER", "GOLDENS", "Golden", "load_golden"]

FOLDER = Path(__file__).parent / "golden"
GOLDENS: list[str] = sorted(path.stem for path in FOLDER.glob("*.npz"))


@dataclass(frozen=True, slots=True)
class Golden:
    """One golden.

    checkpoint_path: plain safetensors, float16, official names and shapes.
    tokens: (T,) int64.
    logits: (T, V) float32, of every position, by the package's sequence path in float32.
    state:  the package's list after the last token: per block [x_att, S (H, N, N), x_ffn], S indexed
            [head, key, value] up to v6 and [head, value, key] in v7; v4: [x_att, aa, bb, pp, x_ffn].
    config_hint: the config the tensors must be recognised as.
    tuned_state: v6: tensors `blocks.{i}.att.time_state` (H, N, N) [head, value, key] float16 of a tuned initial
            state, and `tuned_logits`, the (T, V) logits with it; else empty and None.
    """

    checkpoint_path: Path
    tokens: np.ndarray
    logits: np.ndarray
    state: list[np.ndarray]
    config_hint: Config
    tuned_state: dict[str, np.ndarray] = field(default_factory=dict)
    tuned_logits: np.ndarray | None = None


def load_golden(name: str) -> Golden:
    """The golden of this name, one of `GOLDENS`."""
    with np.load(FOLDER / f"{name}.npz") as file:
        data = dict(file)
    return Golden(
        checkpoint_path=FOLDER / f"{name}.safetensors",
        tokens=data["tokens"],
        logits=data["logits"],
        state=[data[key] for key in sorted(data) if key.startswith("state.")],
        config_hint=Config(**json.loads(str(data["config"]))),
        tuned_state={key.removeprefix("tuned."): data[key] for key in data if key.startswith("tuned.blocks")},
        tuned_logits=data.get("tuned.logits"),
    )
