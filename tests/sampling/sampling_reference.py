"""
Sampling as docs/sampling.md states it, in float64, with full sorts: slow and obviously right.

`settings` is a rookery.Sampler; only its values are read.
"""

from __future__ import annotations

import numpy as np

from rookery.sampling import Sampler


class Reference:
    """The history of one request, as plain lists."""

    def __init__(self, settings: Sampler, penalty_free: tuple[int, ...] = ()) -> None:
        self.settings = settings
        self.penalty_free = penalty_free
        self.occurrences: dict[int, float] = {}
        self.history: list[int] = []

    def accept(self, token: int) -> None:
        for n in self.occurrences:
            self.occurrences[n] *= self.settings.penalty_decay
        weight = 0.0 if token in self.penalty_free else 1.0
        self.occurrences[token] = self.occurrences.get(token, 0.0) + weight
        self.history.append(token)

    def distribution(self, logits: np.ndarray, allowed: set[int] | None = None) -> np.ndarray:
        s = self.settings
        x = self.adjust(logits, allowed)
        if s.temperature == 0 or s.top_p == 0:
            return np.eye(len(x))[np.argmax(x)]
        return rwkv(x, s) if s.order == "rwkv" else usual(x, s)

    def adjust(self, logits: np.ndarray, allowed: set[int] | None) -> np.ndarray:
        s, x = self.settings, logits.astype(np.float64)
        for token, bias in s.logit_bias.items():
            x[token] += bias
        for token in set(self.history[-s.repeat_last_n :] if s.repeat_last_n else []):
            x[token] = x[token] / s.repetition_penalty if x[token] > 0 else x[token] * s.repetition_penalty
        for token, count in self.occurrences.items():
            x[token] -= s.presence_penalty + count * s.frequency_penalty
        x[list(s.ban)] = -np.inf
        if allowed is not None:
            x[[i for i in range(len(x)) if i not in allowed]] = -np.inf
        return x


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


def rwkv(x: np.ndarray, s: Sampler) -> np.ndarray:
    p = softmax(x)
    for keep in (top_p(p, s.top_p), top_k(p, s.top_k), min_p(p, s.min_p)):
        p = np.where(keep, p, 0)
    p = np.where(typical(p / p.sum(), s.typical_p), p, 0)
    p = np.where(p > 0, (p / p.max()) ** (1 / s.temperature), 0)
    return p / p.sum()


def usual(x: np.ndarray, s: Sampler) -> np.ndarray:
    p = softmax(x / s.temperature)
    for rule, value in ((top_k, s.top_k), (typical, s.typical_p), (top_p, s.top_p), (min_p, s.min_p)):
        p = np.where(rule(p, value), p, 0)
        p /= p.sum()
    return p


def top_p(p: np.ndarray, mass: float) -> np.ndarray:
    if mass >= 1:
        return p > 0
    descending = np.sort(p)[::-1]
    reached = np.cumsum(descending) >= mass * (1 - 1e-12)
    return p >= descending[np.argmax(reached)]


def top_k(p: np.ndarray, k: int) -> np.ndarray:
    if k == 0:
        return p > 0
    best = sorted(range(len(p)), key=lambda i: (-p[i], i))[:k]
    return np.isin(np.arange(len(p)), best) & (p > 0)


def min_p(p: np.ndarray, fraction: float) -> np.ndarray:
    return (p >= fraction * p.max()) & (p > 0)


def typical(p: np.ndarray, mass: float) -> np.ndarray:
    if mass >= 1:
        return p > 0
    with np.errstate(divide="ignore"):
        information = -np.log(p)
    entropy = np.sum(p[p > 0] * information[p > 0])
    distance = np.abs(information - entropy)
    ascending = np.argsort(distance, kind="stable")
    last = ascending[np.argmax(np.cumsum(p[ascending]) >= mass)]
    return (distance <= distance[last] + 1e-9) & (p > 0)
