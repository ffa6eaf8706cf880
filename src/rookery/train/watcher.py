"""Who wants to hear what happens in a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rookery.train.trainer import Report

__all__ = ["Watcher", "Watchers"]


class Watcher:
    """Hears what happens; override what is of interest."""

    def step(self, report: Report) -> None: ...
    def validated(self, step: int, loss: float) -> None: ...
    def saved(self, path: Path) -> None: ...
    def resumed(self, step: int) -> None: ...
    def torn(self, path: Path, why: str) -> None: ...


class Watchers(Watcher):
    """Several, told one after another."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._watchers = watchers

    def step(self, report: Report) -> None:
        for watcher in self._watchers:
            watcher.step(report)

    def validated(self, step: int, loss: float) -> None:
        for watcher in self._watchers:
            watcher.validated(step, loss)

    def saved(self, path: Path) -> None:
        for watcher in self._watchers:
            watcher.saved(path)

    def resumed(self, step: int) -> None:
        for watcher in self._watchers:
            watcher.resumed(step)

    def torn(self, path: Path, why: str) -> None:
        for watcher in self._watchers:
            watcher.torn(path, why)
