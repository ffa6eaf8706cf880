"""
A run: a folder with its settings, log, checkpoints and the model so far.

    log.jsonl        a line per step and per validation
    step-00001200/   checkpoints (`checkpoint`)
    model.rookery    the model as of the last checkpoint with its vocabulary, for `rookery run`; or of fine-tuning
                     adapter.safetensors, adapter.pth, time_state.pth: what was learnt, apart from the model
    vocabulary.txt   its vocabulary, where one was made for it
    tokens/          the data, tokenised
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from rookery.errors import SettingsError
from rookery.tokenizer import Tokenizer
from rookery.train import checkpoint, parallel
from rookery.train.data import Batch
from rookery.train.export import MODEL
from rookery.train.log import LOG, Log
from rookery.train.methods import Full, Method
from rookery.train.model import TrainedModel
from rookery.train.trainer import Trainer
from rookery.train.watcher import Watcher

__all__ = ["MODEL", "Run"]


@dataclass
class Run:
    """What is trained, on what, and where it is kept.

    trainer:     holds the model, the optimizer and the data.
    folder:      exists; one run's.
    data:        fingerprint of the data and its order: a resumed run must have the same.
    held_out:    batches to validate on.
    tokenizer:   whose vocabulary the model's file carries.
    method:      of fine-tuning, that the model has been prepared for; it writes what the run leaves.
    watcher:     of several processes each has one, and all hear the same.
    """

    trainer: Trainer
    folder: Path
    data: str
    held_out: Sequence[Batch] = ()
    tokenizer: Tokenizer | None = None
    watcher: Watcher = field(default_factory=Watcher)
    method: Method = field(default_factory=Full)

    def go(self) -> bool:
        """Resume if there is something to resume, train until the end or a signal.  Whether the end was reached."""
        self._resume()
        trainer, settings = self.trainer, self.trainer.settings
        path = self.folder / LOG if parallel.first() else None
        with closing(Log(path, trainer.step)) as log, _signals() as told:
            for report in trainer.reports():
                log.write(**{k: v for k, v in asdict(report).items() if k != "skipped" or v})
                self.watcher.step(report)
                if _due(report.step, settings.validate_every, settings.steps) and self.held_out:
                    self._validate(log)
                stops = parallel.anyone(told())  # asked once a step: all processes stop after the same one
                if _due(report.step, settings.save_every, settings.steps) or stops:
                    self.save()
                if stops:
                    break
        return trainer.step >= settings.steps

    def save(self) -> None:
        """A checkpoint, and the model, or what it learnt, beside it."""
        trainer = self.trainer
        path = checkpoint.save(self.folder, trainer.model, trainer.optimizer, self._meta(), trainer.settings.keep)
        if isinstance(trainer.model, TrainedModel):  # a control has no file that anything runs
            self.method.write(trainer.model, self.folder, self.tokenizer)
        self.watcher.saved(path)

    def _validate(self, log: Log) -> None:
        loss = self.trainer.validate(self.held_out)
        log.write(step=self.trainer.step, validation=loss)
        self.watcher.validated(self.trainer.step, loss)

    def _resume(self) -> None:
        saved = parallel.by_first(lambda: checkpoint.latest(self.folder, self.watcher.torn))
        if saved is None:
            return
        _same(saved, self._meta(), self.folder)
        checkpoint.restore(saved, self.trainer.model, self.trainer.optimizer)
        self.trainer.step = saved.step
        self.watcher.resumed(saved.step)

    def _meta(self) -> dict[str, Any]:
        trainer = self.trainer
        parts = {"settings": asdict(trainer.settings), "config": asdict(trainer.model.config)}
        return {"step": trainer.step, **parts, "method": self.method.described(), "data": self.data}


# What may change when a run is resumed without making it another run.
_FREE = {"validate_every", "validation_tokens", "save_every", "keep", "most_skipped"}
_FREE |= {"recompute", "micro_batches", "segment"}  # but for rounding


def _same(saved: checkpoint.Saved, mine: Mapping[str, Any], folder: Path) -> None:
    """SettingsError where a resumed run would not be the run that was begun."""
    free = _FREE - ({"segment"} if mine["settings"]["truncate"] else set())
    for part in ("method", "config", "settings"):
        for name, now in mine[part].items():
            then = saved.meta[part].get(name, "1" if name == "removal" else None)  # runs begun before it could differ
            if name not in free and then != now:
                raise SettingsError(
                    f"{folder}: was begun with {name}={then!r}, not {now!r}; use another folder, or that"
                )
    if saved.meta["data"] != mine["data"]:
        raise SettingsError(
            f"{folder}: was begun on other data (fingerprint {saved.meta['data'][:12]}, now {mine['data'][:12]}); "
            "use another folder, or the same data and vocabulary"
        )


def _due(step: int, every: int, last: int) -> bool:
    return step == last or (every > 0 and step % every == 0)


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """SIGINT and SIGTERM end the run after its step; a second SIGINT at once."""
    told = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if told and number == signal.SIGINT and parallel.world() == 1:  # torchrun repeats what the terminal sent
            raise KeyboardInterrupt
        told = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
