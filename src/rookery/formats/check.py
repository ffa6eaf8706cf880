"""
A checkpoint's tensors against the list of its version, before a number is read.

Names must be exactly those of the version; shapes may differ by lengths of 1, which conversions add and drop.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rookery.config import Config, canonical_shapes, optional
from rookery.errors import FormatError, MissingTensor, NumericError, UnknownTensor, UnsupportedError
from rookery.formats import lazy
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.removal import removal_in
from rookery.quant import FORMATS

__all__ = ["check_finite", "checked", "checked_states"]

Tensors = dict[str, Tensor]

_STATE = re.compile(r"blocks\.[0-9]+\.att\.time_state$")
_ADAPTERS = {
    ".lora_A": "LoRA",
    ".lora_B": "LoRA",
    ".lora.0": "LoRA",
    ".lora.1": "LoRA",
    ".init_lora_A": "PiSSA",
    ".disha": "DiSHA",
    ".bone": "Bone",
}


def checked(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its config set and its tensors in the order and shape of `canonical_shapes`.

    Tuned states move to `initial_state`.  F64 tensors are converted to F32 when they are loaded.

    Raises MissingTensor, UnknownTensor, FormatError (shapes, element types) or UnsupportedError (adapters, variants),
    each naming the file and the tensor.
    """
    origin = str(checkpoint.path)
    weights, states = _split(checkpoint.tensors, origin)
    config = Config.infer({name: tensor.shape for name, tensor in weights.items()}, origin)
    config = replace(config, removal=removal_in(checkpoint, config.version))
    wanted = canonical_shapes(config)
    for name in weights:
        if name not in wanted:
            raise UnknownTensor(
                f"{origin}: tensor {name!r} is not part of RWKV-{config.version}, which this file holds"
            )
    _check_missing(weights, wanted, config, origin)
    tensors = {name: _fit(name, weights[name], shape, origin) for name, shape in wanted.items() if name in weights}
    kept = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    initial = checked_states(states | checkpoint.initial_state, config, origin)
    return replace(checkpoint, tensors=kept, config=config, initial_state=initial)


def check_finite(checkpoint: Checkpoint) -> None:
    """Read every number once; NumericError, naming the tensor, for NaN or infinity."""
    for name, tensor in checkpoint.tensors.items():
        for row in _slabs(tensor):
            if not np.isfinite(row).all():
                raise NumericError.in_tensor(name, str(checkpoint.path))
        checkpoint.release()


def _slabs(tensor: Tensor) -> Iterator[np.ndarray]:
    """The numbers in pieces, as floats."""
    decode = FORMATS[tensor.format].decode
    return (decode(piece) for piece in lazy.pieces(tensor))


def _split(tensors: Tensors, origin: str) -> tuple[Tensors, Tensors]:
    """Weights and tuned states."""
    for name in tensors:
        kind = next((kind for ending, kind in _ADAPTERS.items() if name.endswith(ending)), None)
        if kind:
            raise UnsupportedError(
                f"{origin}: tensor {name!r} belongs to a {kind} adapter, not to a whole model; open the model "
                "it was made for, and give this file with --adapter"
            )
    states = {name: tensor for name, tensor in tensors.items() if _STATE.match(name)}
    if states and len(states) == len(tensors):
        raise FormatError(
            f"{origin}: this is a tuned initial state, not a model; load the model, and this file with its `tuned` "
            "method or --state"
        )
    return {name: tensor for name, tensor in tensors.items() if name not in states}, states


def _check_missing(weights: Tensors, wanted: dict[str, tuple[int, ...]], config: Config, origin: str) -> None:
    missing = [name for name in wanted if name not in weights and not optional(name)]
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise MissingTensor(
            f"{origin}: tensor {missing[0]!r}{others} of RWKV-{config.version} missing (layers={config.layers}, "
            f"width={config.width}); use the complete checkpoint"
        )


def _fit(name: str, tensor: Tensor, shape: tuple[int, ...], origin: str) -> Tensor | None:
    """The tensor under its canonical shape; None for an unused one of another shape."""
    if lazy.squeezed(tensor.shape) != lazy.squeezed(shape):
        if optional(name):
            return None
        raise FormatError(f"{origin}: tensor {name!r} has shape {tensor.shape}, expected {shape}")
    if tensor.format == "F64":
        tensor = lazy.widened(tensor, name)
    if tensor.format not in FORMATS:
        raise FormatError(f"{origin}: tensor {name!r} has element type {tensor.format}, expected F32, F16 or BF16")
    return lazy.reshaped(tensor, shape)


def checked_states(states: Tensors, config: Config, origin: str) -> Tensors:
    """Tuned states (heads, head size, head size), in the order of the blocks.

    FormatError and its kinds, naming `origin` and the tensor, where they are not those of a model of this config.
    """
    n = config.head_size
    out: Tensors = {}
    for layer in range(config.layers if config.version != "4" else 0):  # version 4 has no matrix state
        name = f"blocks.{layer}.att.time_state"
        if name in states:
            fitted = _fit(name, states[name], (config.heads, n, n), origin)
            out |= {name: fitted} if fitted else {}
    stray = next((name for name in states if name not in out), None)
    if stray:
        raise UnknownTensor(f"{origin}: tensor {stray!r} is not part of RWKV-{config.version}, layers={config.layers}")
    if out and len(out) != config.layers:
        raise MissingTensor(f"{origin}: {len(out)} of {config.layers} blocks have a time_state; expected all or none")
    return out
