"""
A checkpoint with an adapter: matrices that are merged when they are loaded, one at a time.

The model's file stays as it is and is mapped as ever; a merged matrix is made from it, a few rows at a time, when
somebody asks for it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from rookery.adapter.content import Adapter, LowRank
from rookery.errors import FormatError, NumericError, SettingsError
from rookery.fingerprint import fingerprint, sample
from rookery.formats import Checkpoint, Tensor, lazy
from rookery.formats.check import checked_states
from rookery.quant import FORMATS

__all__ = ["adapted"]

_AT_ONCE = 1 << 20  # numbers merged at a time


# Of a merged matrix, by that of the model's.
_TYPES: dict[str, Callable[[str], str]] = {
    "memory": lambda format: "F32" if format == "F32" else "F16",
    "kept": lambda format: format,
    "F32": lambda format: "F32",
}


def adapted(
    checkpoint: Checkpoint, adapter: Adapter, alpha: float | None = None, *, types: str = "memory"
) -> Checkpoint:
    """The checkpoint as fine-tuning changed it: W + alpha / rank * B A in float32, tuned states as its initial ones.

    alpha:      in place of the adapter's own; needed where its file does not say it.
    types:      of merged matrices.  "memory": F32 stays F32 and everything else becomes F16: eleven bits keep small
                changes that BF16's eight or a quantised block would round away, in half the memory of F32.
                "kept": that of the model's, for writing; quantised ones are refused.  "F32": F32.

    FormatError where the adapter was made for another model: by its fingerprint, by a tensor that is not in the
    model, by a shape.  SettingsError where alpha is not known.
    """
    base = fingerprint(checkpoint)
    _check_base(adapter, base, checkpoint)
    _check_fit(adapter, checkpoint)
    scale = _alpha(adapter, alpha)
    tensors = dict(checkpoint.tensors)
    for name, tensor in adapter.replaced.items():
        tensors[name] = lazy.reshaped(tensor, tensors[name].shape)
    for name, low in adapter.low_rank.items():
        tensors[name] = _merged(tensors[name], name, low, scale, _type(tensors[name], name, types))
    return replace(
        checkpoint,
        tensors=tensors,
        initial_state=_states(checkpoint, adapter),
        # What was measured of the model is not true of what it has become.
        metadata={k: v for k, v in checkpoint.metadata.items() if not k.startswith("rookery.")},
        fingerprint=_mark(base, adapter, scale),
    )


def _check_base(adapter: Adapter, base: str, checkpoint: Checkpoint) -> None:
    if adapter.base is not None and adapter.base != base:
        raise FormatError(
            f"{adapter.origin}: was made for the model {adapter.base}, but {checkpoint.path} is {base}; use the model "
            "it was made for, and quantise after merging"
        )


def _check_fit(adapter: Adapter, checkpoint: Checkpoint) -> None:
    """Every tensor of the adapter has its place in the model."""
    changed: Mapping[str, LowRank | Tensor] = {**adapter.low_rank, **adapter.replaced}
    strays = [_key(name, adapter) for name in changed if name not in checkpoint.tensors]
    if strays:
        raise FormatError(
            f"{adapter.origin}: {len(strays)} of {len(changed)} parts match nothing in {checkpoint.path}: "
            f"{_listed(strays)}; the adapter was made for another model"
        )
    for name, part in changed.items():
        mine, theirs = tuple(checkpoint.tensors[name].shape), tuple(part.shape)
        fits = theirs == mine if name in adapter.low_rank else lazy.squeezed(theirs) == lazy.squeezed(mine)
        if not fits:
            raise FormatError(
                f"{adapter.origin}: {_key(name, adapter)} is for a tensor of shape {theirs}, but {checkpoint.path} "
                f"has {mine} there; the adapter was made for another model"
            )


def _key(name: str, adapter: Adapter) -> str:
    return f"{name.removesuffix('.weight')}.lora_A" if name in adapter.low_rank else name


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"


def _alpha(adapter: Adapter, given: float | None) -> float:
    alpha = adapter.alpha if given is None else given
    if alpha is None and adapter.low_rank:
        raise SettingsError(
            f"{adapter.origin}: does not say its alpha; give the one it was trained with (lora_alpha in RWKV-PEFT; "
            f"its rank is {', '.join(map(str, adapter.ranks))})"
        )
    if alpha is not None and not math.isfinite(alpha):
        raise SettingsError(f"alpha={alpha}: expected a finite number")
    return alpha or 0.0


def _type(tensor: Tensor, name: str, types: str) -> str:
    if types == "kept" and tensor.kind.block > 1:
        raise SettingsError(
            f"tensor {name!r} is stored as {tensor.format}, which a change would have to be quantised into; merge "
            "with --dtype F16 or BF16 and quantise the result"
        )
    return _TYPES[types](tensor.format)


def _merged(tensor: Tensor, name: str, low: LowRank, alpha: float, format: str) -> Tensor:
    return Tensor(format, tensor.shape, partial(_sum, tensor, name, low, alpha, format), tensor.name or name)


def _sum(tensor: Tensor, name: str, low: LowRank, alpha: float, format: str) -> np.ndarray:
    """The merged matrix in storage form."""
    stored, (rows, columns) = tensor.load(), tensor.shape
    out = np.empty(tensor.shape, lazy.DTYPES[format])
    step = max(1, _AT_ONCE // columns)
    for first in range(0, rows, step):
        some = slice(first, first + step)
        out[some] = _encoded(tensor.kind.decode(stored[some]) + low.change(some, alpha), name, format)
    return out


def _encoded(numbers: np.ndarray, name: str, format: str) -> np.ndarray:
    kind = FORMATS[format]
    assert kind.encode is not None
    out = kind.encode(numbers)
    if format != "F32" and (np.isinf(kind.decode(out)) & np.isfinite(numbers)).any():
        raise NumericError(f"tensor {name!r} is changed beyond the range of {format}; merge the adapter into F32")
    return out


def _states(checkpoint: Checkpoint, adapter: Adapter) -> dict[str, Tensor]:
    config = checkpoint.config
    assert config is not None  # open_checkpoint has filled it in
    if not adapter.initial_state:
        return checkpoint.initial_state
    if config.version == "4":
        raise FormatError(f"{adapter.origin}: tuned states are for RWKV-5 and later; RWKV-4 has no matrix state")
    return checked_states(dict(adapter.initial_state), config, adapter.origin)


def _mark(base: str, adapter: Adapter, alpha: float) -> str:
    """The fingerprint of the changed model: a tuned state alone does not make it another one."""
    if not adapter.low_rank and not adapter.replaced:
        return base
    digest = hashlib.blake2b(base.encode(), digest_size=16)
    for name, low in sorted(adapter.low_rank.items()):
        digest.update(f"{name} {low.shape} {float(alpha)!r} ".encode() + low.a.tobytes() + low.b.tobytes())
    for name, tensor in sorted(adapter.replaced.items()):
        digest.update(f"{name} ".encode() + sample(tensor.kind, tensor.shape, tensor.load()).tobytes())
    return digest.hexdigest()
