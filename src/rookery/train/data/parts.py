"""Which stretches of the tokens are trained on, and which are held out to validate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from rookery.errors import SettingsError
from rookery.train.data.order import Permutation
from rookery.train.data.tokens import Tokens

__all__ = ["Part", "split"]


@dataclass(frozen=True, eq=False)
class Part:
    """Some stretches of some tokens, each within a document.

    starts, stops: (stretches,) int64, positions in `tokens.ids`.
    ends:          (stretches,) bool, whether the document ends with the stretch.
    """

    tokens: Tokens
    starts: np.ndarray
    stops: np.ndarray
    ends: np.ndarray

    @classmethod
    def whole(cls, tokens: Tokens) -> Part:
        """Every document."""
        return cls.of(tokens, np.arange(len(tokens)))

    @classmethod
    def of(cls, tokens: Tokens, documents: np.ndarray) -> Part:
        """These documents."""
        index = tokens.documents
        return cls(tokens, index[documents], index[documents + 1], np.ones(len(documents), bool))

    @property
    def size(self) -> int:
        """Tokens."""
        return int((self.stops - self.starts).sum())

    @property
    def fingerprint(self) -> str:
        """32 hex digits: which tokens, and which of them."""
        digest = hashlib.blake2b(self.tokens.fingerprint.encode(), digest_size=16)
        for array in (self.starts, self.stops):
            digest.update(np.ascontiguousarray(array, "<i8").tobytes())
        return digest.hexdigest()


def split(tokens: Tokens, held_out: float, seed: int = 0) -> tuple[Part, Part | None]:
    """What to train on, and what to hold out: about that fraction of the documents, drawn by the seed.

    held_out: in [0, 1); with 0 nothing is held out.  A single document gives its last part.
    SettingsError where nothing would be left on one side.
    """
    if not 0 <= held_out < 1:
        raise SettingsError(f"held_out is {held_out}, expected a fraction of the documents, from 0 to below 1")
    if held_out == 0:
        return Part.whole(tokens), None
    if len(tokens) == 1:
        return _cut(tokens, held_out)
    count = min(len(tokens) - 1, max(1, round(len(tokens) * held_out)))
    order = Permutation(len(tokens), "held out", seed)(np.arange(len(tokens)))
    return Part.of(tokens, np.sort(order[count:])), Part.of(tokens, np.sort(order[:count]))


def _cut(tokens: Tokens, held_out: float) -> tuple[Part, Part]:
    size = len(tokens.ids)
    at = size - max(2, round(size * held_out))
    if at < 2:
        raise SettingsError(f"held_out is {held_out}, but the only document has {size} tokens; give more data, or 0")
    ends = np.array([True])
    first = Part(tokens, np.array([0]), np.array([at]), ~ends)
    return first, Part(tokens, np.array([at]), np.array([size]), ends)
