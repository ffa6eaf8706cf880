"""`rookery show`: what a model or state file is, without loading its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.cli.common import json_option, print_json
from rookery.cli.tables import human_bytes, human_count, print_facts, print_table
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.formats import Checkpoint

__all__ = ["command"]


@click.command("show")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--tensors", is_flag=True, help="List every tensor: name, shape, element type, bytes.")
@click.option("--program", is_flag=True, help="Dump the recorded program that the native executor runs.")
@json_option
def command(path: Path, tensors: bool, program: bool, as_json: bool) -> None:
    """Say what a model, a saved state or a tuned state is.

    PATH is a model file or directory of any format, a .state file, or a file of tuned initial states.
    """
    about, checkpoint = _about(path)
    if checkpoint is None and (tensors or program):
        raise SettingsError(f"{path}: a {about['format']} has no model in it; --tensors and --program need one")
    if checkpoint is not None:
        about |= _extras(checkpoint, tensors, program)
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


def _print(about: dict[str, Any]) -> None:
    print_facts(_facts(about))
    if about.get("formats"):
        click.echo()
        rows = [(name, f["tensors"], f"{f['numbers']:,}", human_bytes(f["bytes"])) for name, f in _formats(about)]
        print_table(("type", "tensors", "numbers", "size"), rows)
    if about.get("metadata"):
        click.echo()
        print_facts((f"metadata {key}", _one_line(value)) for key, value in about["metadata"].items())
    if "tensor_list" in about:
        click.echo()
        tensors = about["tensor_list"]
        rows = [(t["name"], " x ".join(map(str, t["shape"])), t["format"], f"{t['bytes']:,}") for t in tensors]
        print_table(("tensor", "shape", "type", "bytes"), rows)
    if "program" in about:
        _print_program(about["program"])


def _formats(about: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
    return list(about["formats"].items())


def _facts(about: dict[str, Any]) -> list[tuple[str, Any]]:
    """Label and text of everything that has a line of its own."""
    get = about.get
    version = f"RWKV-{get('version')} {get('bird')}" if get("version") else None
    numbers = get("parameters")
    return [
        ("file", get("path")),
        ("format", get("format")),
        ("version", version),
        ("layers", get("layers")),
        ("width", get("width")),
        ("heads", f"{get('heads')} of {get('head_size')}" if get("heads") else None),
        ("ranks", ", ".join(f"{name} {rank}" for name, rank in (get("ranks") or {}).items())),
        ("ffn", get("ffn")),
        ("vocabulary", get("vocab")),
        ("tokenizer", _tokenizer(about)),
        ("parameters", f"{numbers:,} ({human_count(numbers)})" if numbers else None),
        ("bits per weight", f"{get('bits_per_weight'):.2f}" if get("bits_per_weight") else None),
        ("size on disk", human_bytes(get("file_bytes"))),
        ("tokens read", get("tokens")),
        ("state", f"{human_bytes(get('state_bytes'))} per conversation, constant" if get("state_bytes") else None),
        ("memory to run", f"about {human_bytes(get('memory_bytes'))}" if get("memory_bytes") else None),
        ("tuned state", {True: "present", False: "none"}.get(get("tuned_state"))),
        ("fingerprint", get("fingerprint")),
        ("of model", get("model")),
        ("chain", get("chain")),
    ]


def _one_line(value: Any) -> Any:
    return value.replace("\n", "\\n") if isinstance(value, str) else value


def _tokenizer(about: dict[str, Any]) -> str | None:
    words = about.get("tokenizer")
    return f"fingerprint {words[:12]}" if words and about["format"] == "state" else words


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
