"""`rookery convert`: write a model in another format, streaming."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json, progress
from rookery.cli.printable import printable
from rookery.cli.space import check_space
from rookery.cli.tables import human_bytes
from rookery.errors import RookeryError, SettingsError

if TYPE_CHECKING:
    from rookery.formats import Checkpoint

__all__ = ["check_target", "command", "left_behind"]


@click.command("convert")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--to", "format", help="pth, safetensors, hf, gguf or rookery; default: what the suffix of TARGET says.")
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
    if dtype:
        checkpoint = _without_card(checkpoint)
    check_space(checkpoint, target, dtype)
    with progress("Converting") as report:
        save_checkpoint(checkpoint, target, format, dtype, report)
    about = _report(checkpoint, target, format)
    if note := left_behind(checkpoint, format) or _too_narrow(checkpoint, dtype):
        about["note"] = note
    if check:
        about["check"] = _compare(checkpoint, target)
    if as_json:
        print_json(about)
        return
    _print(about)


def _without_card(checkpoint: Checkpoint) -> Checkpoint:
    """In other types its sizes are others; what it lost before stays lost, but the card cannot say so."""
    from rookery.quantize.card import KEY

    return replace(checkpoint, metadata={k: v for k, v in checkpoint.metadata.items() if k != KEY})


def check_target(source: Path, target: Path, force: bool) -> None:
    """SettingsError when TARGET is the source or a file of it, or exists and is not to be replaced."""
    if not target.exists():
        return
    if source.exists() and os.path.samefile(source, target):
        raise SettingsError(f"{target}: this is the source itself; write to another place")
    if source.is_dir() and target.is_file() and os.path.samefile(source, target.resolve().parent):
        raise SettingsError(f"{target}: this is a part of the source; write to another place")
    if not force and not (target.is_dir() and not any(target.iterdir())):
        raise SettingsError(f"{target}: already exists; choose another name, or replace it with --force")


def left_behind(checkpoint: Checkpoint, format: str) -> str | None:
    """What the new file lacks: a vocabulary that its size alone does not tell."""
    from rookery.tokenizer import tokenizer_for

    config, own = checkpoint.config, checkpoint.vocabulary
    if format in ("gguf", "rookery") or not own or config is None:
        return None
    try:
        if tokenizer_for(None, config.vocab).fingerprint == tokenizer_for(own, config.vocab).fingerprint:
            return None
    except RookeryError:
        pass  # no vocabulary of that size is known: all the more reason to say it
    return (
        f"{checkpoint.path} has its own vocabulary ({len(own)} tokens), which {format} has no place for; "
        "keep that file, or give a vocabulary file with --tokenizer when the new one is used"
    )


def _too_narrow(checkpoint: Checkpoint, dtype: str | None) -> str | None:
    """Which matrices did not get the block format that was asked for: their rows are no whole number of blocks."""
    from rookery.quant import FORMATS

    config = checkpoint.config
    if dtype is None or config is None:
        return None
    block = FORMATS[dtype].block
    rows = [str(width) for width in dict.fromkeys((config.width, config.ffn)) if width % block]
    if not rows:
        return None
    return (
        f"matrices with rows of {' and '.join(rows)} numbers became F16, since {dtype} comes in blocks of {block}; "
        "rookery quantize gives them a format with smaller blocks"
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
    click.echo(f"{printable(about['target'])}: written as {about['format']}, {sizes}")
    if "note" in about:
        click.echo(f"note: {printable(about['note'])}")
    check = about.get("check")
    if check is None:
        return
    if check["unchanged"] == check["tensors"]:
        click.echo(f"checked: all {check['tensors']} tensors are the same, fingerprint {check['fingerprint']}")
        return
    same = f"{check['unchanged']} of {check['tensors']} tensors are the same; the others"
    whose = same if check["unchanged"] else f"all {check['tensors']} tensors"
    click.echo(
        f"checked: {whose} were rounded, "
        f"by at most {check['largest_relative_error']:.2g} of the tensor's largest number"
    )
