"""A small model that has learnt to answer in two ways, and fine-tuning that settles which."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from toy import toy_trainer

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

__all__ = ["SEGMENTS", "TASK", "base_of", "new_run", "prepared", "trainer_of"]

SEGMENTS = 32


class Answers:
    """Letters and their answers, small or capital ones.

    With a key the first token says which: so the model has to remember it.  Without one, they are capital throughout:
    what fine-tuning is to teach, and what a state alone can tell.
    """

    def __init__(self, key: bool) -> None:
        self.key = key

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        random = np.random.default_rng(step + 1000)
        small = random.random((SEGMENTS, 1)) < (0.5 if self.key else 0)
        letters = random.integers(0, 24, (SEGMENTS, 4))
        rows = np.stack([letters, np.where(small, letters, letters + 24)], 2).reshape(SEGMENTS, -1)
        weights = np.tile(np.array([1, 0], np.float32), (SEGMENTS, 4))  # only answers can be known
        if self.key:
            rows, weights = np.concatenate([48 + small, rows], 1), np.pad(weights, ((0, 0), (1, 0)))
        length = rows.shape[1] - 1
        tokens, targets, weights = (x.reshape(-1) for x in (rows[:, :-1], rows[:, 1:], weights[:, :-1]))
        return Batch(tokens.astype(np.int64), targets.astype(np.int64), weights, [length] * SEGMENTS)


TASK = Answers(key=False)


@functools.cache
def base_of(version: str) -> Checkpoint:
    """A model of two layers that has learnt to answer as the key says."""
    trainer = toy_trainer(version, steps=60, rate=1e-2)
    trainer.batches = Answers(key=True)
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
    return Trainer(prepared(version, method), TASK, Settings(**(defaults | settings)))


def new_run(folder: Path, method: Method, watcher: Watcher | None = None, **settings: Any) -> Run:
    trainer = trainer_of("7", method, **settings)
    return Run(trainer, folder, "answers", [TASK.at(10**6)], watcher=watcher or Watcher(), method=method)
