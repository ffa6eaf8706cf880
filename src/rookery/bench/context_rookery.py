"""Rookery for `rookery.bench.context`, in the process that `rookery.bench.peer_process` is."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from rookery.bench.context import WORDS
from rookery.bench.memory import resident_bytes
from rookery.bench.speed import load_timed, native, random_tokens
from rookery.model import Model

__all__ = ["start"]

_CHUNK = 512  # tokens handed over together; what is computed at once is less


def start(path: str, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model.  path: of any format."""
    model, _ = load_timed(path, threads)
    kinds = sorted({w.format for w in native(model).program.matrices}, key=str)
    return {"text": f"{model}, weights {' '.join(kinds)}"}, {"": _Runner(model)}


class _Runner:
    """One conversation: a longer context goes on where the shorter one was."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.state = model.initial.data.copy()
        self.words = np.asarray(random_tokens(model.config.vocab, WORDS), np.int32)
        self.read = 0
        self.seconds = 0.0

    def context(self, length: int, tokens: int) -> dict[str, float]:
        """Read as far as `length`, then generate on a copy of the state."""
        prompt = np.resize(self.words, length - self.read)
        start = time.perf_counter()
        for at in range(0, len(prompt), _CHUNK):
            self._run(prompt[at : at + _CHUNK], self.state)
        self.read, self.seconds = length, self.seconds + time.perf_counter() - start
        found = resident_bytes()
        state, token, times = self.state.copy(), 1, []
        for _ in range(tokens):
            start = time.perf_counter()
            token = int(self._run(np.asarray([token], np.int32), state).argmax())
            times.append(time.perf_counter() - start)
        resident = found.get("now", found["peak"])
        return {
            "token_s": min(times),
            "median_token_s": float(np.median(times)),
            "read_s": self.seconds,
            "resident_bytes": resident,
        }

    def _run(self, ids: np.ndarray, state: np.ndarray) -> np.ndarray:
        return self.model.executor.run(ids, [len(ids)], [state], np.asarray([len(ids) - 1], np.int32))[0]
