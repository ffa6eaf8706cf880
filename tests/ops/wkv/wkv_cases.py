"""
Inputs for the recurrences on torch tensors, and what autograd says of the formula in float64.

Numbers are drawn in float64 and rounded to float32, so that every backend is given the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from rookery.ops.wkv import reference

__all__ = ["EMPTY_EXPONENT", "LEAST_DECAY", "NAMES", "Case", "Inputs", "draw", "errors", "results", "truth"]

NAMES = {
    4: ("w", "u", "k", "v", "state"),
    6: ("r", "w", "k", "v", "u", "state"),
    7: ("r", "w", "k", "v", "a", "b", "state"),
}
LEAST_DECAY = 0.5452  # of RWKV-7
EMPTY_EXPONENT = -1e30  # of RWKV-4's state before the first token


@dataclass(frozen=True, slots=True)
class Case:
    """What to draw.

    lanes: of a head; RWKV-4 has heads x lanes channels.
    kind: "random", or what is special: "repeated key", "least decay", "no decay", "zero key", "fast decay".
    initial: whether segments begin with states that are not empty.
    """

    version: int
    heads: int = 2
    lanes: int = 16
    lengths: tuple[int, ...] = (5,)
    kind: str = "random"
    initial: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Inputs:
    """Operands in the order of the backend's parameters, and the gradients of outputs and final states."""

    operands: dict[str, Tensor]
    offsets: Tensor
    dy: Tensor
    dfinal: Tensor


@functools.cache
def draw(case: Case) -> Inputs:
    torch.manual_seed(case.seed)
    rows, width, segments = sum(case.lengths), case.heads * case.lanes, len(case.lengths)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, dtype=torch.float64)

    operands = {4: _four, 6: _six, 7: _seven}[case.version](case, functools.partial(normal, rows, width))
    if case.version == 4:
        operands["state"] = _state4(case, normal(segments, 3, width))
        dfinal = normal(segments, 3, width)
    else:
        square = (segments, case.heads, case.lanes, case.lanes)
        operands["state"] = normal(*square) * case.initial
        dfinal = normal(*square)
    operands = {name: operands[name].float().double() for name in NAMES[case.version]}
    offsets = torch.tensor([0, *case.lengths]).cumsum(0)
    return Inputs(operands, offsets, normal(rows, width).float().double(), dfinal.float().double())


def _seven(case: Case, normal: Callable[[], Tensor]) -> dict[str, Tensor]:
    w = torch.exp(-0.606531 * torch.sigmoid(2 * normal()))
    k, keys = normal(), normal()
    if case.kind == "least decay":
        w = torch.full_like(w, LEAST_DECAY)
    elif case.kind == "no decay":
        w = 1 - 1e-4 * torch.rand_like(w)
    elif case.kind == "repeated key":
        k, keys = k[:1].expand_as(k), keys[:1].expand_as(keys)
    elif case.kind == "zero key":
        k = torch.zeros_like(k)
    keys = torch.nn.functional.normalize(keys.unflatten(-1, (case.heads, -1)), dim=-1).flatten(-2)
    rate = torch.ones_like(w) if case.kind == "repeated key" else torch.sigmoid(normal())
    return {"r": normal(), "w": w, "k": k, "v": normal(), "a": -keys, "b": keys * rate}


def _six(case: Case, normal: Callable[[], Tensor]) -> dict[str, Tensor]:
    logarithm = {"least decay": 5.0, "fast decay": 5.0, "no decay": -9.0}.get(case.kind)
    w = torch.exp(-torch.exp(2 * normal() - 1 if logarithm is None else torch.full_like(normal(), logarithm)))
    k = normal()
    k = {"repeated key": k[:1].expand_as(k), "zero key": torch.zeros_like(k)}.get(case.kind, k)
    return {"r": normal(), "w": w, "k": k, "v": normal(), "u": normal()[0]}


def _four(case: Case, normal: Callable[[], Tensor]) -> dict[str, Tensor]:
    w = -torch.exp(2 * normal()[0] - 3)
    if case.kind in ("least decay", "fast decay"):
        w = torch.full_like(w, -20.0)
    elif case.kind == "no decay":
        w = torch.full_like(w, -1e-4)
    k = 2 * normal()
    k = {"repeated key": k[:1].expand_as(k), "zero key": torch.zeros_like(k)}.get(case.kind, k)
    return {"w": w, "u": normal()[0], "k": k, "v": normal()}


def _state4(case: Case, state: Tensor) -> Tensor:
    """A denominator is positive, and an empty state has no weight at all."""
    state[:, 1] = state[:, 1].abs() + 0.5
    if not case.initial:
        state[:, :2], state[:, 2] = 0, EMPTY_EXPONENT
    return state


def results(backend: ModuleType, case: Case, dtype: torch.dtype, final: bool = True) -> dict[str, Tensor]:
    """Outputs, final states, and the gradients of all operands; `final`: the final states too have a gradient."""
    inputs = draw(case)
    operands = {name: x.to(dtype).requires_grad_() for name, x in inputs.operands.items()}
    y, states = getattr(backend, f"wkv{case.version}")(*operands.values(), inputs.offsets)
    loss = (y * inputs.dy.to(dtype)).sum()
    if final:
        loss = loss + (states * inputs.dfinal.to(dtype)).sum()
    gradients = torch.autograd.grad(loss, list(operands.values()))
    found = {f"d{name}": gradient for name, gradient in zip(operands, gradients, strict=True)}
    return {"y": y.detach(), "final": states.detach(), **found}


@functools.cache
def truth(case: Case, final: bool = True) -> dict[str, Tensor]:
    """The formula in float64 under autograd."""
    return results(reference, case, torch.float64, final)


def errors(found: dict[str, Tensor], right: dict[str, Tensor]) -> dict[str, float]:
    """Relative Frobenius norms of the differences; where nothing is expected, the norm itself."""
    assert found.keys() == right.keys()
    return {
        name: float((found[name].double() - x).norm() / (x.norm() if x.norm() > 0 else 1)) for name, x in right.items()
    }
