"""The log of a run for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.errors import MissingExtra
from rookery.train.watcher import Watcher

if TYPE_CHECKING:
    from rookery.train.trainer import Report

__all__ = ["TensorBoard"]


class TensorBoard(Watcher):
    """Writes losses, norms, rates and speeds by step into `folder`; MissingExtra without the tensorboard package."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise MissingExtra("--tensorboard needs tensorboard: pip install tensorboard") from None
        self._folder = folder
        self._writer: Any = SummaryWriter(str(folder))

    def step(self, report: Report) -> None:
        values = {
            "loss/training": report.loss,
            "norm": report.norm,
            "rate": report.rate,
            "tokens per second": report.tokens / max(report.seconds, 1e-9),
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, report.step)

    def validated(self, step: int, loss: float) -> None:
        self._writer.add_scalar("loss/validation", loss, step)

    def saved(self, path: Path) -> None:
        self._writer.flush()
