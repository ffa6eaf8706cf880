"""
The command line: a lazy table of commands.

Each command lives in a module of its own and is imported when it is chosen.  What every command shares (loading with
a progress bar, JSON output, one-sentence errors) is in `common`.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, NoReturn

import click

from rookery import __version__
from rookery.cli.groups import Group
from rookery.cli.interrupts import ended_as_by_errors
from rookery.cli.printable import printable
from rookery.errors import RookeryError

__all__ = ["COMMANDS", "main"]

# name: (module with a click command called `command`, one line of help)
COMMANDS = {
    "run": ("rookery.cli.run", "Continue a text, or chat."),
    "show": ("rookery.cli.show", "Say what a model or state file is."),
    "convert": ("rookery.cli.convert", "Write a model in another format."),
    "quantize": ("rookery.cli.quantize", "Write a model in fewer bits, and say what that costs."),
    "tokenize": ("rookery.cli.tokenize", "Show the tokens of a text."),
    "perplexity": ("rookery.cli.perplexity", "Measure how well a model predicts a text."),
    "evaluate": ("rookery.cli.evaluate", "Train small models on tasks and say which can do them."),
    "embed": ("rookery.cli.embed", "Turn texts into vectors."),
    "train": ("rookery.cli.train", "Train a model on data, or take one further."),
    "tune": ("rookery.cli.tune", "Fine-tune a model: LoRA, its initial state, or all of it."),
    "merge": ("rookery.cli.merge", "Write a model with what fine-tuning learnt."),
    "plot": ("rookery.cli.plot", "Draw the loss of training runs."),
    "vocabulary": ("rookery.cli.vocabulary", "Make a small vocabulary for some texts."),
    "init": ("rookery.cli.init", "Create a new model with initial or random weights."),
    "bench": ("rookery.cli.bench", "Measure speed and memory on this machine."),
    "doctor": ("rookery.cli.doctor", "Check this installation and machine."),
}

INTERRUPTED = 130  # exit code: 128 + SIGINT


class Rookery(Group):
    """The command itself: colours as the environment wants them, and what Ctrl-C does."""

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            ctx.color = False
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("rookery: interrupted", err=True)
            raise SystemExit(INTERRUPTED) from None


@click.group(cls=Rookery, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rookery")
def cli() -> None:
    """Rookery: run, convert, measure and study RWKV language models."""


def main() -> None:
    """The `rookery` command.  Errors of ours and of the system become one sentence on stderr and exit code 1."""
    _mend_streams()
    try:
        with ended_as_by_errors():
            cli.main(standalone_mode=True)
    except RookeryError as error:
        _fail(str(error))
    except BrokenPipeError:
        raise SystemExit(141) from None  # the reader of our output went away: 128 + SIGPIPE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    except MemoryError:
        _fail("not enough memory; close other programs, or use a smaller model")


def _mend_streams() -> None:
    """Closed streams (`>&-`) are like /dev/null; what an encoding lacks is written as \\u65e5."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  as long as the process
        elif mode == "w" and isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _fail(sentence: str) -> NoReturn:
    click.echo(f"rookery: {printable(sentence)}", err=True)
    raise SystemExit(1) from None
