"""
State files, and the states of others.

A state file is a safetensors file: the arrays of a state, and one JSON object in the metadata.  docs/state-format.md
is the specification.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rookery import chain
from rookery.config import Config
from rookery.errors import FormatError, StateError
from rookery.formats import safetensors
from rookery.formats.checkpoint import Tensor
from rookery.formats.safetensors_writer import write_stream
from rookery.formats.stream import Part, Stream
from rookery.layout import StateLayout
from rookery.state import State

__all__ = ["from_rwkv", "from_time_state", "load", "save", "to_rwkv"]

KEY = "rookery.state"
FORMAT_VERSION = 1


def save(state: State, path: Path) -> None:
    """Write a state file, whole or not at all."""
    about = {
        "format_version": FORMAT_VERSION,
        "config": {**asdict(state.layout.config), "ranks": dict(state.layout.config.ranks)},
        "model": state.model,
        "tokenizer": state.tokenizer,
        "count": state.count,
        "chain": state.chain.hex(),
        "sha256": _digest(state.data),
    }
    parts = {name: _part(array) for name, array in state.arrays().items()}
    write_stream(path, Stream(parts, lambda: None, None), {KEY: json.dumps(about, sort_keys=True)})


def _part(array: np.ndarray) -> Part:
    return Part(Tensor("F32", array.shape, lambda: array), "F32")


def load(path: Path) -> State:
    """Read a state file and check every promise it makes."""
    opened = safetensors.read_unnamed(path)
    tensors, metadata = opened.tensors, opened.metadata
    if KEY not in metadata:
        raise FormatError(f"{path}: not a state file (no {KEY!r} in its metadata); expected one saved by State.save")
    about = _described(metadata[KEY], path)
    if about.get("format_version") != FORMAT_VERSION:
        raise StateError(
            f"{path}: state format {about.get('format_version')!r}; this rookery reads {FORMAT_VERSION}, update it"
        )
    try:
        layout = StateLayout(Config(**about["config"]))
        model, tokenizer, count = str(about["model"]), str(about["tokenizer"]), int(about["count"])
        link, digest = bytes.fromhex(about["chain"]), str(about["sha256"])
        fields = {field.name: field for field in layout.fields}
    except (KeyError, TypeError, ValueError, ArithmeticError, MemoryError):
        raise FormatError(f"{path}: the state's description is damaged; save the state again") from None
    if {n: t.shape for n, t in tensors.items()} != {n: f.shape for n, f in fields.items()}:
        raise FormatError(f"{path}: the arrays do not fit the model the file describes; save the state again")
    data = np.empty(layout.size, np.float32)
    for name, field in fields.items():
        field.of(data)[...] = tensors[name].numpy()
    if _digest(data) != digest or len(link) != len(chain.START) or count < 0:
        raise FormatError(f"{path}: the numbers do not match their checksum; the file is damaged, copy it again")
    data.flags.writeable = False
    return State(layout, data, model, tokenizer, count, link)


def _described(text: str, path: Path) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise FormatError(f"{path}: the state's description is damaged; save the state again")
    return about


def from_time_state(
    layout: StateLayout, tensors: Mapping[str, np.ndarray], model: str, tokenizer: str, *, transposed: bool = False
) -> State:
    """See `State.from_time_state`."""
    if layout.config.version[0] in "45":
        raise StateError(f"RWKV-{layout.config.version} has no tuned initial states; they exist for v6 and v7")
    data = layout.zeros()
    names = [f"blocks.{i}.att.time_state" for i in range(layout.config.layers)]
    if set(tensors) != set(names):
        raise StateError(
            f"a tuned state for this model has {len(names)} tensors, {names[0]} to {names[-1]}; this one has "
            f"{len(tensors)}, it was made for another model"
        )
    for name, layer in zip(names, layout.layers, strict=True):
        given = np.asarray(tensors[name], np.float32)
        if given.shape != layer.wkv.shape:
            raise StateError(f"{name} has shape {given.shape}, this model needs {layer.wkv.shape}")
        if not np.isfinite(given).all():
            raise StateError(f"{name} holds NaN or infinity; the tuned state is damaged")
        layer.wkv.of(data)[...] = given if transposed else given.transpose(0, 2, 1)
    return State(layout, data, model, tokenizer, 0, chain.origin(data))


def from_rwkv(layout: StateLayout, arrays: Sequence[Any], model: str, tokenizer: str) -> State:
    """See `State.from_rwkv`."""
    per = 5 if layout.config.version == "4" else 3
    if len(arrays) != per * layout.config.layers:
        raise StateError(
            f"a state list for this model has {per * layout.config.layers} arrays, got {len(arrays)}; "
            "it belongs to another model"
        )
    data = layout.zeros()
    for i, layer in enumerate(layout.layers):
        att, *wkv, ffn = (np.asarray(a, np.float32) for a in arrays[per * i : per * (i + 1)])
        memory = np.stack(wkv) if per == 5 else _flip(layout, wkv[0])
        for field, given in ((layer.att_x, att), (layer.wkv, memory), (layer.ffn_x, ffn)):
            if given.size != field.size:
                raise StateError(f"{field.name} has {given.size} numbers, this model needs {field.size}")
            field.of(data)[...] = given.reshape(field.shape)
    return State(layout, data, model, tokenizer, 0, chain.origin(data))


def to_rwkv(state: State) -> list[np.ndarray]:
    """See `State.to_rwkv`."""
    out: list[np.ndarray] = []
    for layer in state.layout.layers:
        memory = layer.wkv.of(state.data)
        middle = list(memory) if state.layout.config.version == "4" else [_flip(state.layout, memory)]
        out += [np.array(a) for a in (layer.att_x.of(state.data), *middle, layer.ffn_x.of(state.data))]
    return out


def _flip(layout: StateLayout, memory: np.ndarray) -> np.ndarray:
    """The package keeps RWKV-7's memory as head, value lane, key lane; ours is key lane first throughout."""
    if layout.config.version != "7" or memory.ndim != 3:
        return memory
    return memory.transpose(0, 2, 1)


def _digest(data: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(data).data).hexdigest()
