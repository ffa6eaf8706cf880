"""A command whose subcommands are modules, imported when they are chosen."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any

import click

from rookery.errors import SettingsError

__all__ = ["Group"]


class Group(click.Group):
    """Knows its commands by name and imports the one that is used.

    table: name -> (module with a click command called `command`, one line of help).
    """

    def __init__(self, *arguments: Any, table: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        command: click.Command = importlib.import_module(self.table[name][0]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            raise SettingsError(_as_typed(str(error), command)) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.table.items()])


def _as_typed(sentence: str, command: click.Command | None) -> str:
    """A sentence about `top_p`, as about `--top-p`: the option that was typed."""
    typed = {p.name: max(p.opts, key=len) for p in command.params if isinstance(p, click.Option)} if command else {}
    found = re.match(r"(?:a token id in )?(\w+)(?= is |=| lists | \d)", sentence)
    if found is None or found[1] not in typed:
        return sentence
    return sentence[: found.start(1)] + typed[found[1]] + sentence[found.end(1) :]
