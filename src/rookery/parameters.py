"""
From named tensors to the `p` that definitions read.

`blocks.0.att.key.weight` becomes `p.blocks[0].att.key`, a norm's weight and bias become `.ln1.weight` and
`.ln1.bias`.  Everything with one number per channel is a vector (C,).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from rookery.config import Config
from rookery.errors import NumericError
from rookery.weights import Tensor

__all__ = ["parameters", "tree"]

# One number per lane, or per head and then repeated over its lanes: flattened to (C,).
_LANES = ("time_decay", "time_first", "time_faaaa", "r_k")


def parameters(config: Config, tensors: Mapping[str, Tensor], dtype: Any = None) -> SimpleNamespace:
    """The parameters of a checkpoint.

    tensors: official names, canonical shapes (as `open_checkpoint` gives them).
    dtype:   of all parameters, as arrays.  None leaves the matrices in their files, as `Tensor`s that know their
             names, and makes the vectors float32: what `NativeExecutor` takes.

    Raises NumericError, naming the tensor, where a vector holds NaN or infinity.
    """

    def leaf(name: str, tensor: Tensor, repeats: int) -> Any:
        if repeats:
            return np.repeat(_vector(name, tensor, dtype or np.float32), repeats)
        return replace(tensor, name=name) if dtype is None else tensor.numpy().astype(dtype)

    return tree(config, tensors, leaf)


def tree(config: Config, tensors: Mapping[str, Any], leaf: Callable[[str, Any, int], Any]) -> SimpleNamespace:
    """The tree of parameters under the names that definitions use.

    tensors: by official name; anything with a `shape`.
    leaf:    makes a leaf of (name, tensor, repeats): a matrix where `repeats` is 0, else a vector each of whose
             numbers stands for that many channels.
    """
    root: dict[str, Any] = {}
    for name, tensor in tensors.items():
        *path, last = name.removesuffix(".weight").split(".") if _collapses(name, tensors) else name.split(".")
        node = root
        for part in path:
            node = node.setdefault(part, {})
        node[last] = leaf(name, tensor, _repeats(config, last, tuple(tensor.shape)))
    blocks = root["blocks"]
    for block in blocks.values():
        block["att"] |= {"heads": config.heads, "eps": config.group_norm_eps, "removal": config.removal}
    root["blocks"] = [blocks[str(i)] for i in range(config.layers)]
    found: SimpleNamespace = _namespace(root)
    return found


def _collapses(name: str, tensors: Mapping[str, Any]) -> bool:
    """Whether `x.weight` is simply `x`: it is, unless there is also `x.bias`."""
    return name.endswith(".weight") and name.removesuffix("weight") + "bias" not in tensors


def _repeats(config: Config, last: str, shape: tuple[int, ...]) -> int:
    """How many channels a number of a vector stands for; 0 for matrices."""
    if last not in _LANES and len(shape) != 1:
        return 0
    return config.head_size if math.prod(shape) == config.heads != config.width else 1


def _vector(name: str, tensor: Tensor, dtype: Any) -> np.ndarray:
    flat = tensor.numpy().reshape(-1).astype(dtype)
    if not np.isfinite(flat).all():
        raise NumericError.in_tensor(name)
    return flat


def _namespace(node: Any) -> Any:
    if isinstance(node, dict):
        return SimpleNamespace(**{k: _namespace(v) for k, v in node.items()})
    if isinstance(node, list):
        return [_namespace(v) for v in node]
    return node
