"""
Random matrices with orthogonal rows or columns, evenly distributed over all of them.
"""

from __future__ import annotations

import numpy as np

__all__ = ["orthogonal"]


def orthogonal(random: np.random.Generator, rows: int, columns: int, gain: float) -> np.ndarray:
    """A (rows, columns) float32 matrix M with M M' = gain^2 I, or M' M = gain^2 I if it is tall.

    It is the factor Q of a Gaussian matrix, R's diagonal positive, which makes Q unique and its distribution even.
    A matrix at least twice as long as wide is so well conditioned that Q = A chol(A'A)^-T loses nothing in float32,
    and that takes a seventh of the time of Householder's reflections (65536 x 768: 0.8 s, not 6.3 s).
    """
    tall = random.standard_normal((max(rows, columns), min(rows, columns)), np.float32)
    q = _cholesky(tall) if tall.shape[0] >= 2 * tall.shape[1] else _householder(tall)
    q *= np.float32(gain)
    return q if rows >= columns else np.ascontiguousarray(q.T)


def _cholesky(tall: np.ndarray) -> np.ndarray:
    gram = (tall.T @ tall).astype(np.float64)
    lower = np.linalg.cholesky(gram)
    result: np.ndarray = tall @ np.linalg.inv(lower).T.astype(np.float32)
    return result


def _householder(tall: np.ndarray) -> np.ndarray:
    q, r = np.linalg.qr(tall)
    signs = np.where(np.diagonal(r) < 0, np.float32(-1), np.float32(1))
    result: np.ndarray = q * signs
    return result
