"""
What quantising cost: a model beside its source on the same text.

Both read the text in pieces, so memory does not depend on its length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rookery.errors import NumericError, SettingsError

if TYPE_CHECKING:
    from rookery.model import Model

__all__ = ["Quality", "compare"]

_ROWS = 32  # rows of logits in memory at a time


@dataclass(frozen=True, slots=True)
class Quality:
    """How far a model's predictions are from its source's.

    tokens:    predictions compared.
    kl_mean, kl_p99: KL divergence from source to model in nats per token: its mean and 99th percentile.
    perplexity, source_perplexity: of the text.
    agreement: share of tokens where both find the same token likeliest.
    """

    tokens: int
    kl_mean: float
    kl_p99: float
    perplexity: float
    source_perplexity: float
    agreement: float


def compare(
    source: Model, model: Model, tokens: Sequence[int], progress: Callable[[int, int], None] | None = None
) -> Quality:
    """Read tokens with both models; every token but the first is predicted.

    SettingsError for less than two tokens, NumericError where logits are NaN or infinite.
    """
    ids = source.check_tokens(tokens)
    if len(ids) < 2:
        raise SettingsError("the text to measure with has no token to predict; give a longer one")
    found: list[np.ndarray] = []
    states = [source.initial, model.initial]
    for at in range(0, len(ids) - 1, _ROWS):
        read, targets = ids[at : at + _ROWS][: len(ids) - 1 - at], ids[at + 1 : at + 1 + _ROWS]
        logs = []
        for i, each in enumerate((source, model)):
            logits, states[i] = each.forward(read, states[i], full=True)
            logs.append(_log_probabilities(logits, at))
        found.append(_rows(logs[0], logs[1], targets))
        if progress:
            progress(at + len(read), len(ids) - 1)
    return _summary(np.concatenate(found))


def _log_probabilities(logits: np.ndarray, at: int) -> np.ndarray:
    rows = logits.astype(np.float64)
    if not np.isfinite(rows).all():
        raise NumericError(f"logits after token {at} hold NaN or infinity; the weights do not survive this recipe")
    rows -= rows.max(axis=1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(axis=1, keepdims=True))
    return rows


def _rows(p: np.ndarray, q: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(rows, 4): KL divergence, nats of source and of model, agreement."""
    here = np.arange(len(p))
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    same = p.argmax(axis=1) == q.argmax(axis=1)
    return np.stack([kl, -p[here, targets], -q[here, targets], same], axis=1)


def _summary(rows: np.ndarray) -> Quality:
    kl, source, model, same = rows.T
    return Quality(
        tokens=len(rows),
        kl_mean=float(kl.mean()),
        kl_p99=float(np.quantile(kl, 0.99)),
        perplexity=_exp(float(model.mean())),
        source_perplexity=_exp(float(source.mean())),
        agreement=float(same.mean()),
    )


def _exp(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
