"""A tiny model and data it can learn: counting modulo 50 from a random start."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rookery.initialise import initialise, make_config
from rookery.train.model import TrainedModel
from rookery.train.run import Run, Watcher
from rookery.train.settings import Settings
from rookery.train.trainer import Trainer

__all__ = ["Counting", "Rows", "new_run", "toy_trainer"]

VOCAB, LENGTH = 50, 16


@dataclass
class Rows:
    """Segments of one length."""

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    lengths: list[int]


class Counting:
    def at(self, step: int) -> Rows:
        starts = np.random.default_rng(step).integers(0, VOCAB, (8, 1))
        rows = (starts + np.arange(LENGTH + 1)) % VOCAB
        weights = np.ones((8, LENGTH), np.float32)
        weights[::3, :5] = 0
        return Rows(rows[:, :-1].reshape(-1), rows[:, 1:].reshape(-1), weights.reshape(-1), [LENGTH] * 8)


def toy_trainer(version: str = "7", **settings: Any) -> Trainer:
    config = make_config(version, layers=2, width=32, vocab=VOCAB, head_size=16)
    defaults = {"steps": 12, "rate": 5e-3, "final_rate": 5e-4, "warmup": 3, "save_every": 4, "validate_every": 5}
    return Trainer(TrainedModel.of(initialise(config)), Counting(), Settings(**(defaults | settings)))


def new_run(folder: Path, watcher: Watcher | None = None, **settings: Any) -> Run:
    trainer = toy_trainer(**settings)
    held_out = [Counting().at(10**6)]
    return Run(trainer, folder, "counting", held_out, watcher or Watcher())


if __name__ == "__main__":  # a run in a process of its own, to be killed
    new_run(Path(sys.argv[1]), save_every=1).go()
