"""
Blocks in training on processors: everything that is neither a matrix product nor a recurrence, fused.

`block` is `rookery.models.stack.block` computed in another way: the definition is traced once, its row-wise ops are
put together into groups, and each group runs as one function of the C++ core, forward and backward.  No version of
RWKV is known here.

    trace    a definition as a list of nodes
    plan     which nodes go together, and what exists in memory between them
    group    a group of nodes under autograd
    product  matrix products
    call     a plan carried out
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from rookery.models import stack
from rookery.ops.fused.call import Call

__all__ = ["block", "suits"]

_STATE = ("att_x", "wkv", "ffn_x")


def suits(x: torch.Tensor) -> bool:
    """Whether `block` can take values like x: float32 on a processor."""
    return x.device.type == "cpu" and x.dtype == torch.float32


def block(o: Any, definition: Any, b: Any, x: Any, s: Any, v_first: Any) -> tuple[Any, Any]:
    """As `stack.block`, whose twin it is; o: `TorchOps`, whose products and recurrences it uses.

    x: float32 (rows, width) on a processor.  The state `s` is replaced; gradients flow to it and from it.
    """
    key = (definition.__name__, _shape_of(b), x.shape[-1], v_first is None)
    if key not in _calls:
        _calls[key] = _traced(definition, b, x.shape[-1], v_first is None)
    states = (getattr(s, name) for name in _STATE)
    s.att_x, s.wkv, s.ffn_x, *found = _calls[key](o, b, *states, x, *(() if v_first is None else (v_first,)))
    return found[0], found[1] if len(found) > 1 else None


def _traced(definition: Any, b: Any, width: int, first: bool) -> Call:
    def define(o: Any, p: Any, *given: Any) -> list[Any]:
        s = SimpleNamespace(**dict(zip(_STATE, given, strict=False)))
        y, v_first = stack.block(o, definition, p, given[3], s, None if first else given[4])
        return [*(getattr(s, name) for name in _STATE), y, *(() if v_first is None else (v_first,))]

    return Call(define, b, [0, 0, 0, width] if first else [0, 0, 0, width, width])


def _shape_of(b: Any) -> Any:
    """What a plan depends on: names, shapes and numbers of a block's parameters."""
    if isinstance(b, SimpleNamespace):
        return tuple((name, _shape_of(child)) for name, child in sorted(vars(b).items()))
    return tuple(b.shape) if hasattr(b, "shape") else b


_calls: dict[Any, Call] = {}
