"""
Any length, exactly: a batch larger than what memory holds is trained in passes, with the true gradient.

One forward over all passes keeps nothing but the states at their borders.  Then the passes are taken from the last to
the first, each computed again from its states and run backwards; what the states it began with are to blame for is
handed to the pass before, as the gradient of the states that it ended with.  That costs one more forward, and the
memory hardly depends on the length.  `truncate` does what is usual elsewhere, for comparison: gradients end at the
borders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch

from rookery.errors import SettingsError
from rookery.train import parallel
from rookery.train.data import Batch
from rookery.train.model import State, TrainedModel
from rookery.train.passes import Pass, Piece, borders
from rookery.train.transformer import Transformer

__all__ = ["Loss", "backward", "evaluate"]


Model = TrainedModel | Transformer  # the latter only in one pass: it has no state of one size
Loss = Callable[[torch.Tensor, Batch], torch.Tensor]  # of what the head reads, (rows, width); a scalar

# What a process computes while others still have a pass to do: it counts for nothing, and keeps them company.
IDLE = Batch(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.float32), [1])


def backward(model: Model, loss: Loss, batch: Batch, plan: Sequence[Pass], truncate: bool = False) -> float:
    """Add the gradients of the sum of `loss` over all rows of the batch to the parameters; that sum.

    plan: of `passes`.  Processes that train together call it together; their plans may differ.
    """
    plan = [*plan, *_idle(len(plan))]
    if truncate:
        return _along(model, loss, batch, plan, learn=True)
    store = _Store(model, borders(plan))
    _fill(store, model, batch, plan)
    return sum(_back(store, model, loss, batch, pieces) for pieces in reversed(plan))


@torch.no_grad()
def evaluate(model: Model, loss: Loss, batch: Batch, plan: Sequence[Pass]) -> float:
    """The sum of `loss` over all rows of the batch."""
    return _along(model, loss, batch, [*plan, *_idle(len(plan))], learn=False)


class _Store:
    """The states at the borders, in one buffer for each field of the state, allocated once: lists of small tensors
    would leave the heap in pieces.

    On the way back a state makes place for its gradient as soon as it has been used.
    """

    def __init__(self, model: Model, count: int) -> None:
        self._fields: list[State] = []
        if count == 0:
            return
        if not isinstance(model, TrainedModel):
            raise SettingsError("segment: only RWKV has states to hand on; leave it out for a control")
        like = next(model.parameters())
        self._fields = [
            _three(torch.empty(count, *f.shape, dtype=like.dtype, device=like.device) for f in vars(layer).values())
            for layer in model.layout.layers
        ]

    def read(self, numbers: list[int]) -> list[State]:
        """Copies of what is kept for these borders; nothing for none."""
        return _picked(self._fields, numbers)

    @torch.no_grad()
    def write(self, numbers: list[int], states: Iterable[Iterable[torch.Tensor | None]]) -> None:
        """Keep something of the shape of states; None stands for zeros."""
        if not numbers:
            return
        for fields, values in zip(self._fields, states, strict=True):
            for field, value in zip(fields, values, strict=True):
                field[numbers] = field.new_zeros(()) if value is None else value


def _along(model: Model, loss: Loss, batch: Batch, plan: Sequence[Pass], learn: bool) -> float:
    """From the first pass to the last, states handed on without gradients."""
    total, store = 0.0, _Store(model, borders(plan))
    for pieces in plan:
        rows = _rows(batch, pieces)
        hidden, after = _forward(model, rows, store.read(_befores(pieces)))
        value = loss(hidden, rows)
        if learn:
            value.backward()
        total += value.item()
        where, numbers = _afters(pieces)
        store.write(numbers, _picked(after, where))
    return total


@torch.no_grad()
def _fill(store: _Store, model: Model, batch: Batch, plan: Sequence[Pass]) -> None:
    """Compute the states at all borders; pieces that end their documents are not needed for that."""
    leaving = [[piece for piece in pieces if piece.after is not None] for pieces in plan]
    needed = [pieces for pieces in leaving if pieces]
    for pieces in [*needed, *_idle(len(needed))]:
        _, after = _forward(model, _rows(batch, pieces), store.read(_befores(pieces)))
        store.write(_afters(pieces)[1], after)


def _back(store: _Store, model: Model, loss: Loss, batch: Batch, pieces: Pass) -> float:
    """One pass forward again and back: gradients to the parameters, and to the states that it began with."""
    rows, begun = _rows(batch, pieces), _befores(pieces)
    states = store.read(begun)
    for fields in states:
        for field in fields:
            field.requires_grad_()
    hidden, after = _forward(model, rows, states)
    value = loss(hidden, rows)
    where, numbers = _afters(pieces)
    roots, gradients = [value], [torch.ones_like(value)]
    for fields, theirs in zip(_picked(after, where), store.read(numbers), strict=True):
        for field, gradient in zip(fields, theirs, strict=True):
            if field.requires_grad:
                roots.append(field)
                gradients.append(gradient)
    torch.autograd.backward(roots, gradients)
    store.write(begun, [[field.grad for field in fields] for fields in states])
    return value.item()


def _forward(model: Model, rows: Batch, states: list[State]) -> tuple[torch.Tensor, list[State]]:
    tokens = torch.as_tensor(rows.tokens, dtype=torch.int64, device=next(model.parameters()).device)
    found: tuple[torch.Tensor, list[State]] = model(tokens, rows.lengths, states or None)
    return found


def _rows(batch: Batch, pieces: Pass) -> Batch:
    if not pieces:
        return IDLE
    where = np.concatenate([np.arange(piece.start, piece.stop) for piece in pieces])
    lengths = [piece.stop - piece.start for piece in pieces]
    return Batch(batch.tokens[where], batch.targets[where], batch.weights[where], lengths)


def _befores(pieces: Pass) -> list[int]:
    return [piece.before for piece in pieces if piece.before is not None]


def _afters(pieces: Pass) -> tuple[list[int], list[int]]:
    """Which of the pieces leave a state, and the numbers of their borders."""
    found = [(i, piece.after) for i, piece in enumerate(pieces) if piece.after is not None]
    return [i for i, _ in found], [number for _, number in found]


def _picked(states: list[State], where: list[int]) -> list[State]:
    """Some segments' states; nothing for none."""
    return [] if not where else [_three(field[where] for field in fields) for fields in states]


def _three(fields: Iterable[Any]) -> State:
    a, b, c = islice(fields, 3)
    return a, b, c


def _idle(mine: int) -> list[list[Piece]]:
    """Empty passes, as many as others have more than this process."""
    return [[] for _ in range(parallel.most(mine) - mine)]
