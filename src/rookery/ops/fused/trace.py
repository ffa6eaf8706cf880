"""
The tracer: runs a definition once on symbols and keeps what it asked for as a list of nodes.

As in `rookery.ops.record`, but parameters are symbols too: they are trained, so an op on parameters alone is kept for
later, to be computed by torch in every call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import Any

import torch

__all__ = ["ROW_WISE", "Node", "Parameter", "Trace", "Value", "leaves_of"]

ROW_WISE = frozenset(
    ("add", "sub", "mul", "offset", "scale", "exp", "tanh", "sigmoid", "silu", "relu2", "norm", "l2norm", "head_sum")
)


@dataclass(frozen=True, slots=True)
class Node:
    """Something that will exist in a call; its id is its place in the list.

    name:    one of ROW_WISE; `given` (place `index` among the call's arguments); `parameter` (leaf `index`); `eager`
             (`compute` of parameters); `linear`, `shift`, `wkv4`, `wkv6`, `wkv7`; `last`, the last rows of segments;
             `final`, the state after a recurrence.
    inputs:  ids.
    columns: of a value; 0 where it is none.
    scalar:  the number operand, or eps.
    """

    name: str
    inputs: tuple[int, ...] = ()
    columns: int = 0
    scalar: float = 0.0
    heads: int = 1
    index: int = -1
    compute: Callable[..., Any] | None = None


class Parameter:
    """A parameter, or what follows from parameters alone; `meta` has its shape."""

    __slots__ = ("id", "meta", "trace")

    def __init__(self, trace: Trace, id: int, meta: torch.Tensor) -> None:
        self.trace, self.id, self.meta = trace, id, meta

    @property
    def shape(self) -> torch.Size:
        return self.meta.shape

    @property
    def T(self) -> Parameter:
        return self.trace.eager(lambda w: w.T, self)

    def __getitem__(self, key: Any) -> Parameter:
        return self.trace.eager(lambda w: w[key], self)

    def __neg__(self) -> Parameter:
        return self.trace.eager(torch.neg, self)

    def __add__(self, other: Any) -> Any:
        return self._with("add", torch.add, other)

    def __sub__(self, other: Any) -> Any:
        return self._with("sub", torch.sub, other)

    def __mul__(self, other: Any) -> Any:
        return self._with("mul", torch.mul, other)

    def __rsub__(self, other: float) -> Parameter:
        return self.trace.eager(lambda w: other - w, self)

    __radd__ = __add__
    __rmul__ = __mul__

    def _with(self, name: str, compute: Callable[..., Any], other: Any) -> Any:
        if isinstance(other, Value):
            return other.trace.row_wise(name, self, other)
        if isinstance(other, Parameter):
            return self.trace.eager(compute, self, other)
        return self.trace.eager(lambda w: compute(w, other), self)


class Value:
    """A (rows, columns) value."""

    __slots__ = ("columns", "id", "trace")

    def __init__(self, trace: Trace, id: int, columns: int) -> None:
        self.trace, self.id, self.columns = trace, id, columns

    def __add__(self, other: Any) -> Value:
        return self._with("add", other)

    def __sub__(self, other: Any) -> Value:
        return self._with("sub", other) if isinstance(other, Value | Parameter) else self + -other

    def __mul__(self, other: Any) -> Value:
        return self._with("mul", other)

    def __rsub__(self, other: float) -> Value:
        return -self + other

    def __neg__(self) -> Value:
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__

    def _with(self, name: str, other: Any) -> Value:
        if isinstance(other, Value | Parameter):
            return self.trace.row_wise(name, self, other)
        return self.trace.row_wise({"add": "offset", "mul": "scale"}[name], self, scalar=float(other))


class Trace:
    """Offers the vocabulary on symbols.  `nodes` is what was asked for."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def put(self, name: str, *inputs: Value | Parameter, columns: int = 0, **more: Any) -> int:
        self.nodes.append(Node(name, tuple(x.id for x in inputs), columns, **more))
        return len(self.nodes) - 1

    def given(self, index: int, columns: int = 0) -> Value:
        """Argument number `index` of the call: a value, or a state where it has no columns."""
        return Value(self, self.put("given", columns=columns, index=index), columns)

    def parameters(self, root: Any) -> Any:
        """The namespace with symbols for its leaves, numbered as `leaves_of` lists them."""
        numbers = count()

        def symbol(leaf: Any) -> Parameter:
            id = self.put("parameter", index=next(numbers))
            return Parameter(self, id, torch.empty(leaf.shape, device="meta"))

        return _mapped(root, symbol)

    def eager(self, compute: Callable[..., Any], *inputs: Parameter) -> Parameter:
        id = self.put("eager", *inputs, compute=compute)
        return Parameter(self, id, compute(*(x.meta for x in inputs)))

    def row_wise(self, name: str, *inputs: Value | Parameter, **more: Any) -> Value:
        columns = next(x.columns for x in inputs if isinstance(x, Value))
        for x in inputs:
            have = x.columns if isinstance(x, Value) else x.meta.numel()
            if have != columns:
                raise ValueError(f"{name}: operands of {columns} and {have} columns")
        return Value(self, self.put(name, *inputs, columns=columns, **more), columns)

    def whole(self, x: Value) -> Value:
        """x as something that exists in memory: what a shift gives does not by itself."""
        return x * 1.0 if self.nodes[x.id].name == "shift" else x

    def exp(self, x: Any) -> Any:
        return self.eager(torch.exp, x) if isinstance(x, Parameter) else self.row_wise("exp", x)

    def tanh(self, x: Any) -> Any:
        return self.eager(torch.tanh, x) if isinstance(x, Parameter) else self.row_wise("tanh", x)

    def sigmoid(self, x: Any) -> Any:
        return self.eager(torch.sigmoid, x) if isinstance(x, Parameter) else self.row_wise("sigmoid", x)

    def silu(self, x: Value) -> Value:
        return self.row_wise("silu", x)

    def relu2(self, x: Value) -> Value:
        return self.row_wise("relu2", x)

    def layer_norm(self, x: Value, n: Any) -> Value:
        return self.row_wise("norm", x, n.weight, n.bias, scalar=1e-5)

    def group_norm(self, x: Value, n: Any, heads: int, eps: float) -> Value:
        return self.row_wise("norm", x, n.weight, n.bias, scalar=eps, heads=heads)

    def l2norm(self, x: Value, heads: int) -> Value:
        return self.row_wise("l2norm", x, heads=heads)

    def head_sum(self, x: Value, heads: int) -> Value:
        return self.row_wise("head_sum", x, heads=heads)

    def linear(self, x: Value, w: Parameter) -> Value:
        columns = w.shape[0]
        return Value(self, self.put("linear", self.whole(x), w, columns=columns), columns)

    def shift(self, x: Value, last: Value) -> tuple[Value, Value]:
        x = self.whole(x)
        moved = Value(self, self.put("shift", x, last, columns=x.columns), x.columns)
        return moved, Value(self, self.put("last", x), 0)

    def wkv4(self, w: Any, u: Any, k: Value, v: Value, state: Value) -> tuple[Value, Value]:
        return self._wkv("wkv4", w, u, k, v, state)

    def wkv6(self, r: Value, w: Any, k: Value, v: Value, u: Any, state: Value) -> tuple[Value, Value]:
        return self._wkv("wkv6", r, w, k, v, u, state)

    def wkv7(self, r: Value, w: Value, k: Value, v: Value, a: Value, b: Value, state: Value) -> tuple[Value, Value]:
        return self._wkv("wkv7", r, w, k, v, a, b, state)

    def _wkv(self, name: str, *operands: Any) -> tuple[Value, Value]:
        *rest, state = (self.whole(x) if isinstance(x, Value) else x for x in operands)
        columns = next(x.columns for x in rest if isinstance(x, Value))
        y = Value(self, self.put(name, *rest, state, columns=columns), columns)
        return y, Value(self, self.put("final", y), 0)


def leaves_of(root: Any) -> list[Any]:
    """The leaves of a namespace of parameters: whatever has a shape, in the order of names."""
    found: list[Any] = []
    _mapped(root, found.append)
    return found


def _mapped(root: Any, f: Callable[[Any], Any]) -> Any:
    if isinstance(root, SimpleNamespace):
        return SimpleNamespace(**{name: _mapped(child, f) for name, child in sorted(vars(root).items())})
    return f(root) if hasattr(root, "shape") else root
