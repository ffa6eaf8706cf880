"""
Low-rank changes are trained, the matrices they belong to are not (Hu et al., "LoRA", arXiv:2106.09685).

For a matrix W (outputs, inputs): x W^T + alpha / rank * (x A^T) B^T, with A (rank, inputs) drawn at random and
B (outputs, rank) zero at first, so that a run begins with the model as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rookery.adapter import write_adapter
from rookery.errors import SettingsError
from rookery.tokenizer import Tokenizer
from rookery.train.methods.parts import adapter_of, freeze, matrices, put
from rookery.train.methods.state import RATES, STATE, add_states
from rookery.train.model import TrainedModel
from rookery.train.sizes import FINAL_RATE, RATE

__all__ = ["ADAPTER", "TARGETS", "Lora"]

ADAPTER = "adapter.safetensors"
PEFT = "adapter.pth"
TARGETS = (
    *(f"att.{name}" for name in ("receptance", "key", "value", "output", "gate")),
    *(f"ffn.{name}" for name in ("key", "value", "receptance")),
)


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank changes.

    rank:    of every change, no more than the matrices have rows and columns.
    alpha:   scale of the changes times the rank; twice the rank by default.
    targets: which matrices of a block, of `TARGETS`; by default all that the model has.
    state:   train the initial states too.
    seed:    of A.
    base:    fingerprint of the model it is for.
    """

    rank: int = 16
    alpha: float | None = None
    targets: Sequence[str] = ()
    state: bool = False
    seed: int = 0
    base: str = ""

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise SettingsError(f"rank={self.rank}: expected at least 1")
        if self.alpha is not None and not (math.isfinite(self.alpha) and self.alpha > 0):
            raise SettingsError(f"alpha={self.alpha}: expected a number more than 0, such as twice the rank")

    @property
    def scale(self) -> float:
        return 2.0 if self.alpha is None else self.alpha / self.rank

    def prepare(self, model: TrainedModel) -> None:
        """SettingsError for targets that the model does not have, or, with `state`, for RWKV-4."""
        chosen = self._chosen(model)
        freeze(model)
        if self.state:
            add_states(model)
            model.faster["time_state"] = RATES[0] / self.rates(model.config.width)[0]
        random = torch.Generator().manual_seed(self.seed)
        for name in chosen:
            self._put(model, name.removesuffix(".weight"), random)

    def _chosen(self, model: TrainedModel) -> list[str]:
        by_kind: dict[str, list[str]] = {}
        for name, parameter in matrices(model):
            kind = name.split(".", 2)[2].removesuffix(".weight")
            if kind in TARGETS and min(parameter.shape) >= self.rank:
                by_kind.setdefault(kind, []).append(name)
        strange = [target for target in self.targets if target not in by_kind]
        if strange or not by_kind:
            narrow = f" of {self.rank} or more rows and columns" if self.rank > 1 else ""
            raise SettingsError(
                f"targets {', '.join(strange) or 'of any kind'}: this model has no such matrices{narrow}; expected "
                f"some of {', '.join(by_kind) or 'a smaller rank'}"
            )
        return [name for kind in self.targets or by_kind for name in by_kind[kind]]

    def _put(self, model: TrainedModel, path: str, random: torch.Generator) -> None:
        outputs, inputs = model.get_parameter(f"{path}.weight").shape
        bound = 1 / math.sqrt(inputs)  # Kaiming's with a = sqrt(5), as everybody has it
        put(model, f"{path}.lora_A", torch.empty(self.rank, inputs).uniform_(-bound, bound, generator=random))
        put(model, f"{path}.lora_B", torch.zeros(outputs, self.rank))
        model.get_submodule(path).scale = self.scale

    def write(self, model: TrainedModel, folder: Path, tokenizer: Tokenizer | None = None) -> None:
        learnt = adapter_of(model, self.base or None)
        write_adapter(learnt, folder / ADAPTER)
        write_adapter(replace(learnt, initial_state={}), folder / PEFT)
        if self.state:
            write_adapter(replace(learnt, low_rank={}), folder / STATE)

    def rates(self, width: int) -> tuple[float, float]:
        """2e-4 at a width of 2048."""
        return RATE / width, FINAL_RATE / width

    def described(self) -> dict[str, Any]:
        about = {"rank": self.rank, "alpha": self.scale * self.rank, "targets": sorted(self.targets)}
        return {"name": "lora+state" if self.state else "lora", "seed": self.seed, "base": self.base, **about}
