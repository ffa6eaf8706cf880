"""What an adapter holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rookery.weights import Tensor

__all__ = ["Adapter", "LowRank"]


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """The change of a matrix W (outputs, inputs): W + alpha / rank * b a (Hu et al., "LoRA", arXiv:2106.09685).

    a: float32 (rank, inputs), `lora_A` in files.  b: float32 (outputs, rank), `lora_B`.
    """

    a: np.ndarray
    b: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.a)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix it changes."""
        return len(self.b), self.a.shape[1]

    def change(self, rows: slice, alpha: float) -> np.ndarray:
        """What is added to some rows of the matrix, float32."""
        return (self.b[rows] * np.float32(alpha / self.rank)) @ self.a


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """What a fine-tuning run learnt.

    origin:        the file, for messages.
    low_rank:      by the name of the matrix it changes, such as "blocks.0.att.key.weight".
    replaced:      whole tensors that take the place of the model's; RWKV-PEFT can train norms and decays in full.
    initial_state: tuned initial states by official name, (H, N, N): head, value lane, key lane.
    alpha:         scale of the low-rank changes times their rank; None where the file does not say it.
    base:          fingerprint of the model it was made for; None where the file does not say it.
    """

    origin: str
    low_rank: Mapping[str, LowRank] = field(default_factory=dict)
    replaced: Mapping[str, Tensor] = field(default_factory=dict)
    initial_state: Mapping[str, Tensor] = field(default_factory=dict)
    alpha: float | None = None
    base: str | None = None

    @property
    def ranks(self) -> list[int]:
        """Every rank that occurs, ascending."""
        return sorted({low.rank for low in self.low_rank.values()})

    @property
    def targets(self) -> list[str]:
        """Which matrices of a block are changed, "att.key" and so on."""
        return sorted({name.split(".", 2)[-1].removesuffix(".weight") for name in self.low_rank})
