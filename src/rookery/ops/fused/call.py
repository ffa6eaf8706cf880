"""A traced function, planned and ready to be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from rookery.ops.fused.group import Runnable
from rookery.ops.fused.plan import Group, plan
from rookery.ops.fused.product import product
from rookery.ops.fused.trace import Trace, Value, leaves_of

__all__ = ["Call"]


class Call:
    """A function over the op vocabulary, its row-wise ops fused.

    define:  f(ops, parameters, *given) -> values and states.
    p:       a namespace of parameters, of which the shapes and numbers matter here.
    columns: of what is given: of values, and 0 for states.
    """

    def __init__(self, define: Callable[..., Sequence[Value]], p: Any, columns: Sequence[int]) -> None:
        trace = Trace()
        symbols = trace.parameters(p)
        given = [trace.given(i, count) for i, count in enumerate(columns)]
        self.plan = plan(trace, define(trace, symbols, *given))
        self.steps = [Runnable(trace.nodes, step) if isinstance(step, Group) else step for step in self.plan.steps]

    def __call__(self, o: Any, p: Any, *given: Any) -> list[Any]:
        """o: `TorchOps`, whose products and recurrences are used.  p, given: float32 tensors on a processor."""
        sources = {"given": given, "parameter": leaves_of(p)}
        env: dict[int, Any] = {
            id: sources[node.name][node.index] for id, node in enumerate(self.plan.nodes) if node.name in sources
        }
        for step, drop in zip(self.steps, self.plan.drops, strict=True):
            if isinstance(step, Runnable):
                step(env, o.offsets, partial(self._dtype, o))
            else:
                self._alone(o, env, step)
            for id in drop:
                del env[id]
        return [env[id] for id in self.plan.outputs]

    def _dtype(self, o: Any, id: int) -> torch.dtype:
        return torch.bfloat16 if o.half == torch.bfloat16 and id in self.plan.slim else torch.float32

    def _alone(self, o: Any, env: dict[int, Any], id: int) -> None:
        """A node that is in no group."""
        node = self.plan.nodes[id]
        inputs = [env.get(i) for i in node.inputs]
        if node.name == "eager":
            assert node.compute is not None
            env[id] = node.compute(*inputs)
        elif node.name == "linear":
            env[id] = self._linear(o, *inputs).to(self._dtype(o, id))
        elif node.name == "last":
            env[id] = o.last(inputs[0])
        else:
            env[id], env[id + 1] = getattr(o, node.name)(*inputs)  # the node `final` comes behind its recurrence

    def _linear(self, o: Any, x: torch.Tensor, w: Any) -> torch.Tensor:
        """In the type that products are computed in, where that is bfloat16."""
        if isinstance(w, torch.Tensor) and o.half is None:
            return product(x, w)
        if isinstance(w, torch.Tensor) and o.half == torch.bfloat16:
            return F.linear(x.to(o.half), w.to(o.half))
        found: torch.Tensor = o.linear(x, w)
        return found
