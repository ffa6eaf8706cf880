"""
AdamW with RWKV's parameter groups, and the schedule of the learning rate.

As the official trainers have it: matrices called `.weight` decay, nothing else does; the base of the decay (`w0`,
`time_decay`) learns at twice the rate, `time_first` at three times; betas 0.9 and 0.99, eps 1e-18; a linear warm-up,
then a cosine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["Schedule", "optimizer", "rate_factor"]

BETAS, EPS = (0.9, 0.99), 1e-18
_FASTER = {"w0": 2.0, "time_decay": 2.0, "time_first": 3.0}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The learning rate by step: a cosine from `peak` to `final`, over its first steps warmed up from a hundredth."""

    peak: float
    final: float
    warmup: int
    steps: int

    def at(self, step: int) -> float:
        """The rate of step 0, 1 ..."""
        along = min(max((step - self.warmup) / max(1, self.steps - self.warmup), 0.0), 1.0)
        rate = self.final + (self.peak - self.final) * (1 + math.cos(math.pi * along)) / 2
        return rate * (0.01 + 0.99 * step / self.warmup) if step < self.warmup else rate


def rate_factor(name: str, faster: Mapping[str, float] | None = None) -> float:
    """What the learning rate of a parameter is multiplied by; `faster` says it of more names."""
    last = name.rpartition(".")[2]
    return (faster or {}).get(last, _FASTER.get(last, 1.0))


def optimizer(
    named: Iterable[tuple[str, nn.Parameter]], weight_decay: float, faster: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """AdamW over the parameters that want a gradient; each group has a `factor` for its learning rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            decays = name.endswith(".weight") and sum(n > 1 for n in parameter.shape) >= 2
            groups.setdefault((rate_factor(name, faster), weight_decay if decays else 0.0), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": params, "weight_decay": decay, "factor": factor} for (factor, decay), params in groups.items()],
        lr=0.0,
        betas=BETAS,
        eps=EPS,
        fused=True,
    )
