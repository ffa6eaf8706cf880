"""
How well a model predicts a text.

The state runs through the whole text, so memory is the same for a page and a library, and every token is
predicted from all before it.  With `context` it starts afresh every so many tokens, as models with a window are
measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rookery.errors import NumericError, SettingsError
from rookery.generation import END_OF_TEXT

if TYPE_CHECKING:
    from rookery.model import Model

__all__ = ["Perplexity", "perplexity"]


@dataclass(frozen=True, slots=True)
class Perplexity:
    """How surprised a model was.

    tokens: tokens predicted.  bytes: their bytes.  nats: the sum of their -ln p.
    """

    tokens: int
    bytes: int
    nats: float

    @property
    def perplexity(self) -> float:
        """e to the mean nats of a token; depends on the vocabulary."""
        try:
            return math.exp(self.nats / self.tokens)
        except OverflowError:
            return math.inf

    @property
    def bits_per_byte(self) -> float:
        """Comparable between vocabularies."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan


def perplexity(
    model: Model,
    text: str | bytes | Sequence[int],
    *,
    chunk: int = 64,
    context: int | None = None,
    start_token: int | None = END_OF_TEXT,
    progress: Callable[[int, int], None] | None = None,
) -> Perplexity:
    """Measure a text.

    text:     or its token ids; at least one token to predict.
    chunk:    rows of logits in memory at a time; changes no digit of the result.
    context:  start again from the initial state every so many tokens; None never does.
    start_token: read before the text and at every new start, predicts the first token; None leaves the first
              token out.  Training separates documents by token 0.
    progress: called with (tokens done, tokens in all).
    """
    if chunk < 1:
        raise SettingsError(f"chunk is {chunk}, expected 1 or more")
    if context is not None and context < 2:
        raise SettingsError(f"context is {context}, expected 2 or more: one token is predicted from those before it")
    ids = model.tokenizer.encode(text) if isinstance(text, str | bytes) else list(text)
    lead = [] if start_token is None else [start_token]
    if len(lead) + len(ids) < 2:
        raise SettingsError("the text has no token to predict; give a longer one")
    tokens, size, nats = 0, 0, 0.0
    for span in _spans(ids, context):
        row = model.check_tokens([*lead, *span])
        for surprise in _nats(model, row, chunk):
            nats = sum(surprise, nats)
            tokens += len(surprise)
            if progress:
                progress(tokens, len(ids))
        size += len(model.tokenizer.decode_bytes(row[1:].tolist()))
    return Perplexity(tokens, size, nats)


def _spans(ids: Sequence[int], context: int | None) -> Iterator[Sequence[int]]:
    step = context or len(ids)
    return (ids[i : i + step] for i in range(0, len(ids), step))


def _nats(model: Model, ids: np.ndarray, chunk: int) -> Iterator[list[float]]:
    """-ln p of every token but the first, a chunk at a time."""
    state = None
    for at in range(0, len(ids) - 1, chunk):
        read = ids[at : at + chunk][: len(ids) - 1 - at]
        logits, state = model.forward(read, state, full=True)
        yield _surprise(logits, ids[at + 1 : at + 1 + len(read)], at)


def _surprise(logits: np.ndarray, targets: np.ndarray, at: int) -> list[float]:
    """-ln softmax(logits)[target] of each row, in float64."""
    rows = logits.astype(np.float64)
    rows -= rows.max(axis=1, keepdims=True)
    found: np.ndarray = np.log(np.exp(rows).sum(axis=1)) - rows[np.arange(len(rows)), targets]
    if not np.isfinite(found).all():
        raise NumericError(f"the logits after token {at + int(np.argmin(np.isfinite(found)))} hold NaN or infinity")
    return found.tolist()
