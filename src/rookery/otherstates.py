"""
The states of others: tuned initial states, and the lists of the `rwkv` package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rookery import chain
from rookery.errors import StateError
from rookery.layout import StateLayout
from rookery.state import State

__all__ = ["from_rwkv", "from_time_state", "rwkv_numbers", "rwkv_views", "to_rwkv"]


def from_time_state(
    layout: StateLayout, tensors: Mapping[str, np.ndarray], model: str, tokenizer: str, *, transposed: bool = False
) -> State:
    """See `State.from_time_state`."""
    if layout.config.version == "4":
        raise StateError("RWKV-4 has no tuned initial states; they exist from version 5 on, which has matrix states")
    data = layout.zeros()
    names = [f"blocks.{i}.att.time_state" for i in range(layout.config.layers)]
    if set(tensors) != set(names):
        raise StateError(
            f"a tuned state for this model has {len(names)} tensors, {names[0]} to {names[-1]}; this one has "
            f"{len(tensors)}, it was made for another model"
        )
    for name, layer in zip(names, layout.layers, strict=True):
        given = _numbers(tensors[name], name)
        if given.shape != layer.wkv.shape:
            raise StateError(f"{name} has shape {given.shape}, this model needs {layer.wkv.shape}")
        if not np.isfinite(given).all():
            raise StateError(f"{name} holds NaN or infinity; the tuned state is damaged")
        layer.wkv.of(data)[...] = given if transposed else given.transpose(0, 2, 1)
    return State(layout, data, model, tokenizer, 0, chain.origin(data))


def from_rwkv(layout: StateLayout, arrays: Sequence[Any], model: str, tokenizer: str) -> State:
    """See `State.from_rwkv`."""
    data = rwkv_numbers(layout, arrays)
    return State(layout, data, model, tokenizer, 0, chain.origin(data))


def to_rwkv(state: State) -> list[np.ndarray]:
    """See `State.to_rwkv`."""
    return [np.array(view) for view in rwkv_views(state.layout, state.data)]


def rwkv_views(layout: StateLayout, flat: np.ndarray) -> list[np.ndarray]:
    """The `rwkv` package's list, as views of a flat state (layout.size,).

    Per block att_x (C,), memory, ffn_x (C,).  The memory is numerator, denominator and exponent, each (C,), in v4;
    (H, key lane, value lane) in v5 and v6; (H, value lane, key lane) in v7, where ours is key lane first throughout.
    """
    views: list[np.ndarray] = []
    for layer in layout.layers:
        memory = layer.wkv.of(flat)
        if layout.config.version == "7":
            memory = memory.transpose(0, 2, 1)
        middle = list(memory) if layout.config.version == "4" else [memory]
        views += [layer.att_x.of(flat), *middle, layer.ffn_x.of(flat)]
    return views


def rwkv_numbers(layout: StateLayout, arrays: Sequence[Any]) -> np.ndarray:
    """A fresh flat state from the package's list; arrays of any kind that numpy or torch can turn into numbers."""
    flat = np.empty(layout.size, np.float32)
    views = rwkv_views(layout, flat)
    if not isinstance(arrays, Sequence) or len(arrays) != len(views):
        got = f"{len(arrays)}" if isinstance(arrays, Sequence) else type(arrays).__name__
        raise StateError(f"a state list for this model has {len(views)} arrays, got {got}; it belongs to another model")
    for i, (view, given) in enumerate(zip(views, arrays, strict=True)):
        numbers = _numbers(given, f"array {i} of the state list")
        if numbers.shape != view.shape:
            raise StateError(
                f"array {i} of the state list has shape {numbers.shape}, this model needs {view.shape}; "
                "it belongs to another model"
            )
        view[...] = numbers
    return flat


def _numbers(given: Any, what: str) -> np.ndarray:
    """float32; torch tensors come by way of their own float32, for numpy has no bfloat16."""
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu().float().numpy()
        return np.asarray(given, np.float32)
    except (TypeError, ValueError):
        raise StateError(f"{what} is a {type(given).__name__}, expected an array of numbers") from None
