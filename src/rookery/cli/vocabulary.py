"""`rookery vocabulary`: a small vocabulary for some texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress
from rookery.cli.printable import printable
from rookery.cli.tables import human_bytes
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.train.vocabulary import Trained

__all__ = ["command"]

_MB = 1_000_000


@click.command("vocabulary")
@click.argument("files", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file to write.")
@click.option("--size", type=int, default=4096, show_default=True, help="Ids, the end of text included; 257 to 65536.")
@click.option("--sample", type=float, help="Read about so many MB, evenly from all of the text; default: everything.")
@click.option("--field", help='The field of a record that holds its text; default "text", or a conversation.')
@click.option("--format", default="world", show_default=True, help="The prompt format of conversations.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
def command(
    files: tuple[str, ...],
    output: Path,
    size: int,
    sample: float | None,
    field: str | None,
    format: str,
    force: bool,
    as_json: bool,
) -> None:
    """Make a small vocabulary for FILES: texts, JSON lines, folders of these, or patterns.

    It is for greedy longest match, in the format of the World's: a model of a few million parameters should not spend
    them on 65,536 tokens.
    """
    from rookery.formats.target import atomic, check_target
    from rookery.tokenizer.vocabulary import written
    from rookery.train.data.sources import Options, open_sources
    from rookery.train.vocabulary import train_vocabulary

    check_target(output)
    if output.exists() and not force:
        raise SettingsError(f"{output}: already exists; choose another name, or replace it with --force")
    sources = open_sources(files, Options(field=field, format=format))
    with _bars() as report:
        made = train_vocabulary(sources, size, sample=None if sample is None else int(sample * _MB), progress=report)
    with atomic(output) as file:
        file.write(written(made.vocabulary))
    about = _about(output, made)
    if as_json:
        print_json(about)
        return
    click.echo(
        f"{printable(str(output))}: {about['size']} ids, made from {human_bytes(made.bytes)} of text with {made.words} "
        f"distinct words; {made.bytes_per_token:.2f} bytes per token, {made.of_world:.2f} with the World's 65536"
    )


def _about(output: Path, made: Trained) -> dict[str, Any]:
    return {
        "path": str(output),
        "size": len(made.vocabulary) + 1,
        "bytes": made.bytes,
        "words": made.words,
        "bytes_per_token": made.bytes_per_token,
        "world_bytes_per_token": made.of_world,
    }


class _bars:
    """One bar after another: reading, choosing."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: Any = None
        self._report: Any = None

    def __enter__(self) -> _bars:
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self._what:
            self.__exit__()
            self._what, self._bar = what, progress(what)
            self._report = self._bar.__enter__()
        self._report(done, total)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
