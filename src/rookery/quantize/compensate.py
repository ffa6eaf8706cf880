"""
Error-compensated rounding: what one block of columns gets wrong, the columns after it make up for.

With inputs of second moments H = mean x xT, an error matrix E of the weights costs trace(E H ET).  Blocks of columns
are encoded from left to right; after each, the columns that are still free take the change that lowers the cost most.
With U upper triangular and UT U the inverse of H, that change is E_b inv(U_bb) U_b,rest, and what remains of a
block's own cost is E_b inv(U_bb) inv(U_bb)T E_bT.  Its diagonal is the importance given to the search.
(Optimal Brain Surgeon, Hassibi and Stork 1993, by blocks of columns.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rookery.quant import WeightFormat, encode_rows

__all__ = ["Compensation", "Panels", "encode_compensated"]

# The second moments of a matrix's inputs: square blocks along the diagonal, for runs of columns one after another.
Panels = list[np.ndarray]

DAMPING = 0.01  # of the mean square, added to the diagonal: one text is not all texts


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of columns: importance of each, and how its error moves the rest of its panel."""

    columns: slice
    rest: slice
    importance: np.ndarray
    spread: np.ndarray


class Compensation:
    """The blocks of a matrix in order; made once, used for any rows of it."""

    def __init__(self, panels: Panels, block: int) -> None:
        self.blocks: list[_Block] = []
        start = 0
        for panel in panels:
            self.blocks += _blocks(panel, start, block)
            start += len(panel)


def encode_compensated(kind: WeightFormat, rows: np.ndarray, plan: Compensation, threads: int = 1) -> np.ndarray:
    """Rows of a matrix, float32 (rows, columns), in a block format: uint8 (rows, bytes per row)."""
    free = np.array(rows, np.float32)
    stored = []
    for block in plan.blocks:
        wanted = np.ascontiguousarray(free[:, block.columns])
        stored.append(encode_rows(kind, wanted, block.importance, threads))
        if block.spread.shape[1]:
            free[:, block.rest] -= (wanted - kind.decode(stored[-1])) @ block.spread
    return np.concatenate(stored, axis=1)


def _blocks(panel: np.ndarray, start: int, block: int) -> list[_Block]:
    upper = _factor(panel)
    found = []
    for at in range(0, len(panel), block):
        here, rest = slice(at, at + block), slice(at + block, len(panel))
        inverse = np.linalg.inv(upper[here, here])
        importance = np.square(inverse).sum(axis=1).astype(np.float32)
        spread = (inverse @ upper[here, rest]).astype(np.float32)
        found.append(_Block(_moved(here, start), _moved(rest, start), importance, spread))
    return found


def _factor(panel: np.ndarray) -> np.ndarray:
    """U with UT U = inverse of the damped panel."""
    h = panel.astype(np.float64)
    mean = float(np.trace(h)) / len(h)
    h[np.diag_indices(len(h))] += DAMPING * mean if mean > 0 else 1.0
    inverse = np.linalg.inv(h)
    upper: np.ndarray = np.linalg.cholesky((inverse + inverse.T) / 2).T
    return upper


def _moved(columns: slice, by: int) -> slice:
    return slice(columns.start + by, columns.stop + by)
