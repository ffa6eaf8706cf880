"""
Matrix products in float32 on processors, by oneDNN where torch has it.

torch gives float32 products to MKL, which runs at half speed on processors of other makers than its own; oneDNN,
which torch carries as well, does not.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["product"]


def product(x: Tensor, w: Tensor) -> Tensor:
    """x w^T; x: (rows, in), w: (out, in), of any strides."""
    if x.dtype != torch.float32 or x.device.type != "cpu" or not _has_onednn():
        return F.linear(x, w)
    found: Tensor = _Product.apply(x, w)
    return found


@cache
def _has_onednn() -> bool:
    return (
        torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    )


def _multiply(x: Tensor, w: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], "")
    return found


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return _multiply(x, w)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, w = ctx.saved_tensors
        needs_x, needs_w = ctx.needs_input_grad
        return (_multiply(grad, w.T) if needs_x else None, _over_rows(grad, x) if needs_w else None)


def _over_rows(a: Tensor, b: Tensor) -> Tensor:
    """a^T b, both (rows, columns).  oneDNN turns its first operand over, so that is the narrower one."""
    return _multiply(a.T, b.T) if a.shape[1] <= b.shape[1] else _multiply(b.T, a.T).T
