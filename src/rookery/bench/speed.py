"""
How fast a model runs: reading a prompt, generating alone and in a batch; and how near the machine's limits that is.

Everything of one comparison is measured in rounds, one after another in the same process, and reported as minimum,
median and maximum: other work on the machine then meets all of them alike.  What the machine can deliver is measured
in the same rounds, and shares are those of a round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.bench.against import Comparison
from rookery.bench.ceilings import Ceilings, integer_operations
from rookery.bench.memory import resident_bytes
from rookery.errors import SettingsError, TokenError
from rookery.layout import aligned_copy

if TYPE_CHECKING:
    from rookery.bench.peer import Peer
    from rookery.model import Model
    from rookery.ops.native import NativeExecutor

__all__ = ["Settings", "Spread", "bench", "load_timed", "native", "random_tokens", "weights_of"]

Action = Callable[[], float]


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

    @property
    def batch_steps(self) -> int:
        """Tokens of each sequence of a batch: fewer, since there are many sequences."""
        return max(self.decode_tokens // 4, 2)


class Spread:
    """Measured values: `add` them, then read minimum, median, maximum."""

    def __init__(self, values: Iterable[float] = ()) -> None:
        self.values = list(values)

    def add(self, value: float) -> None:
        self.values.append(value)

    @property
    def median(self) -> float:
        return float(np.median(self.values))

    def summary(self) -> dict[str, float]:
        return {"min": min(self.values), "median": self.median, "max": max(self.values)}


def bench(model: Model, settings: Settings, peer: Peer | None = None) -> dict[str, Any]:
    """Tokens per second of a loaded model, and of `peer` on the same tokens in the same rounds.

    Speeds are {"min", "median", "max"} over the rounds: "prefill", "decode" (a token and the choice of the likeliest
    next one, as generating does it), "batched" by batch size (all sequences together), and what the machine delivered
    meanwhile: "read_bytes_per_s", "int8_ops_per_s".  "shares" are ours of these, medians over the rounds.  With a peer
    also "peer" and "ratios", ours over its medians (see `Comparison.summary`).
    """
    memory = {"loaded": resident_bytes()}
    prompt, steps = _tokens(model, settings)
    _decode(model, steps[:8])
    memory["decoded"] = resident_bytes()
    against = Comparison(peer, settings, prompt, steps) if peer is not None else None
    executor = native(model)
    ceilings = Ceilings(executor.table, executor.threads, executor.nbytes)
    actions = dict(_interleaved(_actions(model, settings, ceilings), against))
    if against is not None:
        against.warm_up()
    _prefill(model, prompt[:64])
    spreads = _rounds(actions, settings.repeat, against)
    result = _summary(spreads, settings)
    result |= {"memory": memory, "state_bytes": model.initial.data.nbytes, **_roofline(model, settings, spreads)}
    if against is not None:
        result |= against.summary(spreads)
        result["peer"]["logits_difference"] = against.logits_difference(model)
    return result


def _interleaved(ours: Iterable[tuple[str, Action]], against: Comparison | None) -> Iterator[tuple[str, Action]]:
    """Each measurement, and at once the same of the peer: what else the machine does then meets both."""
    theirs = list(against.actions()) if against is not None else []
    for name, action in ours:
        yield name, action
        for metric, own_name, their_action in theirs:
            if metric == name:
                yield own_name, their_action


def _rounds(actions: dict[str, Action], repeat: int, against: Comparison | None) -> dict[str, Spread]:
    spreads = {name: Spread() for name in actions}
    for number in range(repeat):
        slow = against.slow(spreads) if against is not None and number else ()
        for name, action in actions.items():
            if name not in slow:
                spreads[name].add(action())
    return spreads


def _actions(model: Model, settings: Settings, ceilings: Ceilings) -> Iterator[tuple[str, Action]]:
    """Name -> run once and return tokens per second; a ceiling stands before what it bounds."""
    prompt, steps = _tokens(model, settings)
    yield "int8", ceilings.int8
    yield "prefill", lambda: len(prompt) / _timed(_prefill(model, prompt))
    yield "read", ceilings.read
    yield "decode", lambda: len(steps) / _timed(_decode(model, steps))
    few = steps[: settings.batch_steps]
    for batch in settings.batches:
        yield f"batch {batch}", lambda b=batch: b * len(few) / _timed(_decode_batch(model, few, b))  # type: ignore[misc]


# What is timed is made ready first: a server allocates its states once.


def _prefill(model: Model, prompt: Sequence[int]) -> Callable[[], None]:
    tokens, end, states = np.asarray(prompt, np.int32), np.asarray([len(prompt) - 1], np.int32), _states(model, 1)

    def run() -> None:
        model.executor.run(tokens, [len(tokens)], states, end)

    return run


def _decode(model: Model, steps: Sequence[int]) -> Callable[[], None]:
    """One token after another, with the choice of the likeliest next one, though `steps` come next."""
    states, lengths, wanted = _states(model, 1), [1], np.zeros(1, np.int32)

    def run() -> None:
        for token in steps:
            model.executor.run(np.asarray([token], np.int32), lengths, states, wanted)[0].argmax()

    return run


def _decode_batch(model: Model, steps: Sequence[int], batch: int) -> Callable[[], None]:
    """`batch` sequences, one token each a call."""
    states, lengths, wanted = _states(model, batch), [1] * batch, np.arange(batch, dtype=np.int32)

    def run() -> None:
        for at in range(len(steps)):
            tokens = np.asarray([steps[(at + i) % len(steps)] for i in range(batch)], np.int32)
            model.executor.run(tokens, lengths, states, wanted)

    return run


def _states(model: Model, count: int) -> list[np.ndarray]:
    return [aligned_copy(model.initial.data) for _ in range(count)]


def _summary(spreads: dict[str, Spread], settings: Settings) -> dict[str, Any]:
    return {
        "prefill": spreads["prefill"].summary(),
        "decode": spreads["decode"].summary(),
        "batched": {str(batch): spreads[f"batch {batch}"].summary() for batch in settings.batches},
        "read_bytes_per_s": spreads["read"].summary(),
        "int8_ops_per_s": spreads["int8"].summary(),
    }


def _roofline(model: Model, settings: Settings, spreads: dict[str, Spread]) -> dict[str, Any]:
    """What a token reads and multiplies, and which share of the machine that takes.

    "bytes_per_token": the packed matrices, and the state, which is read and written; the sequences of a batch read
    the matrices together.  "integer_operations": of the whole prompt, and of a token (`integer_operations`).
    "shares": "of_read" and "of_int8", that is of "read_bytes_per_s" and "int8_ops_per_s".
    """
    executor = native(model)
    nbytes = executor.nbytes + 2 * model.initial.data.nbytes
    program, length = executor.program, settings.prompt_tokens
    operations, each = integer_operations(program, length, 1), integer_operations(program, 1, 1)
    return {
        "bytes_per_token": nbytes,
        "decode_bytes_per_s": nbytes * spreads["decode"].median,
        "integer_operations": {"prompt": operations, "token": each},
        "shares": {
            "prefill": {"of_int8": _share(spreads["prefill"], operations / length, spreads["int8"])},
            "decode": {"of_read": _share(spreads["decode"], nbytes, spreads["read"])},
            "batched": {
                str(batch): _of_both(executor.nbytes / batch + nbytes - executor.nbytes, each, spreads, batch)
                for batch in settings.batches
            },
        },
    }


def _of_both(nbytes: float, operations: int, spreads: dict[str, Spread], batch: int) -> dict[str, float]:
    """Of a batch, by the bytes and operations that each of its tokens takes."""
    speeds = spreads[f"batch {batch}"]
    of_int8 = {"of_int8": _share(speeds, operations, spreads["int8"])} if batch > 1 else {}
    return {"of_read": _share(speeds, nbytes, spreads["read"]), **of_int8}


def _share(speeds: Spread, each: float, ceiling: Spread) -> float:
    """Median over the rounds of speed x each / ceiling."""
    pairs = zip(speeds.values, ceiling.values, strict=True)
    return Spread(speed * each / most for speed, most in pairs).median


def native(model: Model) -> NativeExecutor:
    """The executor of a model; SettingsError if it is not the native one."""
    from rookery.ops.native import NativeExecutor

    if not isinstance(model.executor, NativeExecutor):
        raise SettingsError(f"the {model.executor.name} executor cannot be measured; use the native one")
    return model.executor


def weights_of(model: Model) -> dict[str, Any]:
    """ "parameters"; "format", that of most of the packed bytes; "packed_bytes" of the matrices, in memory; and
    "embedding_bytes", which stay in the file: only rows that are used come into memory, with their neighbours."""
    executor = native(model)
    matrices, sizes = executor.program.matrices, dict[str, int]()
    for i, parts in executor.matrix_bytes().items():
        sizes[matrices[i].format] = sizes.get(matrices[i].format, 0) + sum(parts)
    embedding = next(matrices[op.matrix] for op in executor.program.ops if op.name == "embed")
    return {
        "parameters": sum(math.prod(w.shape) for w in model.checkpoint.tensors.values()),
        "format": max(sizes, key=sizes.__getitem__),
        "packed_bytes": executor.nbytes,
        "embedding_bytes": embedding.shape[0] * embedding.kind.row_bytes(embedding.shape[1]),
    }


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
