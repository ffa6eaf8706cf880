"""`rookery show`: what a model or state file is, without loading its numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json
from rookery.cli.quantize import quality_facts
from rookery.cli.tables import human_bytes, human_count, print_facts, print_table
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.formats import Checkpoint

__all__ = ["command"]


@click.command("show")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--tensors", is_flag=True, help="List every tensor: name, shape, element type, bytes.")
@click.option("--program", is_flag=True, help="Dump the recorded program that the native executor runs.")
@click.option("--verify", is_flag=True, help="Read everything: checksums where the file has them, NaN, infinity.")
@json_option
def command(path: Path, tensors: bool, program: bool, verify: bool, as_json: bool) -> None:
    """Say what a model, a saved state or a tuned state is.

    PATH is a model file or directory of any format, a .state file, or a file of tuned initial states.
    """
    about, checkpoint = _about(path)
    if checkpoint is None and (tensors or program or verify):
        raise SettingsError(f"{path}: a {about['format']} has no model in it; --tensors, --program, --verify need one")
    if checkpoint is not None:
        about |= _extras(checkpoint, tensors, program)
    if checkpoint is not None and verify:
        about["verified"] = _verified(checkpoint)
    if as_json:
        print_json(about)
        return
    _print(about)


def _about(path: Path) -> tuple[dict[str, Any], Checkpoint | None]:
    from rookery import describing
    from rookery.formats import open_checkpoint, read_tensors
    from rookery.state import State

    kind = _companion(path)
    if kind == "state":
        return describing.describe_state(path, State.load(path)), None
    if kind == "tuned":
        return describing.describe_tuned(path, read_tensors(path)), None
    checkpoint = open_checkpoint(path)
    return describing.describe_model(checkpoint), checkpoint


def _companion(path: Path) -> str | None:
    """ "state" or "tuned" for files that accompany a model, None for everything else, damaged files included."""
    from rookery.errors import FormatError
    from rookery.formats import read_tensors, safetensors
    from rookery.statefile import KEY

    if path.is_dir():
        return None
    try:
        names = list(read_tensors(path))
        if names and all(name.endswith(".att.time_state") for name in names):
            return "tuned"
        opened = safetensors.read_unnamed(path)
    except FormatError:
        return None  # whatever is wrong with it, opening it as a model says so better
    return "state" if KEY in opened.metadata else None


def _extras(checkpoint: Checkpoint, tensors: bool, program: bool) -> dict[str, Any]:
    from rookery import describing

    extras: dict[str, Any] = {}
    if tensors:
        extras["tensor_list"] = describing.tensor_rows(checkpoint)
    if program:
        recorded = describing.program_of(checkpoint)
        extras["program"] = {
            "stages": recorded.stages,
            "ops": len(recorded.ops),
            "values": len(recorded.widths),
            "buffers": len(recorded.buffer_widths),
            "op_counts": describing.op_counts(recorded),
            "dump": recorded.dump(),
        }
    return extras


def _verified(checkpoint: Checkpoint) -> str:
    """What was found right; an error names what is not."""
    from dataclasses import replace

    from rookery.errors import FormatError
    from rookery.fingerprint import fingerprint
    from rookery.formats import check_finite

    checkpoint.verify()
    check_finite(checkpoint)
    if checkpoint.fingerprint is None:
        return "every number is finite"
    if fingerprint(replace(checkpoint, fingerprint=None)) != checkpoint.fingerprint:
        raise FormatError(f"{checkpoint.path}: the fingerprint is not that of its tensors; convert the model again")
    return "every number is finite; checksums and fingerprint are right"


def _print(about: dict[str, Any]) -> None:
    print_facts(_facts(about))
    if about.get("formats"):
        click.echo()
        formats = about["formats"].items()
        rows = [(name, f["tensors"], f"{f['numbers']:,}", human_bytes(f["bytes"])) for name, f in formats]
        print_table(("type", "tensors", "numbers", "size"), rows)
    if about.get("quality"):
        click.echo()
        print_facts(quality_facts(about["quality"]))
    if about.get("metadata"):
        click.echo()
        print_facts((f"metadata {key}", value) for key, value in about["metadata"].items())
    if "tensor_list" in about:
        click.echo()
        tensors = about["tensor_list"]
        listed = [(t["name"], " x ".join(map(str, t["shape"])), t["format"], f"{t['bytes']:,}") for t in tensors]
        print_table(("tensor", "shape", "type", "bytes"), listed)
    if "program" in about:
        _print_program(about["program"])


def _facts(about: dict[str, Any]) -> list[tuple[str, Any]]:
    """Label and text of everything that has a line of its own."""
    return [(label, say(about[key], about)) for label, key, say in _LINES if about.get(key) not in (None, "", {}, 0)]


def _as_is(value: Any, _: dict[str, Any]) -> Any:
    return value


def _size(value: int, _: dict[str, Any]) -> str:
    return human_bytes(value)


def _vocabulary(value: str, about: dict[str, Any]) -> str:
    return f"fingerprint {value[:12]}" if about["format"] == "state" else value


# label, key of the description, how to say it
_LINES: tuple[tuple[str, str, Callable[[Any, dict[str, Any]], Any]], ...] = (
    ("file", "path", _as_is),
    ("format", "format", _as_is),
    ("version", "version", lambda version, about: f"RWKV-{version} {about['bird']}"),
    ("layers", "layers", _as_is),
    ("width", "width", _as_is),
    ("heads", "heads", lambda heads, about: f"{heads} of {about['head_size']}"),
    ("ranks", "ranks", lambda ranks, _: ", ".join(f"{name} {rank}" for name, rank in ranks.items())),
    ("ffn", "ffn", _as_is),
    ("vocabulary", "vocab", _as_is),
    ("tokenizer", "tokenizer", _vocabulary),
    ("parameters", "parameters", lambda count, _: f"{count:,} ({human_count(count)})"),
    ("bits per weight", "bits_per_weight", lambda bits, _: f"{bits:.2f}"),
    ("size on disk", "file_bytes", _size),
    ("tokens read", "tokens", _as_is),
    ("state", "state_bytes", lambda size, _: f"{human_bytes(size)} per conversation, constant"),
    ("memory to run", "memory_bytes", lambda size, _: f"about {human_bytes(size)}"),
    ("tuned state", "tuned_state", lambda *_: "present"),
    ("fingerprint", "fingerprint", _as_is),
    ("verified", "verified", _as_is),
    ("of model", "model", _as_is),
    ("chain", "chain", _as_is),
)


def _print_program(program: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in program["op_counts"].items())
    click.echo()
    print_facts(
        [
            ("program", f"{program['ops']} ops in {program['stages']} stages"),
            ("values", f"{program['values']} in {program['buffers']} buffers"),
            ("ops", counts),
        ]
    )
    click.echo()
    click.echo(program["dump"])
