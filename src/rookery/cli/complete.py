"""One text, continued or answered: streamed, or as one JSON object."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from rookery.chat import Chat
from rookery.cli import INTERRUPTED
from rookery.cli.common import print_json, progress
from rookery.cli.interrupts import cancelled_by_interrupt
from rookery.cli.screen import Screen
from rookery.cli.tables import counted
from rookery.engine import generate
from rookery.generation import Generation, Piece, Request
from rookery.model import Model

__all__ = ["Output", "answer", "complete"]


@dataclass(frozen=True, slots=True)
class Output:
    """What is printed and written, beside the text."""

    echo: bool = False
    as_json: bool = False
    stats: bool = False
    save_state: Path | None = None


class Clock:
    """Seconds to the first token, and from it to the end."""

    def __init__(self) -> None:
        self._start = self._first = time.perf_counter()

    def watch(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        for i, piece in enumerate(pieces):
            if i == 0:
                self._first = time.perf_counter()
            yield piece

    def timings(self, prompt_tokens: int, tokens: int) -> dict[str, float]:
        prompt, rest = self._first - self._start, time.perf_counter() - self._first
        return {
            "prompt_s": prompt,
            "prompt_tokens_per_s": prompt_tokens / prompt if prompt else 0.0,
            "generated_s": rest,
            "tokens_per_s": (tokens - 1) / rest if tokens > 1 and rest else 0.0,
        }


def complete(model: Model, request: Request, output: Output) -> int:
    """Continue a text; returns the exit code."""
    with progress("Reading") as report:
        return _complete(model, replace(request, progress=report), output)


def _complete(model: Model, request: Request, output: Output) -> int:
    clock = Clock()
    generation = generate(model, request)
    if output.echo and not output.as_json:
        click.echo(request.prompt, nl=False)
    with cancelled_by_interrupt(generation.cancel) as interrupted:
        for piece in clock.watch(iter(generation)):
            if not output.as_json and piece.text:
                click.echo(piece.text, nl=False)
    timings = clock.timings(generation.prompt_read, len(generation.tokens))
    _close(output, lambda: _described(generation, request, output, timings))
    _explain(output, generation.stop is not None and generation.stop.token == 0 and len(generation.tokens) == 1)
    if output.save_state is not None and generation.state is not None:
        generation.state.save(output.save_state)
    return INTERRUPTED if interrupted() else 0


def _described(generation: Generation, request: Request, output: Output, timings: dict[str, float]) -> dict[str, Any]:
    return {
        "text": (str(request.prompt) if output.echo else "") + generation.text,
        "tokens": generation.tokens,
        "finish": generation.finish,
        "prompt_tokens": generation.prompt_read,
        "generated_tokens": len(generation.tokens),
        "seed": generation.seed,
        "timings": timings,
    }


def answer(chat: Chat, prompt: str, output: Output) -> int:
    """One turn of a conversation; returns the exit code."""
    with progress("Reading") as chat.progress, cancelled_by_interrupt(chat.cancel) as interrupted:
        if output.as_json:
            for _ in chat.ask(prompt):
                pass
        else:
            Screen().reply(chat.ask(prompt))
    _close(output, lambda: _described_turn(chat), newline=False)
    _explain(output, chat.stats.generated == 1 and chat.turns[-1].finish == "stop" and not chat.turns[-1].answer)
    if output.save_state is not None:
        chat.save(output.save_state)
    return INTERRUPTED if interrupted() else 0


def _described_turn(chat: Chat) -> dict[str, Any]:
    stats = chat.stats
    last = chat.turns[-1] if chat.turns else None
    return {
        "text": last.answer if last else "",
        "thinking": last.thinking if last else "",
        "finish": last.finish if last else "cancelled",
        "prompt_tokens": stats.prompt,
        "generated_tokens": stats.generated,
        "timings": {
            "prompt_s": stats.prompt_s,
            "prompt_tokens_per_s": stats.prompt / stats.prompt_s if stats.prompt_s else 0.0,
            "generated_s": stats.generated_s,
            "tokens_per_s": stats.tokens_per_s,
        },
    }


def _close(output: Output, describe: Callable[[], dict[str, Any]], *, newline: bool = True) -> None:
    """The end of the text, and what was asked for beside it."""
    if output.as_json:
        print_json(describe())
    elif newline and (Screen().terminal or (output.stats and _together())):
        click.echo()
    if output.stats:
        said = describe()
        times = said["timings"]
        click.echo(
            f"{counted(said['prompt_tokens'], 'prompt token')}, {times['prompt_tokens_per_s']:.1f} tokens/s; "
            f"{said['generated_tokens']} generated, {times['tokens_per_s']:.1f} tokens/s; {said['finish']}",
            err=True,
        )


def _explain(output: Output, ended_at_once: bool) -> None:
    """Why there is nothing to see."""
    if ended_at_once and (output.stats or Screen().terminal):
        click.echo("the model ended the text at once (token 0); --ban 0 forbids that", err=True)


def _together() -> bool:
    """Whether text and statistics go to the same file, where they would run together."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):
        return False
