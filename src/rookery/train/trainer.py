"""
The training loop.

A step is a pure function of what was before it: the batch follows from the step's number, the learning rate likewise,
and nothing draws random numbers on the way.  So a run that is stopped and resumed goes on as if it had not been.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import torch

from rookery.errors import NumericError
from rookery.train import long, parallel
from rookery.train.data import Batch, micro
from rookery.train.loss import cross_entropy
from rookery.train.model import TrainedModel
from rookery.train.optim import Schedule, optimizer
from rookery.train.passes import passes
from rookery.train.settings import Settings
from rookery.train.transformer import Transformer

__all__ = ["Batches", "Report", "Trainer"]


class Batches(Protocol):
    """All batches of a run: a function of the step, and of the process among those that share a step."""

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What happened in a step.

    step: its number, from 1.  loss: nats per target.  norm: of the gradients before clipping.  rate: learning rate.
    tokens: read in this step.  seconds: it took.  skipped: the gradients were not finite, nothing was changed.
    """

    step: int
    loss: float
    norm: float
    rate: float
    tokens: int
    seconds: float
    skipped: bool = False


class Trainer:
    """A model, its optimizer, its data and where it is."""

    def __init__(self, model: TrainedModel | Transformer, batches: Batches, settings: Settings) -> None:
        self.model, self.batches, self.settings = model, batches, settings
        self.optimizer = optimizer(model.named_parameters(), settings.weight_decay, model.faster)
        self.schedule = Schedule(settings.rate, settings.final_rate, settings.warmup, settings.steps)
        self.step = 0
        self._skipped = 0

    def reports(self) -> Iterator[Report]:
        """Train to the last step."""
        while self.step < self.settings.steps:
            yield self.advance()

    def advance(self) -> Report:
        """One step.  NumericError where too many in a row had gradients that are not finite."""
        start, rate = perf_counter(), self.schedule.at(self.step)
        batch = self.batches.at(self.step, parallel.rank(), parallel.world())
        loss = self._backward(batch)
        norm = parallel.clip(self.model, self.settings.clip)
        finite = math.isfinite(norm) and math.isfinite(loss)
        if finite:
            self._update(rate)
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._count_skipped(finite, loss)
        tokens = int(parallel.total(len(batch.tokens)))
        return Report(self.step, loss, norm, rate, tokens, perf_counter() - start, not finite)

    def _backward(self, batch: Batch) -> float:
        """Gradients of the mean loss over the batch's targets, on all processes; that loss."""
        total, loss, parts = self._targets(batch), 0.0, self.settings.micro_batches
        for i in range(parts):
            part = micro(batch, i, parts) if parts > 1 else batch
            plan = passes(part.lengths, self.settings.segment)
            loss += long.backward(self.model, self._mean(total), part, plan, self.settings.truncate)
        return parallel.mean(loss)

    def _targets(self, batch: Batch) -> float:
        """Targets of the whole batch, per process: torch takes the mean of their gradients, we want the sum."""
        return max(parallel.mean(float(batch.weights.sum())), 1e-9)

    def _mean(self, total: float) -> long.Loss:
        device, settings, half = next(self.model.parameters()).device, self.settings, self.model.half

        def mean(hidden: torch.Tensor, rows: Batch) -> torch.Tensor:
            targets = torch.as_tensor(rows.targets, dtype=torch.int64, device=device)
            weights = torch.as_tensor(rows.weights, dtype=torch.float32, device=device)
            head = self.model.head.weight
            return cross_entropy(hidden, head, targets, weights, flatten=settings.flatten, half=half) / total

        return mean

    def _update(self, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        self.optimizer.step()

    def _count_skipped(self, finite: bool, loss: float) -> None:
        self._skipped = 0 if finite else self._skipped + 1
        if self._skipped > self.settings.most_skipped:
            raise NumericError(
                f"{self._skipped} steps in a row up to step {self.step} had no finite gradient (loss {loss}): "
                "lower the learning rate, or look at the data there"
            )

    def validate(self, batches: Sequence[Batch]) -> float:
        """Nats per target over held-out batches, which the processes share among them."""
        rank, world, loss, total = parallel.rank(), parallel.world(), 0.0, 0.0
        for i in range(0, len(batches), world):
            batch = batches[min(i + rank, len(batches) - 1)]
            found = long.evaluate(self.model, self._mean(1.0), batch, passes(batch.lengths, self.settings.segment))
            if i + rank < len(batches):  # otherwise it only kept the others company
                loss += found
                total += float(batch.weights.sum())
        return parallel.total(loss) / max(parallel.total(total), 1e-9)
