"""
What the kernels are tried on, and how far they are from the formulas in float64 on the same numbers.

    TRITON_INTERPRET=1 ROOKERY_WKV=triton python kernel_cases.py    prints it as JSON, by case and quantity
    python kernel_cases.py cuda                                     on a GPU

A process of its own, since triton decides when it is imported whether it compiles or interprets.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from rookery.ops import wkv
from rookery.ops.wkv import reference

__all__ = ["CASES", "Case"]

LOWEST = math.exp(-math.exp(-0.5))  # RWKV-7's smallest decay


@dataclass(frozen=True)
class Case:
    """lengths: of segments.  kind: what is special about the numbers.  half: the type of rows.  precision: torch's."""

    op: str
    lengths: tuple[int, ...]
    kind: str = "random"
    heads: int = 2
    lanes: int = 16
    half: str = ""
    precision: str = "highest"

    def __str__(self) -> str:
        lengths = ",".join(map(str, self.lengths))
        return f"{self.op}-{self.kind}-{self.heads}x{self.lanes}-{lengths}-{self.half or 'float32'}-{self.precision}"

    @property
    def bound(self) -> float:
        """Of the relative error: products of 8 bits, rows of 8 or 11, products of 11 (on a GPU), float32 in chunks."""
        if self.precision == "medium":
            return 2.5e-2
        if self.half:
            return 1e-2
        return 5e-3 if self.precision == "high" else 5e-6


LENGTHS = ((1,), (2,), (31,), (64,), (65,))
SEVERAL = (5, 1, 0, 33, 16)
CASES = [
    *(Case("wkv7", lengths, heads=1) for lengths in LENGTHS),
    *(Case("wkv7", SEVERAL, kind) for kind in ("random", "repeated", "lowest", "lasting", "silent")),
    Case("wkv7", (65,), "repeated lowest", heads=1),
    Case("wkv7", (64,), "repeated lasting", heads=1),
    Case("wkv7", (33, 2), heads=1, lanes=64),
    Case("wkv7", (18,), heads=1, lanes=128),
    Case("wkv7", (40,), heads=1, half="bfloat16"),
    Case("wkv7", (40,), heads=1, half="float16"),
    Case("wkv7", (40, 3), heads=1, precision="medium"),
    Case("wkv7", (40, 3), heads=1, precision="high"),
    *(Case("wkv6", lengths, heads=1) for lengths in LENGTHS),
    *(Case("wkv6", SEVERAL, kind) for kind in ("random", "forgetful")),
    Case("wkv6", (9,), heads=1, lanes=64),
    Case("wkv6", (20,), heads=1, half="bfloat16"),
    *(Case("wkv4", lengths, heads=1) for lengths in LENGTHS),
    *(Case("wkv4", SEVERAL, kind, lanes=50) for kind in ("random", "equal")),
    Case("wkv4", (20,), heads=1, half="bfloat16"),
]


def errors(case: Case, device: str) -> dict[str, float]:
    """The relative error (Frobenius) of outputs, final states and every gradient."""
    torch.set_float32_matmul_precision(case.precision)
    operands = {name: x.to(device) for name, x in _operands(case).items()}
    offsets = torch.tensor([0, *case.lengths]).cumsum(0)
    exact = {name: x.double() for name, x in operands.items()}
    pull = torch.Generator().manual_seed(7)
    found = _run(getattr(wkv.BACKENDS["triton"], case.op), operands, offsets, pull)
    pull.manual_seed(7)
    wanted = _run(getattr(reference, case.op), exact, offsets, pull)
    return {name: _distance(found[name], wanted[name]) for name in wanted}


def _run(op, operands, offsets, pull) -> dict[str, torch.Tensor]:
    given = {name: x.detach().requires_grad_() for name, x in operands.items()}
    y, final = op(*given.values(), offsets)
    gradients = torch.autograd.grad(
        (y, final), list(given.values()), [torch.randn(x.shape, generator=pull).to(x) for x in (y, final)]
    )
    return {"y": y, "final": final, **dict(zip((f"d{name}" for name in given), gradients, strict=True))}


def _distance(got: torch.Tensor, want: torch.Tensor) -> float:
    return ((got.detach().double() - want.detach()).norm() / want.detach().norm().clamp_min(1e-3)).item()


def _operands(case: Case) -> dict[str, torch.Tensor]:
    """In the order of the op's arguments."""
    rng = torch.Generator().manual_seed(len(case.lengths) + sum(case.lengths))
    rows, width = sum(case.lengths), case.heads * case.lanes
    r, k, v, z, x = (torch.randn(rows, width, generator=rng) for _ in range(5))
    state = torch.randn(len(case.lengths), case.heads, case.lanes, case.lanes, generator=rng)
    if case.op == "wkv4":
        found = _of_4(case, k, v, rng)
    elif case.op == "wkv6":
        w = torch.exp(-torch.exp(z + (4 if case.kind == "forgetful" else -1)))  # some of the forgetful ones are 0
        found = {"r": r, "w": w, "k": k, "v": v, "u": torch.randn(width, generator=rng), "state": state}
    else:
        found = _of_7(case, {"r": r, "w": z, "k": k, "v": v, "a": x, "state": state}, rng)
    rounded = ("r", "k", "v", "a", "b")
    return {name: x.to(getattr(torch, case.half)) if case.half and name in rounded else x for name, x in found.items()}


def _of_7(case: Case, x: dict[str, torch.Tensor], rng: torch.Generator) -> dict[str, torch.Tensor]:
    w = torch.exp(-math.exp(-0.5) * torch.sigmoid(2 * x["w"]))
    if "lowest" in case.kind:
        w = torch.full_like(w, LOWEST)
    if "lasting" in case.kind:
        w = 1 - 2.0**-24 * torch.randint(0, 3, w.shape, generator=rng)  # 1, and the two float32 below it
    key = x["a"][:1].expand_as(x["a"]) if "repeated" in case.kind else x["a"]
    key = torch.nn.functional.normalize(key.unflatten(-1, (case.heads, -1)), dim=-1).flatten(-2)
    rate = torch.ones_like(key) if "repeated" in case.kind else torch.sigmoid(torch.randn(key.shape, generator=rng))
    k = torch.zeros_like(x["k"]) if case.kind == "silent" else x["k"]
    return {"r": x["r"], "w": w, "k": k, "v": x["v"], "a": -key, "b": key * rate, "state": x["state"]}


def _of_4(case: Case, k: torch.Tensor, v: torch.Tensor, rng: torch.Generator) -> dict[str, torch.Tensor]:
    width = k.shape[1]
    w, u = -torch.exp(torch.randn(width, generator=rng)), torch.randn(width, generator=rng)
    state = torch.stack([torch.randn(width, generator=rng), torch.rand(width, generator=rng) + 1, k[0]])
    state = state.repeat(len(case.lengths), 1, 1)
    if case.kind == "equal":  # logarithms that are equal share the gradient of their maximum
        w, k = torch.zeros(width), torch.zeros_like(k)
        state[:, 2] = 0
    else:
        state[0] = torch.tensor([0.0, 0.0, -1e38])[:, None]  # what a sequence begins with
    return {"w": w, "u": u, "k": k, "v": v, "state": state}


def measured(device: str) -> Iterator[tuple[str, dict[str, float]]]:
    for case in CASES:
        yield str(case), errors(case, device)


if __name__ == "__main__":
    print(json.dumps(dict(measured(sys.argv[1] if sys.argv[1:] else "cpu"))))
