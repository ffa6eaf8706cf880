"""A process that trains on one document of so many tokens in passes of 1024, and prints its largest size in bytes."""

from __future__ import annotations

import resource
import sys

import numpy as np
from toy import VOCAB, toy_trainer

from rookery.train.data import Batch


class Document:
    """One document of random tokens."""

    def __init__(self, length: int) -> None:
        self.length = length

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        tokens = np.random.default_rng(step).integers(0, VOCAB, self.length + 1)
        return Batch(tokens[:-1], tokens[1:], np.ones(self.length, np.float32), [self.length])


if __name__ == "__main__":
    trainer = toy_trainer(segment=1024, steps=1)
    trainer.batches = Document(int(sys.argv[1]))
    trainer.advance()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
