"""Only the state that a text begins with is trained; see docs/tuning.md."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from rookery.adapter import write_adapter
from rookery.errors import SettingsError
from rookery.tokenizer import Tokenizer
from rookery.train.methods.parts import adapter_of, freeze, put
from rookery.train.model import TrainedModel

__all__ = ["RATES", "STATE", "StateTuning", "add_states"]

STATE = "time_state.pth"
RATES = 1e-1, 1e-3  # whatever the width: a state has the size of the activations it is read beside


@dataclass(frozen=True, slots=True)
class StateTuning:
    """One matrix (N, N) per head, zero at first.  base: fingerprint of the model it is for."""

    base: str = ""

    def prepare(self, model: TrainedModel) -> None:
        """SettingsError for RWKV-4, which has no matrix state."""
        freeze(model)
        add_states(model)

    def write(self, model: TrainedModel, folder: Path, tokenizer: Tokenizer | None = None) -> None:
        write_adapter(adapter_of(model, self.base), folder / STATE)

    def rates(self, width: int) -> tuple[float, float]:
        return RATES

    def described(self) -> dict[str, Any]:
        return {"name": "state", **asdict(self)}


def add_states(model: TrainedModel) -> None:
    """Train the initial states of all blocks: those the model has, else new ones, zero."""
    config = model.config
    if config.version == "4":
        raise SettingsError("RWKV-4 has no matrix state to tune; use LoRA, or a model of version 5 or later")
    for i, block in enumerate(model.blocks.children()):
        if hasattr(block.att, "time_state"):
            block.att.time_state.requires_grad_(True)
        else:
            n = config.head_size
            put(model, f"blocks.{i}.att.time_state", torch.zeros(config.heads, n, n))
