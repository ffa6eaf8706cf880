"""One cell of the study: a model is trained on a task and asked at many lengths."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rookery.errors import NumericError
from rookery.evaluate.tracking.contenders import Shape, contender
from rookery.evaluate.tracking.study import Cell
from rookery.evaluate.tracking.tasks import Task, task
from rookery.train.data import Batch
from rookery.train.settings import Settings
from rookery.train.trainer import Trainer

__all__ = ["TaskBatches", "accuracies", "run_cell"]

SOLVED = 0.05  # of the loss of guessing, over RECENT steps
RECENT = 20
RELIABLE = 0.95  # right answers
TESTED = 256  # sequences
AT_ONCE = 1 << 14  # tokens in evaluation
HELD_OUT = 1 << 31  # the step of the first test: training never gets there


@dataclass(frozen=True, slots=True)
class TaskBatches:
    """All batches of a task by step: new sequences every time."""

    task: Task
    count: int
    seed: int

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        rows = self.task.rows(np.random.default_rng([self.seed, step]), self.count, self.task.length)
        count, length = rows.tokens.shape
        return Batch(rows.tokens.reshape(-1), rows.targets.reshape(-1), rows.weights.reshape(-1), [length] * count)


def run_cell(cell: Cell, on_step: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Train and measure.

    Returns parameters, the last loss over that of guessing, solved_at (a step, or None), accuracy (share of right
    answers by length), reliable (tokens up to which `RELIABLE` of the answers are right; None where the task
    asks whole sequences only), diverged and seconds.
    """
    begin, job = time.perf_counter(), task(cell.task)
    with _threads(cell.threads):
        model = contender(cell.model, Shape(cell.layers, cell.width, job.vocab), cell.seed)
        losses, diverged = _train(model, job, cell, on_step)
        accuracy, reliable = accuracies(model, job, cell.lengths, cell.seed)
    recent = np.convolve(losses, np.ones(RECENT) / RECENT, "valid") if len(losses) >= RECENT else np.array([])
    solved = np.flatnonzero(recent < SOLVED)
    return {
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "loss": float(np.mean(losses[-RECENT:])) if losses else None,
        "solved_at": int(solved[0]) + RECENT if solved.size else None,
        "accuracy": {str(length): share for length, share in accuracy.items()},
        "reliable": reliable,
        "diverged": diverged,
        "seconds": time.perf_counter() - begin,
    }


def _train(model: Any, job: Task, cell: Cell, on_step: Callable[[], None]) -> tuple[list[float], bool]:
    """Losses, 1 for guessing; and whether no finite gradient came any more."""
    settings = Settings(
        steps=cell.steps,
        tokens_per_batch=cell.batch * (job.length + 1),
        rate=cell.rate,
        final_rate=cell.rate / 10,
        warmup=min(50, cell.steps // 10),
        weight_decay=0.01,
        flatten=0.0,
        seed=cell.seed,
    )
    trainer, losses = Trainer(model, TaskBatches(job, cell.batch, cell.seed), settings), []
    try:
        for report in trainer.reports():
            losses.append(report.loss / math.log(job.answers))
            on_step()
    except NumericError:
        return losses, True
    return losses, False


def accuracies(
    model: Any, job: Task, lengths: tuple[int, ...], seed: int, count: int = TESTED
) -> tuple[dict[int, float], int | None]:
    """The share of right answers by length, and the reliable prefix.

    Tasks that stream are asked at every place of one batch of the longest sequences, and the accuracy at a length is
    that over the last sixteenth of the places up to it; the others get sequences of each length.
    """
    if not job.stream:
        found = {}
        for length in lengths:
            right, asked = _answers(model, job, length, seed, count)
            found[length] = float(right.sum() / asked.sum())
        return found, None
    right, _ = _answers(model, job, max(lengths), seed, count)
    places = right[:, 1:].mean(0)
    failed = np.flatnonzero(places < RELIABLE)
    windows = {length: places[length - max(1, length // 16) : length] for length in lengths}
    return {n: float(window.mean()) for n, window in windows.items()}, int(failed[0]) if failed.size else len(places)


def _answers(model: Any, job: Task, length: int, seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where answers are right and where something is asked, (count, tokens)."""
    import torch

    rows = job.rows(np.random.default_rng([seed, HELD_OUT + length]), count, length)
    right = []
    for some in np.array_split(np.arange(count), max(1, rows.tokens.size // AT_ONCE)):
        tokens = torch.from_numpy(rows.tokens[some])
        with torch.no_grad():
            hidden, _ = model(tokens.reshape(-1), [tokens.shape[1]] * len(some))
            said = model.logits(hidden).argmax(-1).reshape(tokens.shape).numpy()
        right.append((said == rows.targets[some]) & (rows.weights[some] > 0))
    return np.concatenate(right), rows.weights > 0


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
