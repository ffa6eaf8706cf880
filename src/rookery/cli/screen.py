"""How replies look."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

from rookery.chat import ChatPiece
from rookery.cli.printable import printable

__all__ = ["Screen"]


class Screen:
    """Writes to stdout as it comes.

    folded: reasoning is only announced.  On a terminal it is otherwise shown dim; elsewhere it is left out.
    """

    def __init__(self, folded: bool = False) -> None:
        self.terminal = sys.stdout.isatty()
        self.folded = folded

    def reply(self, pieces: Iterable[ChatPiece]) -> str:
        """Show a reply; returns why it ended."""
        thinking, finish = False, ""
        for piece in pieces:
            if piece.thinking != thinking and piece.text:
                self._turn(piece.thinking)
                thinking = piece.thinking
            self._show(piece)
            finish = piece.finish or finish
        if thinking:
            self._turn(False)
        click.echo("  (cancelled)" if finish == "cancelled" and self.terminal else "")
        return finish

    def say(self, text: str) -> None:
        """A line of ours, not the model's."""
        click.echo(click.style(text, fg="cyan") if self.terminal else text)

    def complain(self, error: Exception) -> None:
        """What went wrong, in a sentence."""
        click.echo(f"error: {printable(str(error))}", err=True)

    def _turn(self, thinking: bool) -> None:
        """Between reasoning and answer."""
        if self.terminal:
            click.echo(click.style("(thinking)", dim=True) if thinking and self.folded else "", nl=not thinking)
            if not thinking and not self.folded:
                click.echo()

    def _show(self, piece: ChatPiece) -> None:
        if not piece.thinking:
            click.echo(piece.text, nl=False)
        elif self.terminal and not self.folded:
            click.echo(click.style(piece.text, dim=True), nl=False)
