"""`rookery init`: a new model, as training starts from, or with random weights for tests and benchmarks."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress
from rookery.cli.printable import printable
from rookery.cli.space import check_space
from rookery.cli.tables import human_bytes, human_count
from rookery.errors import RookeryError, SettingsError

if TYPE_CHECKING:
    from rookery.config import Config

__all__ = ["command"]


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--to", "format", help="pth, safetensors, hf, gguf or rookery; default: what the suffix of PATH says.")
@click.option("--version", default="7", show_default=True, help="4, 5.0, 5.1, 5.2, 6 or 7.")
@click.option("--size", help="A released size such as 0.1B, in place of --layers and --width.")
@click.option("--layers", type=int, help="Number of blocks.")
@click.option("--width", type=int, help="Number of channels; a multiple of the head size.")
@click.option("--vocab", type=int, help="Rows of the embedding; default 65536, the World vocabulary.")
@click.option("--head-size", type=int, help="Lanes per head, from v5 on; default 64.")
@click.option("--ffn", type=int, help="Channels inside the channel mix; default: the version's multiple of the width.")
@click.option("--removal", help="RWKV-7's removal term: 1 (the default), 2 or 1+w; .safetensors and .rookery only.")
@click.option("--random", is_flag=True, help="Random weights that behave like trained ones, for tests and benchmarks.")
@click.option("--seed", type=int, default=0, show_default=True, help="Equal seeds give equal models.")
@click.option("--dtype", default="F32", show_default=True, help="F32, F16 or BF16.")
@click.option("--force", is_flag=True, help="Replace PATH if it exists.")
@json_option
def command(path: Path, random: bool, seed: int, dtype: str, force: bool, as_json: bool, **sizes: Any) -> None:
    """Create a model.  The suffix of PATH decides the format: .pth, .safetensors, .gguf, .rookery, or a
    Hugging Face directory.

    Without --random the weights are those that training starts from; such a model predicts nothing yet.
    """
    from rookery.formats import save_checkpoint
    from rookery.formats.saving import format_of
    from rookery.initialise import initialise, random_model

    format = format_of(path, sizes.pop("format"))
    removal = sizes.pop("removal") or "1"
    config = replace(_config(**sizes), removal=removal)
    if path.exists() and not force:
        raise SettingsError(f"{path}: already exists; choose another name, or replace it with --force")
    checkpoint = (random_model if random else initialise)(config, seed, dtype.upper())
    check_space(checkpoint, path)
    with progress("Creating") as report:
        save_checkpoint(checkpoint, path, format, None, report)
    about = _about(path, config)
    if as_json:
        print_json(about)
        return
    _print(about, random and _readable(path))


def _config(version: str, size: str | None, **sizes: int | None) -> Config:
    from rookery.initialise import make_config, released_config

    given: dict[str, Any] = {name: value for name, value in sizes.items() if value is not None}
    if size is not None:
        if given:
            raise SettingsError(f"--size {size} says all the sizes; leave the others out")
        return released_config(version, size)
    if not {"layers", "width"} <= given.keys():
        raise SettingsError("give --layers and --width, or a released --size such as 0.1B")
    return make_config(version, **{"vocab": 65536} | given)


def _about(path: Path, config: Config) -> dict[str, Any]:
    from rookery.formats import open_checkpoint
    from rookery.formats.sizes import bytes_on_disk, count

    checkpoint = open_checkpoint(path)
    return {
        "path": str(path),
        "format": checkpoint.format,
        "version": config.version,
        "bird": config.bird,
        "layers": config.layers,
        "width": config.width,
        "vocab": config.vocab,
        "parameters": count(checkpoint.tensors.values()),
        "file_bytes": bytes_on_disk(checkpoint),
    }


def _readable(path: Path) -> bool:
    """Whether a vocabulary for the model is at hand, so that it can run."""
    from rookery.formats import open_checkpoint
    from rookery.tokenizer import tokenizer_for

    checkpoint = open_checkpoint(path)
    assert checkpoint.config is not None  # open_checkpoint has filled it in
    try:
        tokenizer_for(checkpoint.vocabulary, checkpoint.config.vocab)
    except RookeryError:
        return False
    return True


def _print(about: dict[str, Any], runs: bool) -> None:
    click.echo(
        f"{printable(about['path'])}: RWKV-{about['version']} {about['bird']}, "
        f"{about['layers']} layers of {about['width']}, "
        f"vocabulary {about['vocab']}, {human_count(about['parameters'])} parameters, "
        f"{human_bytes(about['file_bytes'])}"
    )
    path = printable(shlex.quote(about["path"]))
    click.echo(f"next: rookery run {path} 'Once upon a time'" if runs else f"next: rookery show {path}")
