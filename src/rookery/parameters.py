"""
From named tensors to the `p` that definitions read.

`blocks.0.att.key.weight` becomes `p.blocks[0].att.key`, a norm's weight and bias become `.ln1.weight` and
`.ln1.bias`.  Everything with one number per channel is a vector (C,).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from rookery.config import Config
from rookery.errors import NumericError
from rookery.weights import Tensor

__all__ = ["parameters"]

# One number per lane, or per head and then repeated over its lanes: flattened to (C,).
_LANES = ("time_decay", "time_first", "time_faaaa", "r_k")


def parameters(config: Config, tensors: Mapping[str, Tensor], dtype: Any = None) -> SimpleNamespace:
    """The parameters of a checkpoint.

    tensors: official names, canonical shapes (as `open_checkpoint` gives them).
    dtype:   of all parameters, as arrays.  None leaves the matrices in their files, as `Tensor`s that know their
             names, and makes the vectors float32: what `NativeExecutor` takes.

    Raises NumericError, naming the tensor, where a vector holds NaN or infinity.
    """
    root: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *path, last = name.removesuffix(".weight").split(".") if _collapses(name, tensors) else name.split(".")
        node = root
        for part in path:
            node = node.setdefault(part, {})
        if _is_vector(last, tensor):
            node[last] = _vector(config, name, tensor, dtype or np.float32)
        else:
            node[last] = replace(tensor, name=name) if dtype is None else tensor.numpy().astype(dtype)
    blocks = root["blocks"]
    for block in blocks.values():
        block["att"] |= {"heads": config.heads, "eps": config.group_norm_eps}
    root["blocks"] = [blocks[str(i)] for i in range(config.layers)]
    tree: SimpleNamespace = _namespace(root)
    return tree


def _collapses(name: str, tensors: Mapping[str, Tensor]) -> bool:
    """Whether `x.weight` is simply `x`: it is, unless there is also `x.bias`."""
    return name.endswith(".weight") and name.removesuffix("weight") + "bias" not in tensors


def _is_vector(last: str, tensor: Tensor) -> bool:
    return last in _LANES or len(tensor.shape) == 1


def _vector(config: Config, name: str, tensor: Tensor, dtype: Any) -> np.ndarray:
    flat = tensor.numpy().reshape(-1).astype(dtype)
    if not np.isfinite(flat).all():
        raise NumericError.in_tensor(name)
    return np.repeat(flat, config.head_size) if flat.size == config.heads != config.width else flat


def _namespace(node: Any) -> Any:
    if isinstance(node, dict):
        return SimpleNamespace(**{k: _namespace(v) for k, v in node.items()})
    if isinstance(node, list):
        return [_namespace(v) for v in node]
    return node
