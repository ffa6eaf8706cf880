"""`rookery perplexity`: how well a model predicts a text."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from rookery.cli.common import json_option, load_model, model_options, print_json, progress, unreadable
from rookery.errors import SettingsError

__all__ = ["command"]


@click.command("perplexity")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("text", type=click.Path(path_type=Path), default="-")
@click.option("--context", type=int, help="Start afresh every so many tokens; default: never, the state runs through.")
@click.option("--start-token", default="0", show_default=True, help='Token read before the text, or "none".')
@click.option("--chunk", type=int, default=64, show_default=True, help="Rows of logits in memory at a time.")
@model_options
@json_option
def command(
    model: Path, text: Path, context: int | None, start_token: str, chunk: int, as_json: bool, **options: Any
) -> None:
    """Measure how well MODEL predicts the file TEXT (default: stdin).

    Prints the perplexity, which depends on the vocabulary, and bits per byte, which may be compared between models.
    """
    from rookery.evaluate import perplexity

    start = _token(start_token)
    data = _data(text)
    loaded = load_model(str(model), **options)
    if start is not None and start >= loaded.config.vocab:
        raise SettingsError(f"--start-token is {start}, expected an integer between 0 and {loaded.config.vocab - 1}")
    begin = time.perf_counter()
    with progress("Reading") as report:
        found = perplexity(loaded, data, chunk=chunk, context=context, start_token=start, progress=report)
    seconds = time.perf_counter() - begin
    values = {
        "perplexity": found.perplexity,
        "bits_per_byte": found.bits_per_byte,
        "nats_per_token": found.nats / found.tokens,
        "tokens": found.tokens,
        "bytes": found.bytes,
        "seconds": seconds,
    }
    if as_json:
        print_json({"model": str(model), "context": context, "start_token": start, **values})
        return
    click.echo(f"perplexity      {found.perplexity:.4f}")
    click.echo(f"bits per byte   {found.bits_per_byte:.4f}")
    click.echo(f"tokens          {found.tokens} ({found.tokens / seconds:.1f} tokens/s)")
    click.echo(f"bytes           {found.bytes}")


def _data(text: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(text) == "-" else text.read_bytes()
    except OSError as error:
        raise unreadable(text, error) from None


def _token(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise SettingsError(f'--start-token is {text!r}, expected a token id or "none"')
    return int(text)
