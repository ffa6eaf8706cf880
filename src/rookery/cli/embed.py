"""`rookery embed`: vectors for texts."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, load_model, model_options, print_json, progress
from rookery.errors import FormatError, SettingsError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["command"]


@click.command("embed")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("texts", nargs=-1)
@click.option("--file", "path", type=click.Path(path_type=Path), help="Read the texts from this file, one a line.")
@click.option(
    "--pool", type=click.Choice(["mean", "last", "state"]), default="mean", show_default=True, help="Which vector."
)
@click.option("--raw", is_flag=True, help="Do not scale the vectors to length 1.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write a .npy file, float32 (texts, numbers).")
@click.option("--force", is_flag=True, help="Replace the output if it exists.")
@model_options
@json_option
def command(model: Path, texts: tuple[str, ...], path: Path | None, pool: str, raw: bool, **options: Any) -> None:
    """Turn TEXTS (default: the lines of a file or of stdin) into vectors.

    Prints one JSON object a line: {"index": ..., "text": ..., "embedding": [...]}; index 0 is the first text or line.
    """
    from rookery.embedding import embed

    output: Path | None = options.pop("output")
    force, as_json = options.pop("force"), options.pop("as_json")
    if as_json and output is not None:
        raise SettingsError("--json and --output exclude one another; choose one")
    if output is not None:
        _check_output(output, force)
    given = _texts(texts, path)
    loaded = load_model(str(model), **options)
    with progress("Reading") as report:
        vectors = embed(loaded, given, pool=pool, normalise=not raw, progress=report)
    if output is not None:
        _write(output, vectors)
    elif as_json:
        print_json({"model": str(model), "pool": pool, "embeddings": list(_rows(given, vectors))})
    else:
        for row in _rows(given, vectors):
            click.echo(json.dumps(row, ensure_ascii=False))


def _rows(texts: list[str], vectors: np.ndarray) -> Iterator[dict[str, Any]]:
    for i, (text, vector) in enumerate(zip(texts, vectors, strict=True)):
        yield {"index": i, "text": text, "embedding": vector.tolist()}


def _check_output(output: Path, force: bool) -> None:
    """Before the work: whether its result can be written."""
    from rookery.formats.target import check_target

    if check_target(output).exists() and not force:
        raise SettingsError(f"{output}: already exists; choose another name, or replace it with --force")


def _write(output: Path, vectors: np.ndarray) -> None:
    import numpy as np

    from rookery.formats.target import atomic

    npy = io.BytesIO()  # to a file, numpy's errors do not say what the system said
    np.save(npy, vectors)
    with atomic(output) as file:
        file.write(npy.getbuffer())


def _texts(texts: tuple[str, ...], path: Path | None) -> list[str]:
    if texts and path is not None:
        raise SettingsError("texts were given and --file too; choose one")
    if texts:
        return list(texts)
    data = path.read_bytes() if path is not None else sys.stdin.buffer.read()
    try:
        lines = data.decode().removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path or 'stdin'}: not UTF-8 at byte {error.start}; convert it") from None
    if lines == [""]:
        raise SettingsError(f"{path or 'stdin'} holds no text; expected one a line")
    blank = next((number for number, line in enumerate(lines, 1) if not line.strip()), None)
    if blank is not None:
        raise SettingsError(f"{path or 'stdin'}: line {blank} is blank, so there is nothing to embed; take it out")
    return [line.removesuffix("\r") for line in lines]
