"""
Vectors for texts.

A language model was not trained for this: its vectors tell style, language and topic well, fine differences of
meaning badly.  docs/embeddings.md says which vector is for what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rookery.errors import NumericError, SettingsError

if TYPE_CHECKING:
    from rookery.model import Model
    from rookery.state import State

__all__ = ["POOLS", "embed"]

POOLS = ("mean", "last", "state")
TEXTS, ROWS = 32, 256  # in a call at most


@dataclass(slots=True)
class _Reading:
    """A text on its way: what is left to read, its state, the sum or the last of its hidden vectors."""

    index: int
    rest: np.ndarray
    data: np.ndarray
    length: int
    vector: np.ndarray = field(default_factory=lambda: np.zeros(0))


def embed(
    model: Model,
    texts: Sequence[str | Sequence[int]],
    *,
    pool: str = "mean",
    normalise: bool = True,
    state: State | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """One vector for each text.

    texts: texts or lists of token ids, none of them empty; read together in ragged batches, which changes no bit.
    pool:  "mean": the mean over all tokens of what the head would read (the last layer norm's output);
           "last": that of the last token alone; "state": the WKV memory of the last block after the text.
    normalise: to length 1, so that the dot product of two vectors is their cosine.
    state: what the model has read before each text, such as an instruction; the initial state if None.
    progress: called with (texts done, texts in all).

    Returns float32 (texts, width), for "state" (texts, numbers in a block's memory).
    """
    if isinstance(texts, str | bytes):
        raise SettingsError("texts is one text, expected a list of them")
    if pool not in POOLS:
        raise SettingsError(f"pool={pool!r}: expected one of {', '.join(POOLS)}")
    start = model.check_state(state).data
    waiting = [_reading(model, i, text, start) for i, text in enumerate(texts)]
    vectors = np.empty((len(waiting), _size(model, pool)), np.float32)
    active: list[_Reading] = []
    waiting.reverse()
    while waiting or active:
        while waiting and len(active) < TEXTS:
            active.append(waiting.pop())
        _step(model, active, pool)
        for done in (r for r in active if not r.rest.size):
            vectors[done.index] = _unit(_pooled(model, done, pool), normalise)
        active = [r for r in active if r.rest.size]
        if progress:
            progress(len(vectors) - len(waiting) - len(active), len(vectors))
    return vectors


def _reading(model: Model, index: int, text: str | Sequence[int], start: np.ndarray) -> _Reading:
    ids = model.tokenizer.encode(text) if isinstance(text, str) else text
    if not len(ids):
        raise SettingsError(f"text {index} is empty; a vector needs at least one token")
    tokens = model.check_tokens(ids)
    return _Reading(index, tokens, start, len(tokens))


def _step(model: Model, active: list[_Reading], pool: str) -> None:
    """One call: each text reads on, as far as the rows allow."""
    share = max(1, ROWS // len(active))
    parts = [r.rest[:share] for r in active]
    wanted, row = [], 0
    for r, part in zip(active, parts, strict=True):
        if r.length == r.rest.size:
            r.data = r.data.copy()  # the texts share the state they start from
        first = 0 if pool == "mean" else len(part) - (pool == "last" and len(part) == r.rest.size)
        wanted.append(np.arange(row + first, row + len(part), dtype=np.int32))
        row += len(part)
    hidden = model.executor.hidden(
        np.concatenate(parts), [len(p) for p in parts], [r.data for r in active], np.concatenate(wanted)
    )
    for r, part, rows in zip(active, parts, np.split(hidden, np.cumsum([len(w) for w in wanted])[:-1]), strict=True):
        r.rest = r.rest[len(part) :]
        for vector in rows:  # one by one: the sum must not depend on how the text was cut
            r.vector = vector.astype(np.float64) + (r.vector if r.vector.size else 0)


def _pooled(model: Model, done: _Reading, pool: str) -> np.ndarray:
    vector = model.layout.layers[-1].wkv.of(done.data).reshape(-1) if pool == "state" else done.vector
    if not np.isfinite(vector).all():
        raise NumericError(f"the vector of text {done.index} holds NaN or infinity")
    return vector / done.length if pool == "mean" else vector.astype(np.float64)


def _unit(vector: np.ndarray, normalise: bool) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12) if normalise else vector


def _size(model: Model, pool: str) -> int:
    return model.layout.layers[-1].wkv.size if pool == "state" else model.config.width
