"""
The study: every task with every model, and what was found, kept line by line so that it may be broken off.

Knows nothing of torch; `cell` trains.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from rookery.errors import FormatError, SettingsError
from rookery.evaluate.tracking.tasks import task

__all__ = ["DEFAULT_MODELS", "MODELS", "Cell", "Plan", "Results", "summary"]

MODELS = ("v7", "v7:2", "v7:1+w", "v6", "v5.2", "v4", "transformer")
DEFAULT_MODELS = ("v7", "v7:1+w", "v6", "v4", "transformer")
_BEGIN = b'{"cell": '
_FREE = ("threads",)  # changes nothing but the last digits


@dataclass(frozen=True, slots=True)
class Cell:
    """One training: everything that its result depends on.

    lengths: where accuracy is measured, without the start token.  rate: peak learning rate.  batch: sequences a step.
    """

    task: str
    model: str
    layers: int
    rate: float
    seed: int
    steps: int
    lengths: tuple[int, ...]
    width: int = 64
    batch: int = 64
    threads: int = 1

    def described(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if k not in _FREE}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which cells there are: every combination.

    steps, lengths: None for what suits each task: its own steps; its training length and twice, four and eight times.
    """

    tasks: Sequence[str]
    models: Sequence[str]
    layers: Sequence[int]
    rates: Sequence[float]
    seeds: Sequence[int]
    steps: int | None = None
    lengths: tuple[int, ...] | None = None
    width: int = 64
    threads: int = 1

    def __post_init__(self) -> None:
        for name in self.tasks:
            task(name)
        for model in self.models:
            if model not in MODELS:
                raise SettingsError(f"unknown model {model!r}; known: {', '.join(MODELS)}")
        self._check("layers", self.layers, lambda n: 1 <= n <= 64, "1 to 64")
        self._check("rates", self.rates, lambda rate: 0 < rate < 10, "more than 0 and less than 10")
        self._check("seeds", self.seeds, lambda seed: 0 <= seed < 2**32, "0 to 2^32 - 1")
        if self.lengths is not None:
            self._check("lengths", self.lengths, lambda n: 8 <= n <= 1 << 16, "8 to 65536")
        if self.steps is not None:
            self._check("steps", [self.steps], lambda n: 1 <= n <= 10**6, "1 to 1000000")
        self._check("width", [self.width], lambda n: n % 32 == 0 and 32 <= n <= 4096, "a multiple of 32 up to 4096")
        self._check("threads", [self.threads], lambda n: 1 <= n <= 1024, "1 to 1024")

    def _check(self, name: str, values: Sequence[Any], holds: Callable[[Any], bool], expected: str) -> None:
        wrong = next((value for value in values if not holds(value)), None)
        if wrong is not None or not values:
            raise SettingsError(f"{name}={wrong}: expected {expected}")

    def cells(self) -> list[Cell]:
        """In an order in which the first seed of everything comes first."""
        every = product(self.seeds, self.tasks, self.layers, self.rates, self.models)
        return [self._cell(name, model, layers, rate, seed) for seed, name, layers, rate, model in every]

    def _cell(self, name: str, model: str, layers: int, rate: float, seed: int) -> Cell:
        job = task(name)
        lengths = self.lengths or tuple(job.length * n for n in (1, 2, 4, 8))
        cell = Cell(name, model, layers, rate, seed, self.steps or job.steps, tuple(sorted(set(lengths))))
        return replace(cell, width=self.width, threads=self.threads)


class Results:
    """What has been found, in a file of JSON lines, one for each cell; None keeps it in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._found: dict[str, dict[str, Any]] = {}
        for line in self._lines():
            self._found[_key(line["cell"])] = line["found"]

    def of(self, cell: Cell) -> dict[str, Any] | None:
        return self._found.get(_key(cell.described()))

    def add(self, cell: Cell, found: dict[str, Any]) -> None:
        """Keep it, on the disk before anything else is begun."""
        self._found[_key(cell.described())] = found
        if self.path is None:
            return
        with open(self.path, "a+b") as file:
            file.truncate(self.path.read_bytes().rfind(b"\n") + 1)  # without a line that was cut off
            file.write(json.dumps({"cell": cell.described(), "found": found}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self.path is None or not self.path.exists():
            return
        lines = self.path.read_bytes().split(b"\n")
        for number, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
                if not isinstance(line["cell"], dict) or not isinstance(line["found"], dict):
                    raise ValueError
                yield line
            except (ValueError, KeyError, TypeError, RecursionError):
                if number == len(lines) and text.startswith(_BEGIN):  # what a killed run leaves
                    return
                raise FormatError(
                    f"{self.path}: line {number} is no result of state tracking; use a file of its own"
                ) from None


def _key(described: Mapping[str, Any]) -> str:
    return json.dumps(described, sort_keys=True)


def summary(plan: Plan, results: Results) -> list[dict[str, Any]]:
    """One entry for each task, depth and model that has results: means over seeds at the best learning rate.

    The best is that with the highest accuracy at the shortest length, then over all lengths.
    """
    groups: dict[tuple[str, int, str], dict[float, list[dict[str, Any]]]] = {}
    for cell in plan.cells():
        found = results.of(cell)
        if found is not None:
            by_rate = groups.setdefault((cell.task, cell.layers, cell.model), {})
            by_rate.setdefault(cell.rate, []).append(found)
    entries = []
    for (name, layers, model), by_rate in sorted(groups.items(), key=lambda item: _place(plan, item[0])):
        means = {rate: _mean(found) for rate, found in by_rate.items()}
        best = max(means, key=lambda rate: (next(iter(means[rate].values())), fmean(means[rate].values())))
        entries.append(
            {
                "task": name,
                "layers": layers,
                "model": model,
                "chance": 1 / task(name).answers,
                "trained": task(name).length,
                "rate": best,
                **_over_seeds(by_rate[best], means[best]),
            }
        )
    return entries


def _place(plan: Plan, group: tuple[str, int, str]) -> tuple[int, int, int]:
    name, layers, model = group
    return plan.tasks.index(name), layers, plan.models.index(model)


def _mean(found: list[dict[str, Any]]) -> dict[int, float]:
    return {int(n): fmean(each["accuracy"][n] for each in found) for n in found[0]["accuracy"]}


def _over_seeds(found: list[dict[str, Any]], accuracy: dict[int, float]) -> dict[str, Any]:
    solved = [each["solved_at"] for each in found if each["solved_at"] is not None]
    reliable = [each["reliable"] for each in found if each["reliable"] is not None]
    return {
        "parameters": found[0]["parameters"],
        "seeds": len(found),
        "solved": len(solved),
        "solved_at": fmean(solved) if solved else None,
        "diverged": sum(each["diverged"] for each in found),
        "accuracy": {str(n): share for n, share in accuracy.items()},
        "reliable": fmean(reliable) if reliable else None,
        "seconds": fmean(each["seconds"] for each in found),
    }
