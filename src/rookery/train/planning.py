"""What a run will take, before it begins: measured on its first steps, which are thrown away."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rookery.bench.memory import resident_bytes
from rookery.train.trainer import Trainer

__all__ = ["Plan", "plan"]

_MEASURED = 2  # steps, after a first one that also allocates


@dataclass(frozen=True, slots=True)
class Plan:
    """parameters, trained: of the model, and those of them that learn.

    steps, tokens: of the run.  seconds: of a step, measured.  checkpoint_bytes: parameters that learn, with the
    optimizer's two numbers for each.  peak_bytes: the most memory of this process so far (of the GPU, if it is one).
    """

    parameters: int
    trained: int
    steps: int
    tokens: int
    seconds: float
    checkpoint_bytes: int
    peak_bytes: int

    @property
    def total_seconds(self) -> float:
        return self.steps * self.seconds


def plan(trainer: Trainer) -> Plan:
    """Train a few steps to see what they take.  The model is another one afterwards: do not go on with it."""
    numbers = list(trainer.model.parameters())
    learning = [p for p in numbers if p.requires_grad]
    trainer.advance()
    reports = [trainer.advance() for _ in range(_MEASURED)]
    settings = trainer.settings
    return Plan(
        parameters=sum(p.numel() for p in numbers),
        trained=sum(p.numel() for p in learning),
        steps=settings.steps,
        tokens=settings.steps * settings.tokens_per_batch,
        seconds=min(report.seconds for report in reports),
        checkpoint_bytes=3 * sum(p.numel() * p.element_size() for p in learning),
        peak_bytes=_peak(numbers[0]),
    )


def _peak(like: torch.Tensor) -> int:
    if like.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(like.device))
    return resident_bytes()["peak"]
