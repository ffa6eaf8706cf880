"""
State tracking: what a model can keep count of, within the lengths it was trained on and beyond.

Tiny models are trained on tasks whose answer depends on everything read so far: parity, sums, swaps of cups, products
of permutations, arithmetic in brackets; and on associative recall.  docs/state-tracking.md says what they show.
"""

from __future__ import annotations

from rookery.evaluate.tracking.study import DEFAULT_MODELS, MODELS, Cell, Plan, Results, summary
from rookery.evaluate.tracking.tasks import TASKS

__all__ = ["DEFAULT_MODELS", "MODELS", "TASKS", "Cell", "Plan", "Results", "summary"]
