"""
How fast a model runs here: loading, reading a prompt, generating alone and in a batch, and what memory that takes.

Everything of one comparison is measured in rounds, one after another in the same process, and reported as minimum,
median and maximum: other work on the machine then meets all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.bench.against import Comparison
from rookery.bench.memory import resident_bytes
from rookery.errors import SettingsError, TokenError

if TYPE_CHECKING:
    from rookery.bench.peer import Peer
    from rookery.model import Model

__all__ = ["Settings", "Spread", "bench", "load_timed", "random_tokens", "read_bandwidth"]

_BANDWIDTH_BYTES = 256 << 20  # larger than any cache this runs on


@dataclass(frozen=True, slots=True)
class Settings:
    """What to measure.

    prompt_tokens, decode_tokens: per round.  batches: sequences that generate together, one measurement each.
    repeat: rounds.
    """

    prompt_tokens: int = 512
    decode_tokens: int = 128
    batches: Sequence[int] = (1, 8)
    repeat: int = 3

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "decode_tokens", "repeat"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}, expected 1 or more")
        if any(not 1 <= batch <= 4096 for batch in self.batches):
            raise SettingsError(f"batches are {list(self.batches)}, expected numbers from 1 to 4096")


class Spread:
    """Measured values: `add` them, then read minimum, median, maximum."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def add(self, value: float) -> None:
        self.values.append(value)

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    def summary(self) -> dict[str, float]:
        return {"min": min(self.values), "median": self.median, "max": max(self.values)}


def bench(model: Model, settings: Settings, peer: Peer | None = None) -> dict[str, Any]:
    """Tokens per second of a loaded model, and of `peer` on the same tokens in the same rounds.

    Speeds are {"min", "median", "max"} over the rounds: "prefill", "decode" (through `Model.forward`), "batched" by
    batch size (all sequences together), and "read_bytes_per_s" of a plain sum over a large float32 array with as
    many threads.  With a peer also "peer" and "ratios", ours over its medians (see `Comparison.summary`).
    """
    memory = resident_bytes()
    large = np.ones(_BANDWIDTH_BYTES // 4, np.float32)
    prompt, steps = _tokens(model, settings)
    against = Comparison(peer, settings, prompt, steps) if peer is not None else None
    actions = dict(_interleaved(_actions(model, settings), against))
    actions["read_bytes_per_s"] = lambda: read_bandwidth(large, model.executor.threads)
    if against is not None:
        against.warm_up()
    model.forward(prompt)
    spreads = _rounds(actions, settings.repeat)
    result = _summary(spreads, settings)
    result |= {"memory": memory, "state_bytes": model.initial.data.nbytes}
    result |= _traffic(model, spreads)
    if against is not None:
        result |= against.summary(spreads)
        result["peer"]["logits_difference"] = against.logits_difference(model)
    return result


def _interleaved(
    ours: Iterable[tuple[str, Callable[[], float]]], against: Comparison | None
) -> Iterator[tuple[str, Callable[[], float]]]:
    """Each measurement, and at once the same of the peer: what else the machine does then meets both."""
    theirs = list(against.actions()) if against is not None else []
    for name, action in ours:
        yield name, action
        for metric, own_name, their_action in theirs:
            if metric == name:
                yield own_name, their_action


def _rounds(actions: dict[str, Callable[[], float]], repeat: int) -> dict[str, Spread]:
    spreads = {name: Spread() for name in actions}
    for _ in range(repeat):
        for name, action in actions.items():
            spreads[name].add(action())
    return spreads


def _actions(model: Model, settings: Settings) -> Iterator[tuple[str, Callable[[], float]]]:
    """Name -> run once and return tokens per second."""
    prompt, steps = _tokens(model, settings)
    yield "prefill", lambda: len(prompt) / _timed(lambda: model.forward(prompt))
    yield "decode", lambda: len(steps) / _timed(lambda: _decode(model, steps))
    for batch in settings.batches:
        yield f"batch {batch}", lambda b=batch: b * len(steps) / _timed(lambda: _decode_batch(model, steps, b))  # type: ignore[misc]


def _decode(model: Model, steps: Sequence[int]) -> None:
    state = None
    for token in steps:
        _, state = model.forward([token], state)


def _decode_batch(model: Model, steps: Sequence[int], batch: int) -> None:
    """`batch` sequences, one token each a call."""
    states = [model.initial.data.copy() for _ in range(batch)]
    lengths, wanted = [1] * batch, np.arange(batch, dtype=np.int32)
    for at in range(len(steps)):
        tokens = np.asarray([steps[(at + i) % len(steps)] for i in range(batch)], np.int32)
        model.executor.run(tokens, lengths, states, wanted)


def _summary(spreads: dict[str, Spread], settings: Settings) -> dict[str, Any]:
    single = ("prefill", "decode", "read_bytes_per_s")
    return {
        **{name: spreads[name].summary() for name in single},
        "batched": {str(batch): spreads[f"batch {batch}"].summary() for batch in settings.batches},
    }


def _traffic(model: Model, spreads: dict[str, Spread]) -> dict[str, Any]:
    """What a generated token reads: the packed matrices, and its state, which is also written."""
    packed = int(getattr(model.executor, "nbytes", 0))
    if not packed:
        return {}
    nbytes = packed + 2 * model.initial.data.nbytes
    return {"bytes_per_token": nbytes, "decode_bytes_per_s": nbytes * spreads["decode"].median}


def read_bandwidth(large: np.ndarray, threads: int) -> float:
    """Bytes per second that `threads` numpy sums read: a floor for what the machine can do.

    large: float32, larger than the caches and written before, so that its pages are there.
    """
    parts = np.array_split(large, threads)
    with ThreadPoolExecutor(threads) as pool:
        seconds = _timed(lambda: list(pool.map(np.sum, parts)))
    return large.nbytes / seconds


def load_timed(path: str | Path, threads: int = 0) -> tuple[Model, float]:
    """The model and the seconds it took to load.  A model whose vocabulary is unknown gets a stand-in."""
    from rookery.model import load
    from rookery.tokenizer import WorldTokenizer

    start = time.perf_counter()
    try:
        model = load(path, threads=threads)
    except TokenError:  # measuring needs no words
        model = load(path, threads=threads, tokenizer=WorldTokenizer({1: b"?"}, "none"))
    return model, time.perf_counter() - start


def random_tokens(vocab: int, count: int, seed: int = 0) -> list[int]:
    ids: list[int] = np.random.default_rng(seed).integers(0, vocab, count).tolist()
    return ids


def _tokens(model: Model, settings: Settings) -> tuple[list[int], list[int]]:
    vocab = model.config.vocab
    return random_tokens(vocab, settings.prompt_tokens), random_tokens(vocab, settings.decode_tokens, 1)


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
