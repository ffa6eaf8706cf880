"""
What a model or state file is, in plain values, without reading its numbers.

For `rookery show`, and for whoever else wants to present a model.  Sizes are in bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.config import Config
from rookery.errors import RookeryError
from rookery.fingerprint import fingerprint
from rookery.formats import Checkpoint, Tensor
from rookery.formats.sizes import bytes_on_disk, count, total_bytes
from rookery.layout import StateLayout
from rookery.quantize.card import KEY as CARD
from rookery.quantize.card import card_in

if TYPE_CHECKING:
    from rookery.ops.record import Program
    from rookery.state import State

__all__ = [
    "describe_model",
    "describe_state",
    "describe_tuned",
    "estimated_memory",
    "op_counts",
    "program_of",
    "tensor_rows",
]

_CALL_ROWS = 128  # rows that go through the native program together
_LONG = 200  # characters of a metadata value that are shown


def describe_model(checkpoint: Checkpoint) -> dict[str, Any]:
    """Everything about an opened checkpoint except its tensors one by one."""
    config = _config_of(checkpoint)
    tensors = checkpoint.tensors
    numbers, stored = count(tensors.values()), total_bytes(tensors.values())
    return {
        "path": str(checkpoint.path),
        "format": checkpoint.format,
        "version": config.version,
        "bird": config.bird,
        "layers": config.layers,
        "width": config.width,
        "heads": None if config.version == "4" else config.heads,
        "head_size": None if config.version == "4" else config.head_size,
        "ranks": dict(config.ranks),
        "ffn": config.ffn,
        "vocab": config.vocab,
        "tensors": len(tensors),
        "parameters": numbers,
        "formats": _formats(tensors.values()),
        "bits_per_weight": 8 * stored / numbers,
        "file_bytes": bytes_on_disk(checkpoint),
        "state_bytes": 4 * StateLayout(config).size,
        "memory_bytes": estimated_memory(checkpoint),
        "tuned_state": bool(checkpoint.initial_state),
        "fingerprint": fingerprint(checkpoint),
        "tokenizer": _tokenizer_kind(checkpoint),
        "quality": card_in(checkpoint.metadata),
        "metadata": {key: _short(value) for key, value in checkpoint.metadata.items() if key != CARD},
    }


def describe_state(path: Path, state: State) -> dict[str, Any]:
    """A saved state."""
    config = state.layout.config
    return {
        "path": str(path),
        "format": "state",
        "version": config.version,
        "bird": config.bird,
        "layers": config.layers,
        "width": config.width,
        "model": state.model,
        "tokenizer": state.tokenizer,
        "tokens": state.count,
        "chain": state.chain.hex(),
        "state_bytes": state.data.nbytes,
        "file_bytes": path.stat().st_size,
        "config": {**asdict(config), "ranks": dict(config.ranks)},
    }


def describe_tuned(path: Path, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """A tuned initial state: `blocks.N.att.time_state` and nothing else."""
    shape = next(iter(tensors.values())).shape
    heads, lanes = shape[:2] if len(shape) == 3 else (0, 0)
    return {
        "path": str(path),
        "format": "tuned state",
        "layers": len(tensors),
        "heads": heads,
        "head_size": lanes,
        "width": heads * lanes,
        "parameters": count(tensors.values()),
        "formats": _formats(tensors.values()),
        "file_bytes": path.stat().st_size,
    }


def _formats(tensors: Iterable[Tensor]) -> dict[str, dict[str, int]]:
    """Element type -> how many tensors, numbers and bytes, the largest share first."""
    by_name: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        by_name.setdefault(tensor.format, []).append(tensor)
    rows = {
        name: {"tensors": len(group), "numbers": count(group), "bytes": total_bytes(group)}
        for name, group in by_name.items()
    }
    return dict(sorted(rows.items(), key=lambda item: -item[1]["bytes"]))


def estimated_memory(checkpoint: Checkpoint) -> int:
    """Roughly what the native executor keeps resident for one conversation.

    Packed matrices and float32 vectors, the state, and the values of a call of 128 rows.  The embedding stays in the
    mapped file; only rows that are used are read.  The interpreter and libraries (about 50 MiB) come on top.
    """
    config = _config_of(checkpoint)
    weights = total_bytes(tensor for name, tensor in checkpoint.tensors.items() if name != "emb.weight")
    values = _CALL_ROWS * (24 * config.width + 2 * config.ffn)
    return weights + 4 * (StateLayout(config).size + values + config.vocab)


def _tokenizer_kind(checkpoint: Checkpoint) -> str:
    """Which vocabulary the model would be used with; what is missing where there is none."""
    from rookery.tokenizer import tokenizer_for

    try:
        tokenizer = tokenizer_for(checkpoint.vocabulary, _config_of(checkpoint).vocab)
    except RookeryError as error:
        return f"none: {error}"
    where = "in the file" if checkpoint.vocabulary else "by the size of the vocabulary"
    return f"{tokenizer.name} ({where})"


def tensor_rows(checkpoint: Checkpoint) -> list[dict[str, Any]]:
    """Name, shape, element type and bytes of every tensor, tuned states included."""
    named = checkpoint.tensors | checkpoint.initial_state
    return [
        {"name": name, "shape": list(t.shape), "format": t.format, "bytes": total_bytes([t])}
        for name, t in named.items()
    ]


def program_of(checkpoint: Checkpoint) -> Program:
    """The program that the native executor would run; reads the vectors, maps the matrices."""
    from rookery.ops.record import record
    from rookery.parameters import parameters

    config = _config_of(checkpoint)
    return record(StateLayout(config), parameters(config, checkpoint.tensors))


def op_counts(program: Program) -> dict[str, int]:
    """How often each op occurs, the most frequent first."""
    return dict(Counter(op.name for op in program.ops).most_common())


def _config_of(checkpoint: Checkpoint) -> Config:
    """The config of a checked checkpoint."""
    assert checkpoint.config is not None  # open_checkpoint has filled it in
    return checkpoint.config


def _short(value: Any) -> Any:
    """A metadata value that fits on a line: whole where it is short."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}... ({len(text)} characters)"
