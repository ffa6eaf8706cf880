"""
Small permutation groups, for word problems: what is the product of the elements so far?

A5 is the smallest group that is not solvable: its word problem is complete for NC1, which fixed-depth Transformers and
models with a diagonal state are believed unable to solve at every length (Merrill et al., arXiv:2404.08819).
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

__all__ = ["alternating", "products", "symmetric"]


def symmetric(n: int) -> np.ndarray:
    """Every permutation of n things, int64 (n!, n), the identity first."""
    return np.array(list(permutations(range(n))))


def alternating(n: int) -> np.ndarray:
    """The even ones."""
    every = symmetric(n)
    inversions = sum((every[:, i] > every[:, j]) for i in range(n) for j in range(i + 1, n))
    return every[inversions % 2 == 0]


def products(elements: np.ndarray) -> np.ndarray:
    """table[x, s]: which element it is to do s and then x."""
    places = {tuple(element): i for i, element in enumerate(elements.tolist())}
    return np.array([[places[tuple(x[s])] for s in elements] for x in elements])
