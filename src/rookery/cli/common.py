"""What the commands share: options, loading with a progress bar, JSON."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.printable import printable_json
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.model import Model

__all__ = ["json_option", "load_model", "model_options", "print_json", "progress", "unreadable"]

SHOW_AFTER_S = 2.0  # a bar that would be gone at once only flickers

_EXECUTOR = "What runs it: native (the default), or numpy: float64 and slow, the oracle."
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every command that loads a model; pass them to `load_model`."""
    options = (
        click.option("--threads", type=int, default=0, help="Threads; default: all processors this process may use."),
        click.option("--tokenizer", metavar="PATH", help="Vocabulary file; default: the model's own, else by size."),
        click.option("--executor", type=click.Choice(["native", "numpy"]), default="native", help=_EXECUTOR),
        click.option("--group-norm-eps", type=float, help="For v5 and later; default 64e-5."),
        click.option("--adapter", type=click.Path(path_type=Path), help="What fine-tuning learnt: LoRA, tuned state."),
        click.option("--adapter-alpha", type=float, help="Its alpha, where the file does not say it."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_model(
    path: str,
    *,
    threads: int = 0,
    tokenizer: str | None = None,
    executor: str = "native",
    group_norm_eps: float | None = None,
    adapter: Path | None = None,
    adapter_alpha: float | None = None,
) -> Model:
    """Load a model, with a progress bar on stderr if it takes long."""
    from rookery.model import load

    with progress("Loading") as report:
        return load(
            path,
            threads=threads,
            tokenizer=tokenizer,
            executor=executor,
            group_norm_eps=group_norm_eps,
            progress=report,
            adapter=adapter,
            adapter_alpha=adapter_alpha,
        )


def unreadable(path: Path, error: OSError) -> SettingsError:
    """What to raise when the text to be read at `path` cannot be."""
    return SettingsError(f"{path}: cannot be read ({error.strerror}); give the path of a text")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that appears when the work lasts over two seconds; call what it yields with (done, total).

    It is gone as soon as all is done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(what)
    start = time.monotonic()
    shown = False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if not shown and done < total and console.is_terminal and time.monotonic() - start > SHOW_AFTER_S:
            shown = True
            bar.start()
        bar.update(task, completed=done, total=total)
        if shown and done >= total:
            shown = False
            bar.stop()

    try:
        yield report
    finally:
        if shown:
            bar.stop()


def print_json(value: Any) -> None:
    """One JSON object on stdout.  NaN and infinity, which JSON has no words for, are null."""
    click.echo(printable_json(json.dumps(_worded(value), ensure_ascii=False, indent=2, allow_nan=False)))


def _worded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _worded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_worded(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
