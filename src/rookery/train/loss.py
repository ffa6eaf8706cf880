"""
The head and the cross-entropy in one, a few rows at a time, so that the logits of a batch never exist at once.

The gradient is computed on the way forward, while the logits are at hand: it is softmax minus target, and every chunk
adds its share to the gradients of the head and of what it reads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from rookery import _native
from rookery.ops.fused.product import product
from rookery.ops.tables import table

__all__ = ["cross_entropy"]

ROWS = 512  # at once: 128 MiB of logits for a vocabulary of 65536


def cross_entropy(
    hidden: torch.Tensor,
    head: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    flatten: float = 0.0,
    half: torch.dtype | None = None,
) -> torch.Tensor:
    """The sum over rows of weight * -log softmax(hidden head^T)[target], in nats; a scalar float32.

    hidden:  (rows, width).  head: (vocab, width).  targets: int64 (rows,).  weights: (rows,), 0 for rows that are no
             targets.
    flatten: L2Wrap: adds flatten * weight * (largest logit) to the gradient of each row's largest logit, which keeps
             logits from drifting; it adds nothing to the loss.  The official trainer uses 1e-4.
    half:    what the products are computed in.
    """
    loss: torch.Tensor = _CrossEntropy.apply(hidden, head, targets, weights, (flatten, half))
    return loss


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Any, head: Any, targets: Any, weights: Any, settings: Any) -> torch.Tensor:
        flatten, half = settings
        needs_hidden, needs_head = ctx.needs_input_grad[:2]
        matrix = head if half is None else head.to(half)
        grad_hidden = torch.empty_like(hidden) if needs_hidden else None
        grad_head = torch.zeros_like(head) if needs_head else None
        loss = hidden.new_zeros(())
        for some in torch.arange(len(hidden)).split(ROWS):
            rows = slice(int(some[0]), int(some[-1]) + 1)
            x = hidden[rows].to(matrix.dtype)
            part, grad = _chunk(product(x, matrix), targets[rows], weights[rows], flatten)
            loss += part
            grad = grad.to(matrix.dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = product(grad, matrix.T)
            if grad_head is not None:
                grad_head += product(grad.T, x.T)
        ctx.save_for_backward(grad_hidden, grad_head)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        return *(None if g is None else g * grad for g in ctx.saved_tensors), None, None, None


def _chunk(logits: torch.Tensor, targets: Any, weights: Any, flatten: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The weighted loss of some rows, and its gradient with respect to their logits, which takes their place."""
    if logits.device.type == "cpu" and logits.dtype in (torch.float32, torch.bfloat16):
        loss = _native.cross_entropy(table(), torch.get_num_threads(), logits, targets, weights.float(), flatten)
        return logits.new_tensor(loss, dtype=torch.float32), logits
    logits = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    top, place = logits.max(-1)
    log_p = torch.log_softmax(logits, -1)
    picked = log_p.gather(-1, targets[:, None]).squeeze(-1)
    grad = log_p.exp_()
    grad.scatter_add_(-1, targets[:, None], grad.new_full((len(targets), 1), -1.0))
    if flatten:
        grad.scatter_add_(-1, place[:, None], (flatten * top)[:, None])
    return -(picked * weights).sum(), grad.mul_(weights[:, None])
