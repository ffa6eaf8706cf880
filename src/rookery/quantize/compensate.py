"""
Error-compensated rounding: what one block of columns gets wrong, the columns after it make up for.

With inputs of second moments H = mean x xT, an error matrix E of the weights costs trace(E H ET) = |E M|^2, where M is
upper triangular and M MT = H.  Blocks of columns are encoded from left to right.  With the errors before block b
given, and those behind it still free, its best error is -E_before M_before,b inv(M_bb): so much is added to what is
encoded.  What remains costs |. M_bb|^2; the diagonal of M_bb M_bbT is the importance given to the search.
(Optimal Brain Surgeon, Hassibi and Stork 1993, by blocks of columns, without inverting H.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rookery.quant import WeightFormat, encode_rows

__all__ = ["Block", "Compensation", "Panels", "encode_compensated"]

# The second moments of a matrix's inputs: square blocks along the diagonal, for runs of columns one after another.
Panels = list[np.ndarray]

DAMPING = 0.01  # of the mean square, added to the diagonal: one text is not all texts


@dataclass(frozen=True, slots=True)
class Block:
    """A block of columns: the importance of each, and how the errors of those before it in the panel pull at them."""

    columns: slice
    before: slice
    importance: np.ndarray
    pull: np.ndarray


class Compensation:
    """The blocks of a matrix in order; made once, used for any rows of it."""

    def __init__(self, panels: Panels, block: int) -> None:
        self.blocks: list[Block] = []
        start = 0
        for panel in panels:
            self.blocks += _blocks(panel, start, block)
            start += len(panel)


def encode_compensated(kind: WeightFormat, rows: np.ndarray, plan: Compensation, threads: int = 1) -> np.ndarray:
    """Rows of a matrix, float32 (rows, columns), in a block format: uint8 (rows, bytes per row)."""
    errors = np.zeros(rows.shape, np.float32)
    heads = _heads(kind, rows, plan, threads) if kind.head else None
    stored = [] if heads is None else [heads]
    for block in plan.blocks:
        wanted = rows[:, block.columns] - errors[:, block.before] @ block.pull
        piece = encode_rows(kind, wanted, block.importance, threads, heads)
        errors[:, block.columns] = kind.decode(piece) - rows[:, block.columns]
        stored.append(piece[:, kind.head :])
    return np.concatenate(stored, axis=1)


def _heads(kind: WeightFormat, rows: np.ndarray, plan: Compensation, threads: int) -> np.ndarray:
    """The scales of whole rows, which no block of columns can choose alone: those that suit the rows as they are."""
    importance = np.concatenate([block.importance for block in plan.blocks])
    return np.ascontiguousarray(encode_rows(kind, rows, importance, threads)[:, : kind.head])


def _blocks(panel: np.ndarray, start: int, block: int) -> list[Block]:
    upper = _factor(panel)
    found = []
    for at in range(0, len(panel), block):
        here = slice(at, at + block)
        importance = np.square(upper[here, here]).sum(axis=1).astype(np.float32)
        pull = (upper[:at, here] @ np.linalg.inv(upper[here, here])).astype(np.float32)
        found.append(Block(slice(start + at, start + at + block), slice(start, start + at), importance, pull))
    return found


def _factor(panel: np.ndarray) -> np.ndarray:
    """M, upper triangular, with M MT = the damped panel: a Cholesky factor from the last column backwards."""
    h = panel.astype(np.float64)
    mean = float(np.trace(h)) / len(h)
    h[np.diag_indices(len(h))] += DAMPING * mean if mean > 0 else 1.0
    upper: np.ndarray = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1]
    return upper
