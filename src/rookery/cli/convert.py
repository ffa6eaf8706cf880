"""`rookery convert`: write a model in another format, streaming."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress
from rookery.cli.tables import human_bytes
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.formats import Checkpoint

__all__ = ["check_target", "command"]

_SPARE = 1.02  # headers, alignment, vectors kept in float32


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--to", "format", help="pth, safetensors, hf or gguf; default: what the suffix of TARGET says.")
@click.option("--dtype", help="F32, F16, BF16, and for gguf also Q8_0, Q4_0 ...; default: keep every tensor's type.")
@click.option("--check", is_flag=True, help="Read the result back and compare every tensor.")
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@json_option
def command(
    source: Path, target: Path, format: str | None, dtype: str | None, check: bool, force: bool, as_json: bool
) -> None:
    """Write the model SOURCE as TARGET.

    Tensors pass one piece at a time, so a model larger than the memory can be converted.  TARGET appears when it is
    complete; an error leaves what was there before.
    """
    from rookery.formats import open_checkpoint, save_checkpoint
    from rookery.formats.saving import format_of
    from rookery.tokenizer import with_vocabulary

    format = format_of(target, format)
    check_target(source, target, force)
    checkpoint = open_checkpoint(source)
    if format == "gguf":
        checkpoint = with_vocabulary(checkpoint)
    dtype = dtype.upper() if dtype else None
    _check_space(checkpoint, target, dtype)
    with progress("Converting") as report:
        save_checkpoint(checkpoint, target, format, dtype, report)
    about = _report(checkpoint, target, format)
    if check:
        about["check"] = _compare(checkpoint, target)
    if as_json:
        print_json(about)
        return
    _print(about)


def check_target(source: Path, target: Path, force: bool) -> None:
    """SettingsError when TARGET is the source, or exists and is not to be replaced."""
    if not target.exists():
        return
    if source.exists() and os.path.samefile(source, target):
        raise SettingsError(f"{target}: this is the model to convert; write to another place")
    if not force and not (target.is_dir() and not any(target.iterdir())):
        raise SettingsError(f"{target}: already exists; choose another name, or replace it with --force")


def _check_space(checkpoint: Checkpoint, target: Path, dtype: str | None) -> None:
    """SettingsError when the disk cannot hold the result, before anything is written."""
    from rookery.formats.sizes import total_bytes
    from rookery.quant import FORMATS

    folder = target.absolute().parent
    if not folder.is_dir() or (dtype is not None and dtype not in FORMATS):
        return  # save_checkpoint says what is wrong
    need = int(_SPARE * total_bytes((checkpoint.tensors | checkpoint.initial_state).values(), dtype))
    free = shutil.disk_usage(folder).free
    if need > free:
        raise SettingsError(
            f"{target}: the model needs about {human_bytes(need)}, but {folder} has {human_bytes(free)} left; free "
            "some space or choose another place or a smaller dtype"
        )


def _report(source: Checkpoint, target: Path, format: str) -> dict[str, Any]:
    from rookery.formats import open_checkpoint
    from rookery.formats.sizes import bytes_on_disk

    return {
        "source": str(source.path),
        "source_bytes": bytes_on_disk(source),
        "target": str(target),
        "target_bytes": bytes_on_disk(open_checkpoint(target)),
        "format": format,
    }


def _compare(source: Checkpoint, target: Path) -> dict[str, Any]:
    """Raises FormatError where a tensor that kept its type changed; else what was found."""
    from rookery.fingerprint import fingerprint
    from rookery.formats import open_checkpoint
    from rookery.formats.compare import differences

    written = open_checkpoint(target)
    with progress("Checking") as report:
        found = differences(source, written, report)
    before, after = fingerprint(source), fingerprint(written)
    return {
        "tensors": len(found),
        "unchanged": sum(error == 0 for error in found.values()),
        "largest_relative_error": max(found.values(), default=0.0),
        "fingerprint": after,
        "same_fingerprint": before == after,
    }


def _print(about: dict[str, Any]) -> None:
    sizes = f"{human_bytes(about['source_bytes'])} -> {human_bytes(about['target_bytes'])}"
    click.echo(f"{about['target']}: written as {about['format']}, {sizes}")
    check = about.get("check")
    if check is None:
        return
    if check["unchanged"] == check["tensors"]:
        click.echo(f"checked: all {check['tensors']} tensors are the same, fingerprint {check['fingerprint']}")
        return
    click.echo(
        f"checked: {check['unchanged']} of {check['tensors']} tensors are the same; the others were rounded, by at "
        f"most {check['largest_relative_error']:.2g} of the tensor's largest number"
    )
