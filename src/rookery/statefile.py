"""
State files.

A state file is a safetensors file: the arrays of a state, one JSON object that describes it, and a checksum over
both; beside them there may be a note.  docs/state-format.md is the specification.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rookery import chain
from rookery.config import REMOVALS, VERSIONS, Config
from rookery.errors import FormatError, NumericError, RookeryError, SettingsError, StateError
from rookery.formats import Checkpoint, open_checkpoint, safetensors, target
from rookery.formats.safetensors_writer import write_stream
from rookery.formats.stream import Part, Stream
from rookery.layout import StateLayout
from rookery.state import State
from rookery.weights import Tensor

__all__ = ["check_target", "load", "note", "save"]

KEY = safetensors.STATE
CHECKSUM = "rookery.state.sha256"
NOTE = "rookery.note"
NOTE_CHECKSUM = "rookery.note.sha256"
FORMAT_VERSION = 1
MAX_DESCRIPTION = 1 << 16  # characters
MAX_NOTE = 6 << 20  # characters; quoted in the header they may become twice as many, and readers take 16 MiB
MAX_SIZE = 1 << 31  # of any size in the config
MAX_COUNT = 1 << 63
ABOUT = {"format_version", "config", "model", "tokenizer", "count", "chain"}


def save(state: State, path: Path, note: Mapping[str, Any] | None = None) -> None:
    """Write a state file, whole or not at all; `note` is a JSON object carried beside the state.

    An older state file is replaced; SettingsError for anything else that is there (`check_target`).
    """
    check_target(path)
    for name, array in state.arrays().items():
        if not np.isfinite(array).all():
            raise NumericError(f"{path}: not saved, for the state's {name} holds NaN or infinity; start a new state")
    config = {**asdict(state.layout.config), "ranks": dict(state.layout.config.ranks)}
    if config["removal"] == "1":
        del config["removal"]  # as in files from before there was a choice
    about = {
        "format_version": FORMAT_VERSION,
        "config": config,
        "model": state.model,
        "tokenizer": state.tokenizer,
        "count": state.count,
        "chain": state.chain.hex(),
    }
    text = json.dumps(about, sort_keys=True)
    parts = {name: _part(array) for name, array in state.arrays().items()}
    metadata = {KEY: text, CHECKSUM: _checksum(text, state.data)}
    if note is not None:
        metadata |= _noted(note, path)
    write_stream(path, Stream(parts, lambda: None, None), metadata)


def check_target(path: Path) -> None:
    """SettingsError where no state can be written, or something else than a state would be lost."""
    present = target.check_target(path)
    if present.exists() and present.stat().st_size and not _is_state(present):
        raise SettingsError(f"{path}: already exists and is not a state file; expected a new name or that of a state")


def _is_state(path: Path) -> bool:
    try:
        return KEY in safetensors.read_metadata(path)
    except (RookeryError, OSError):
        return False


def note(path: Path) -> dict[str, Any] | None:
    """The note in a state file, or None where there is none; FormatError when it is damaged."""
    metadata = _opened(path).metadata
    if NOTE not in metadata:
        return None
    text, what = metadata[NOTE], f"{path}: the note"
    if len(text) > MAX_NOTE or not text.isascii():
        raise FormatError(f"{what} is longer than {MAX_NOTE} characters or not ASCII; save the state again")
    if hashlib.sha256(text.encode()).hexdigest() != metadata.get(NOTE_CHECKSUM):
        raise FormatError(f"{what} does not match its checksum; the file is damaged, copy it again")
    return safetensors.parse_json(text.encode(), what)


def _noted(note: Mapping[str, Any], path: Path) -> dict[str, str]:
    text = json.dumps(note)
    if len(text) > MAX_NOTE:
        raise StateError(f"{path}: the note has {len(text)} characters, expected at most {MAX_NOTE}; shorten it")
    return {NOTE: text, NOTE_CHECKSUM: hashlib.sha256(text.encode()).hexdigest()}


def _part(array: np.ndarray) -> Part:
    return Part(Tensor("F32", array.shape, lambda: array), "F32")


def load(path: Path) -> State:
    """Read a state file and check every promise it makes, sizes before memory is touched."""
    opened = _opened(path)
    text = opened.metadata.get(KEY)
    if text is None:
        _refuse_model(path)
        raise FormatError(f"{path}: not a state file (no {KEY!r} in its metadata); expected one saved by State.save")
    about = _description(text, path)
    layout = StateLayout(_config(about["config"], len(opened.tensors), path))
    data = _data(layout, opened.tensors, path)
    if _checksum(text, data) != opened.metadata.get(CHECKSUM):
        raise FormatError(f"{path}: the content does not match its checksum; the file is damaged, copy it again")
    if not np.isfinite(data).all():
        raise StateError(f"{path}: the state holds NaN or infinity; nothing can go on from it")
    data.flags.writeable = False
    return State(layout, data, about["model"], about["tokenizer"], about["count"], bytes.fromhex(about["chain"]))


def _opened(path: Path) -> Checkpoint:
    try:
        return safetensors.read_unnamed(path)
    except OSError as error:
        raise FormatError(f"{path}: cannot be opened ({error.strerror}); expected a state file") from None
    except RookeryError:
        _refuse_model(path)
        raise


def _refuse_model(path: Path) -> None:
    """StateError when the file is a model."""
    try:
        open_checkpoint(path)
    except (RookeryError, OSError):
        return
    raise StateError(f"{path}: this is a model, not a state; expected a file saved by State.save or --save-state")


def _description(text: str, path: Path) -> dict[str, Any]:
    """The JSON object, every value of the right kind."""
    what = f"{path}: the state's description"
    if len(text) > MAX_DESCRIPTION or not text.isascii():
        raise FormatError(f"{what} is longer than {MAX_DESCRIPTION} characters or not ASCII; save the state again")
    about = safetensors.parse_json(text.encode(), what)
    version = about.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise StateError(
            f"{path}: state format {str(version)[:20]}, this rookery reads {FORMAT_VERSION}; use the rookery that "
            "wrote it, or a newer one"
        )
    if about.keys() != ABOUT:
        _damaged(path, f"expected the keys {', '.join(sorted(ABOUT))}")
    for key in ("model", "tokenizer"):
        if not _is_name(about[key]) or (key == "model" and not about[key]):
            _damaged(path, f"{key} is not a fingerprint")
    if not _is_whole(about["count"], 0, MAX_COUNT):
        _damaged(path, "count is not a number of tokens")
    if not _is_name(about["chain"]) or not _is_chain(about["chain"]):
        _damaged(path, f"chain is not {2 * len(chain.START)} hexadecimal digits")
    return about


def _config(given: Any, arrays: int, path: Path) -> Config:
    """The config, before anything is made of its size."""
    known = {field.name for field in fields(Config)}
    if not isinstance(given, dict) or {"removal", *given} != known:
        _damaged(path, f"expected a config of {', '.join(sorted(known))}")
    for name in ("layers", "width", "vocab", "ffn", "head_size"):
        if not _is_whole(given[name], 1, MAX_SIZE):
            _damaged(path, f"{name} is not a number from 1 to {MAX_SIZE - 1}")
    ranks, eps = given["ranks"], given["group_norm_eps"]
    if not isinstance(ranks, dict) or not all(_is_whole(rank, 1, MAX_SIZE) for rank in ranks.values()):
        _damaged(path, "ranks are not numbers by name")
    if not isinstance(eps, float) or not 0 < eps < 1 or not isinstance(given["bonus_exp"], bool):
        _damaged(path, "group_norm_eps or bonus_exp is of the wrong kind")
    if given["version"] not in VERSIONS:
        _damaged(path, f"version is none of {', '.join(VERSIONS)}")
    if given.get("removal", "1") not in REMOVALS[: None if given["version"] == "7" else 1]:
        _damaged(path, f"removal is none of {', '.join(REMOVALS)}, or the version is not 7")
    if given["width"] % given["head_size"]:
        _damaged(path, "head_size does not divide width")
    if 3 * given["layers"] != arrays:
        _damaged(path, f"the file has {arrays} arrays, {given['layers']} layers need {3 * given['layers']}")
    return Config(**given)


def _data(layout: StateLayout, tensors: Mapping[str, Tensor], path: Path) -> np.ndarray:
    """The numbers, once the file's own list of arrays has been found to be the layout's."""
    wanted = {field.name: ("F32", field.shape) for field in layout.fields}
    if {name: (tensor.format, tensor.shape) for name, tensor in tensors.items()} != wanted:
        raise FormatError(f"{path}: the arrays do not fit the model the file describes; save the state again")
    data = np.empty(layout.size, np.float32)
    for field in layout.fields:
        field.of(data)[...] = tensors[field.name].load()
    return data


def _checksum(text: str, data: np.ndarray) -> str:
    """Over the description's characters, then the arrays in order, little-endian."""
    digest = hashlib.sha256(text.encode())
    digest.update(np.ascontiguousarray(data, "<f4").data)
    return digest.hexdigest()


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value < high


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 128 and value.isascii() and value.isprintable()


def _is_chain(digits: str) -> bool:
    return len(digits) == 2 * len(chain.START) and set(digits) <= set("0123456789abcdef")


def _damaged(path: Path, why: str) -> NoReturn:
    raise FormatError(f"{path}: the state's description is damaged ({why}); save the state again")
