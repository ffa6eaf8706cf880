"""Sequences of a task, as the trainer takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Rows", "started"]


@dataclass(frozen=True, slots=True)
class Rows:
    """Sequences of one length.

    tokens, targets: int64 (count, tokens): what is read, and what is asked at that place.
    weights:         float32, 1 where something is asked and 0 elsewhere.
    """

    tokens: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


def started(inputs: np.ndarray, targets: np.ndarray, asked: np.ndarray, start: int) -> Rows:
    """Sequences with the token `start` before them, where nothing is asked.  All are (count, length)."""
    before = ((0, 0), (1, 0))
    return Rows(
        np.pad(inputs, before, constant_values=start).astype(np.int64),
        np.pad(targets, before).astype(np.int64),
        np.pad(asked, before).astype(np.float32),
    )
