"""`rookery plot`: the loss of runs as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from rookery.cli.printable import printable

__all__ = ["command"]


@click.command("plot")
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The picture; default: loss.png in the run.")
def command(runs: tuple[Path, ...], output: Path | None) -> None:
    """Draw the loss of RUNS, the folders that `rookery train` wrote, against the tokens they read."""
    from rookery.train.curve import draw

    picture = output or runs[0] / "loss.png"
    draw(runs, picture)
    click.echo(printable(str(picture)))
