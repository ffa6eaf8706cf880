"""Tables: coloured and aligned on a terminal, plain aligned text when piped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from rookery.cli.printable import printable

__all__ = ["counted", "human_bytes", "human_count", "print_facts", "print_table"]


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Label and value, one pair a line; pairs without a value are left out."""
    rows = [(printable(label), printable(str(value))) for label, value in facts if value not in (None, "")]
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        click.echo(f"{click.style(label.ljust(width), fg='cyan')}  {value}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A heading and rows.  Columns of numbers stand right."""
    text = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *text, strict=True)]
    right = [all(_numeric(cell) for cell in column) for column in zip(*text, strict=True)] or [False] * len(columns)
    click.echo(click.style(_line(columns, widths, right), bold=True))
    for row in text:
        click.echo(_line(row, widths, right))


def human_bytes(size: float) -> str:
    """1536 -> "1.5 KiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"


def human_count(number: float) -> str:
    """191000000 -> "191 M"."""
    for unit in ("", " K", " M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} B"


def counted(number: int, thing: str) -> str:
    """1 turn, 2 turns."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True)]
    return "  ".join(parts).rstrip()


def _numeric(cell: str) -> bool:
    return cell.replace(",", "").replace(".", "").replace("%", "").replace("-", "").isdigit() or cell in ("", "-")
