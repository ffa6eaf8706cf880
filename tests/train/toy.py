"""
A tiny model and data it can learn: counting modulo 50 from a random start.

    python toy.py FOLDER [NAME=VALUE ...]

trains it in a process of its own, or in one of several that torchrun or a test started.  Values are settings, or
double=1 (float64), ragged=1 (documents of several lengths), stop=STEP and by=RANK (that process is told to stop then).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rookery.initialise import initialise, make_config
from rookery.train import parallel
from rookery.train.data import Batch
from rookery.train.model import TrainedModel
from rookery.train.run import Run
from rookery.train.settings import Settings
from rookery.train.trainer import Report, Trainer
from rookery.train.watcher import Watcher

__all__ = ["Counting", "new_run", "toy_trainer"]

VOCAB, LENGTH = 50, 16
RAGGED = [1, 90, 4, 2, 30, 1, 3, 5]


class Counting:
    """Eight documents at every step; processes get as many each, if not as many tokens."""

    def __init__(self, ragged: bool = False) -> None:
        self.lengths = RAGGED if ragged else [LENGTH] * 8

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        starts = np.random.default_rng(step).integers(0, VOCAB, 8)
        mine = range(8 * rank // world, 8 * (rank + 1) // world)
        rows = [(starts[i] + np.arange(self.lengths[i] + 1)) % VOCAB for i in mine]
        weights = [np.where(np.arange(self.lengths[i]) < 5 * (i % 3 == 0), 0, 1) for i in mine]
        return Batch(
            np.concatenate([row[:-1] for row in rows]),
            np.concatenate([row[1:] for row in rows]),
            np.concatenate(weights).astype(np.float32),
            [self.lengths[i] for i in mine],
        )


class Stopping(Watcher):
    """Tells its process to stop after a step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, report: Report) -> None:
        if report.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def toy_trainer(version: str = "7", double: bool = False, ragged: bool = False, **settings: Any) -> Trainer:
    config = make_config(version, layers=2, width=32, vocab=VOCAB, head_size=16)
    defaults = {"steps": 12, "rate": 5e-3, "final_rate": 5e-4, "warmup": 3, "save_every": 4, "validate_every": 5}
    dtype = torch.float64 if double else torch.float32
    model = parallel.placed(TrainedModel.of(initialise(config), dtype=dtype))
    return Trainer(model, Counting(ragged), Settings(**(defaults | settings)))


def new_run(folder: Path, watcher: Watcher | None = None, **settings: Any) -> Run:
    trainer = toy_trainer(**settings)
    held_out = [Counting().at(10**6 + i) for i in range(3)]
    return Run(trainer, folder, "counting", held_out, watcher=watcher or Watcher())


def main(folder: str, *pairs: str) -> None:
    given = {name: int(value) for name, value in (pair.split("=") for pair in pairs)}
    stop, by = given.pop("stop", 0), given.pop("by", 0)
    with parallel.together():
        new_run(Path(folder), Stopping(stop) if parallel.rank() == by else None, **given).go()


if __name__ == "__main__":
    main(*sys.argv[1:])
