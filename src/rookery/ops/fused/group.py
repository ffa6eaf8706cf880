"""
A group of row-wise ops as one function under autograd, computed by the C++ core.

It keeps its inputs and nothing else; the way back computes again what lies between, tile by tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rookery import _native
from rookery.ops.fused.plan import Group
from rookery.ops.fused.trace import Node
from rookery.ops.tables import table

__all__ = ["Runnable"]


class Runnable:
    """A group made ready: called on what its ids stand for, it adds its outputs.

    values, states, vectors, outputs: ids, in the order in which the core takes them.
    """

    def __init__(self, nodes: list[Node], group: Group) -> None:
        sources, self.vectors = sorted(group.sources), sorted(group.vectors)
        shifts = {i: nodes[i].inputs for i in sources if nodes[i].name == "shift"}
        self.values = sorted({shifts[i][0] if i in shifts else i for i in sources})
        self.states = sorted({state for _, state in shifts.values()})
        self.outputs = sorted(group.outputs)
        inputs = [
            (self.values.index(shifts[i][0]), self.states.index(shifts[i][1]))
            if i in shifts
            else (self.values.index(i), -1)
            for i in sources
        ]
        slots = {id: slot for slot, id in enumerate([*sources, *self.vectors, *sorted(group.ops)])}
        ops = [
            (nodes[id].name, [slots[i] for i in nodes[id].inputs], nodes[id].scalar, nodes[id].heads)
            for id in sorted(group.ops)
        ]
        outputs = [slots[id] for id in self.outputs]
        self.core = _native.FusedGroup(group.columns, inputs, len(self.vectors), ops, outputs)

    def __call__(self, env: dict[int, Any], offsets: Tensor, dtypes: Callable[[int], torch.dtype]) -> None:
        arguments = [env[i] for ids in (self.values, self.states, self.vectors) for i in ids]
        outputs = _Group.apply(self, offsets, [dtypes(i) for i in self.outputs], *arguments)
        env |= zip(self.outputs, outputs, strict=True)

    def parts(self, all: list[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        """Values, states and vectors of a list of all three."""
        values, states = len(self.values), len(self.values) + len(self.states)
        return all[:values], all[values:states], all[states:]


class _Group(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, run: Runnable, offsets: Tensor, dtypes: list[torch.dtype], *arguments: Tensor
    ) -> tuple[Tensor, ...]:
        ready = [x.detach().contiguous() for x in arguments]
        outputs = tuple(torch.empty(ready[0].shape, dtype=dtype) for dtype in dtypes)
        run.core.forward(table(), torch.get_num_threads(), offsets, run.parts(ready), list(outputs))
        ctx.run, ctx.offsets = run, offsets
        ctx.save_for_backward(*ready)
        ctx.set_materialize_grads(False)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        arguments, run = ctx.saved_tensors, ctx.run
        found = [
            torch.empty_like(x) if needed else None
            for x, needed in zip(arguments, ctx.needs_input_grad[3:], strict=True)
        ]
        values, states, vectors = run.parts(found)
        for state in states:
            if state is not None:
                state.zero_()  # nothing may lead to it
        ready = [None if g is None else g.contiguous() for g in grads]
        run.core.backward(
            table(), torch.get_num_threads(), ctx.offsets, run.parts(list(arguments)), ready, (values, states, vectors)
        )
        return None, None, None, *found
