"""Who wants to hear what happens in a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rookery.train.trainer import Report

__all__ = ["Watcher"]


class Watcher:
    """Hears what happens; override what is of interest."""

    def step(self, report: Report) -> None: ...
    def validated(self, step: int, loss: float) -> None: ...
    def saved(self, path: Path) -> None: ...
    def resumed(self, step: int) -> None: ...
    def torn(self, path: Path, why: str) -> None: ...
