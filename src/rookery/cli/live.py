"""What is seen while a model trains: bars before the first step, then a line that lives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rookery.cli.common import progress
from rookery.cli.printable import printable
from rookery.train.watcher import Watcher

if TYPE_CHECKING:
    from rookery.train.assemble import Assembled
    from rookery.train.run import Run
    from rookery.train.trainer import Report

__all__ = ["Bars", "Line", "span"]

EVERY_S = 10.0  # seconds between lines where no terminal shows a live one


class Bars:
    """One bar after another, for what is done before the first step."""

    def __init__(self) -> None:
        self._stack, self._what = ExitStack(), ""
        self._report: Callable[[int, int], None] = lambda done, total: None

    def __enter__(self) -> Bars:
        return self

    def report(self, what: str, done: int, total: int) -> None:
        from rookery.train import parallel

        if not parallel.first():
            return
        if what != self._what:
            self._stack.close()
            self._what, self._report = what, self._stack.enter_context(progress(what))
        self._report(done, total)

    def __exit__(self, *error: object) -> None:
        self._stack.close()


class Line(Watcher):
    """Says how the run goes: a live line on a terminal, a line now and then elsewhere."""

    def __init__(self, run: Run, found: Assembled, sample: str | None) -> None:
        from rich.console import Console

        from rookery.train import parallel

        self._first = parallel.first()  # all hear the same, one says it
        self._run, self._found, self._sample = run, found, sample
        self._console = Console(stderr=True, highlight=False, quiet=not self._first)
        self._said, self._speed = time.monotonic(), 0.0
        self._status = self._console.status("") if self._console.is_terminal and self._first else None

    def __enter__(self) -> Line:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._status:
            self._status.stop()

    def step(self, report: Report) -> None:
        if not self._first:
            return
        speed = report.tokens / max(report.seconds, 1e-9)
        self._speed = speed if self._speed == 0 else 0.9 * self._speed + 0.1 * speed
        if self._status:
            self._status.update(self._words(report))
        elif time.monotonic() - self._said > EVERY_S or report.step in (1, self._found.settings.steps):
            self._said = time.monotonic()
            click.echo(self._words(report), err=True)

    def _words(self, report: Report) -> str:
        settings = self._found.settings
        left = (settings.steps - report.step) * settings.tokens_per_batch / max(self._speed, 1e-9)
        return (
            f"step {report.step}/{settings.steps}  loss {report.loss:.4f}  {self._bits(report.loss):.3f} bits/byte  "
            f"norm {report.norm:.2f}  {self._speed:,.0f} tokens/s  {span(left)} left"
            + ("  SKIPPED" if report.skipped else "")
        )

    def _bits(self, loss: float) -> float:
        return loss / math.log(2) / self._found.bytes_per_token

    def _say(self, sentence: str) -> None:
        self._console.print(sentence, markup=False, soft_wrap=True)

    def validated(self, step: int, loss: float) -> None:
        self._say(f"step {step}: validation loss {loss:.4f}, {self._bits(loss):.3f} bits per byte")
        if self._sample is not None:
            for line in (self._sample + self._continued(self._sample)).split("\n"):
                self._say(f"    {printable(line)}".rstrip())

    def _continued(self, text: str) -> str:
        import rookery
        from rookery.train.export import as_checkpoint

        run = self._run
        checkpoint = as_checkpoint(run.trainer.model, run.tokenizer)  # every process gives its part
        if not self._first:
            return ""
        model = rookery.load(checkpoint, tokenizer=run.tokenizer, threads=1)
        pieces = model.generate(text, rookery.Sampler(temperature=0.8, top_p=0.8), max_tokens=100)
        return "".join(piece.text for piece in pieces)

    def saved(self, path: Path) -> None: ...

    def resumed(self, step: int) -> None:
        self._say(f"going on from step {step}")

    def torn(self, path: Path, why: str) -> None:
        self._say(f"passed over: {why}")


def span(seconds: float) -> str:
    minutes = int(seconds / 60 + 0.5)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
