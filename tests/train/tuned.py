"""A small model that can count, and another way to count that it is taught by fine-tuning."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from toy import LENGTH, VOCAB, toy_trainer

from rookery.formats import Checkpoint
from rookery.train.data import Batch
from rookery.train.export import as_checkpoint
from rookery.train.methods import Method
from rookery.train.model import TrainedModel
from rookery.train.run import Run
from rookery.train.settings import Settings
from rookery.train.trainer import Trainer
from rookery.train.watcher import Watcher
from rookery.weights import Tensor

__all__ = ["CountingDown", "base_of", "new_run", "prepared", "trainer_of"]


class CountingDown:
    """The numbers modulo 50 backwards, from a random start."""

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        starts = np.random.default_rng(step + 1000).integers(0, VOCAB, (8, 1))
        rows = (starts - np.arange(LENGTH + 1)) % VOCAB
        weights = np.ones(8 * LENGTH, np.float32)
        return Batch(rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1), weights, [LENGTH] * 8)


@functools.cache
def base_of(version: str) -> Checkpoint:
    """A model of two layers that has learnt to count upwards."""
    trainer = toy_trainer(version, steps=60, rate=1e-2)
    for _ in trainer.reports():
        pass
    found = as_checkpoint(trainer.model)
    held = {name: np.array(tensor.numpy()) for name, tensor in found.tensors.items()}
    tensors = {name: Tensor("F32", x.shape, lambda x=x: x, name) for name, x in held.items()}
    return Checkpoint(Path("base"), "test", tensors, config=found.config)


def prepared(version: str, method: Method, **options: Any) -> TrainedModel:
    model = TrainedModel.of(base_of(version), **options)
    method.prepare(model)
    return model


def trainer_of(version: str, method: Method, **settings: Any) -> Trainer:
    defaults = {"steps": 20, "rate": 2e-2, "final_rate": 2e-3, "warmup": 2, "save_every": 4, "weight_decay": 0.0}
    return Trainer(prepared(version, method), CountingDown(), Settings(**(defaults | settings)))


def new_run(folder: Path, method: Method, watcher: Watcher | None = None, **settings: Any) -> Run:
    trainer = trainer_of("7", method, **settings)
    return Run(trainer, folder, "down", [CountingDown().at(10**6)], watcher=watcher or Watcher(), method=method)
