"""
Adapter files: RWKV-PEFT's `.pth` and our safetensors.

Both are flat dictionaries with the keys `blocks.N.att.key.lora_A` and `.lora_B`; ours says beside them, in its
metadata, what RWKV-PEFT passes on the command line: alpha, and which model the adapter was made for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rookery.adapter.content import Adapter, LowRank
from rookery.errors import FormatError, NumericError, UnsupportedError
from rookery.formats import Tensor, lazy
from rookery.formats.opening import read_unnamed
from rookery.formats.safetensors import parse_json
from rookery.quant import FORMATS

__all__ = ["KEY", "VERSION", "read_adapter"]

KEY, VERSION = "rookery.adapter", 1  # metadata of our files, and the version of what stands there

_PREFIXES = re.compile(r"^(?:_forward_module\.|model\.)+")  # left by trainers
_LOW_RANK = re.compile(r"(?P<matrix>.+)\.lora_(?P<half>[AB])$")
_STATE = re.compile(r"blocks\.[0-9]+\.att\.time_state$")
_OTHER_METHODS = {
    ".init_lora_A": "PiSSA",
    ".init_lora_B": "PiSSA",
    ".disha": "DiSHA",
    ".bone": "Bone",
    ".lora_magnitude_vector": "DoRA",
}


def read_adapter(path: str | Path) -> Adapter:
    """Read an adapter, a tuned initial state, or both in one file.

    FormatError where the file is damaged or holds neither, UnsupportedError for adapters of other methods,
    NumericError, naming the tensor, for NaN and infinity.
    """
    opened = read_unnamed(path)
    tensors = _plain(opened.tensors, str(path))
    halves = {name: t for name, t in tensors.items() if _LOW_RANK.match(name)}
    states = {name: t for name, t in tensors.items() if _STATE.match(name)}
    if not halves and not states:
        raise FormatError(
            f"{path}: neither an adapter nor a tuned state; expected tensors such as blocks.0.att.key.lora_A and "
            "lora_B, or blocks.0.att.time_state"
        )
    about = _about(opened.metadata, str(path))
    return Adapter(
        origin=str(path),
        low_rank=_low_rank(halves, str(path)),
        replaced={name: t for name, t in tensors.items() if name not in halves and name not in states},
        initial_state=states,
        alpha=about.get("alpha"),
        base=about.get("base"),
    )


def _plain(tensors: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """The tensors without prefixes of trainers, if they are of a kind that we know."""
    out: dict[str, Tensor] = {}
    for given, tensor in tensors.items():
        name = _PREFIXES.sub("", given)
        method = next((method for ending, method in _OTHER_METHODS.items() if name.endswith(ending)), None)
        if method:
            raise UnsupportedError(
                f"{origin}: tensor {given!r} belongs to a {method} adapter; only LoRA and tuned states are known here, "
                "merge it with the tool that made it"
            )
        if name in out:
            raise FormatError(f"{origin}: tensor {given!r} means the same as another one of the file; remove one")
        out[name] = lazy.widened(tensor, given) if tensor.format == "F64" else tensor
        if out[name].format not in FORMATS:
            raise FormatError(f"{origin}: tensor {given!r} has element type {tensor.format}, expected F32, F16 or BF16")
    return out


def _low_rank(halves: Mapping[str, Tensor], origin: str) -> dict[str, LowRank]:
    """The pairs, by the name of the matrix they change."""
    matrices = dict.fromkeys(m["matrix"] for m in map(_LOW_RANK.match, halves) if m)
    return {f"{matrix}.weight": _pair(halves, matrix, origin) for matrix in matrices}


def _pair(halves: Mapping[str, Tensor], matrix: str, origin: str) -> LowRank:
    names = [f"{matrix}.lora_{half}" for half in "AB"]
    for name, other in zip(names, reversed(names), strict=True):
        if name not in halves:
            raise FormatError(f"{origin}: tensor {name!r} is missing beside {other!r}; the adapter is not whole")
    a, b = (halves[name] for name in names)
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1] or 0 in a.shape + b.shape:
        raise FormatError(
            f"{origin}: {names[0]!r} has shape {a.shape} and {names[1]!r} {b.shape}; expected (rank, inputs) and "
            "(outputs, rank)"
        )
    return LowRank(_numbers(a, names[0], origin), _numbers(b, names[1], origin))


def _numbers(tensor: Tensor, name: str, origin: str) -> np.ndarray:
    numbers = np.array(tensor.numpy(), np.float32)
    if not np.isfinite(numbers).all():
        raise NumericError.in_tensor(name, origin)
    return numbers


def _about(metadata: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """What our files say of themselves, checked; nothing for others."""
    text = metadata.get(KEY)
    if text is None:
        return {}
    what = f"{origin}: the metadata {KEY!r}"
    found = parse_json(str(text).encode(), what)
    if found.get("version") != VERSION:
        raise UnsupportedError(f"{what} has version {json.dumps(found.get('version'))}, expected {VERSION}")
    alpha, base = found.get("alpha"), found.get("base")
    if alpha is not None and (type(alpha) not in (int, float) or not math.isfinite(alpha)):
        raise FormatError(f"{what} has alpha {json.dumps(alpha)}, expected a number")
    if base is not None and not isinstance(base, str):
        raise FormatError(f"{what} has base {json.dumps(base)[:80]}, expected a fingerprint")
    return {"alpha": alpha, "base": base}
