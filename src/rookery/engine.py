"""
Continuous batching.

Turns many requests into one stream of rows for the model: prompts in chunks, replies token by token, all in the
same calls.  Knows sequences and rows; knows nothing of text, HTTP or weights.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from rookery.cache import StateCache
from rookery.errors import RookeryError, SettingsError
from rookery.generation import Generation, Piece, Request
from rookery.layout import StateLayout
from rookery.sampling import Sampler
from rookery.state import State

if TYPE_CHECKING:
    from rookery.model import Model

__all__ = ["Engine", "Generation", "Piece", "Request", "Scheduler", "generate"]

STRIDE = 256  # tokens between states kept while reading a prompt, and the longest chunk


class Scheduler:
    """Steps a set of generations together.

    slots: generations in a call at most; the others wait.
    rows:  rows in a call at most, so that a long prompt does not hold up replies for long; one for each slot at
           least, so that nobody waits for ever.
    cache: where states of read prompts are kept and looked for, or None.
    """

    def __init__(self, model: Model, *, slots: int = 32, rows: int = STRIDE, cache: StateCache | None = None) -> None:
        if slots < 1 or rows < slots:
            raise SettingsError(f"slots={slots}, rows={rows}: expected at least one slot, and a row for each")
        self.model, self.slots, self.rows, self.cache = model, slots, rows, cache
        self.waiting: deque[Generation] = deque()
        self.active: list[Generation] = []
        self._pool = StatePool(model.layout, slots)

    def add(self, generation: Generation) -> None:
        """Take a generation in; it starts when there is a slot."""
        self.waiting.append(generation)

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.active

    def step(self) -> None:
        """One call of the model for everything that is active.

        An interruption, such as Ctrl-C, may have left states that no tokens belong to, so it ends what is active.
        """
        try:
            self._step()
        except BaseException as error:
            self.drop(RookeryError(f"the generation was broken off by {type(error).__name__}; begin it again"))
            raise

    def _step(self) -> None:
        while self.waiting and len(self.active) < self.slots:
            generation = self.waiting.popleft()
            self.active.append(generation)
            _guarded(generation, partial(generation.begin, self._pool.take()))
        for generation in self.active:
            _guarded(generation, generation.ready)
        self._retire()
        batch = self._batch()
        if not batch:
            return
        try:
            logits = self._run(batch)
        except Exception as error:  # the model itself failed: nobody can go on
            return self.drop(error)
        row = 0
        for generation, tokens in batch:
            wanted = generation.wants_logits(len(tokens))
            after = logits[row] if wanted else None
            row += wanted
            _guarded(generation, partial(generation.fed, len(tokens), after, STRIDE))
        self._retire()

    def drop(self, error: Exception) -> None:
        """End everything that is active with an error."""
        for generation in self.active:
            generation.fail(error)
        self._retire()

    def _retire(self) -> None:
        """Finished generations leave their slots."""
        for generation in self.active:
            if generation.finish is not None:
                self._pool.give(generation.data)
        self.active = [g for g in self.active if g.finish is None]

    def _batch(self) -> list[tuple[Generation, list[int]]]:
        """Who reads what: replies first, one row each, then prompts in what is left of the rows."""
        batch, left = [], self.rows
        for generation in sorted(self.active, key=lambda g: not g.decoding):
            if left > 0:
                tokens = generation.next_rows(left, STRIDE)
                batch.append((generation, tokens))
                left -= len(tokens)
        return batch

    def _run(self, batch: Sequence[tuple[Generation, list[int]]]) -> np.ndarray:
        lengths = [len(tokens) for _, tokens in batch]
        ends = np.cumsum(lengths) - 1
        wanted = [end for (g, tokens), end in zip(batch, ends, strict=True) if g.wants_logits(len(tokens))]
        ids = np.fromiter((t for _, tokens in batch for t in tokens), np.int32)
        logits = self.model.executor.run(ids, lengths, [g.data for g, _ in batch], np.asarray(wanted, np.int32))
        return np.asarray(logits, np.float32)  # the oracle's are float64


class StatePool:
    """States of the sequences in a call, allocated once: memory for `slots` sequences and never more."""

    def __init__(self, layout: StateLayout, slots: int) -> None:
        self._slots = [layout.zeros() for _ in range(slots)]

    def take(self) -> np.ndarray:
        """A free slot, float32 (layout.size,), with whatever was in it."""
        return self._slots.pop()

    def give(self, slot: np.ndarray) -> None:
        """Free a slot."""
        self._slots.append(slot)


def _guarded(generation: Generation, action: Callable[[], object]) -> None:
    """Run a generation's own step; what it raises ends that generation alone."""
    try:
        action()
    except Exception as error:
        generation.fail(error)


def generate(model: Model, request: Request, cache: StateCache | None = None) -> Generation:
    """A generation that advances as it is iterated over, in the caller's thread."""
    generation = Generation(model, request, cache)
    scheduler = Scheduler(model, slots=1, cache=cache)
    scheduler.add(generation)
    generation.pump = scheduler.step
    return generation


class Engine:
    """Generates for many callers at once, in a thread of its own.

    with Engine(model) as engine:
        jobs = [engine.submit(prompt) for prompt in prompts]
        for piece in jobs[0]: ...

    slots: generations at the same time.  cache: a `StateCache`, or None for a fresh one.
    It belongs to the process that made it: the child of a fork has the model, but needs an engine of its own.
    """

    def __init__(self, model: Model, *, slots: int = 32, cache: StateCache | None = None) -> None:
        self.model = model
        self.cache = cache if cache is not None else StateCache()
        self._scheduler = Scheduler(model, slots=slots, rows=max(slots, STRIDE), cache=self.cache)
        self._incoming: deque[Generation] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._serve, name="rookery-engine", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread that is inside native code must not meet the end of the interpreter

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(
        self,
        prompt: str | Sequence[int] | Request,
        sampler: Sampler | None = None,
        *,
        max_tokens: int = 256,
        stop: Sequence[str] = (),
        state: State | None = None,
    ) -> Generation:
        """Start generating; iterate over the result for pieces, or call its `result()`.  A whole `Request` may be
        given in place of a prompt."""
        if not isinstance(prompt, Request):
            prompt = Request(prompt, sampler, max_tokens=max_tokens, stop=stop, state=state)
        generation = Generation(self.model, prompt, self.cache)
        if self._process != os.getpid():
            raise RookeryError("an engine does not follow a fork: make a new one in this process")
        with self._wake:
            if self._closing:
                raise RookeryError("the engine is closed; make a new one")
            self._incoming.append(generation)
            self._wake.notify()
        return generation

    def close(self) -> None:
        """Cancel what is running and stop.  May be called twice."""
        if self._process != os.getpid():
            return  # the thread is another process's, and may hold the lock for ever
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        atexit.unregister(self.close)

    def _serve(self) -> None:
        scheduler = self._scheduler
        while True:
            with self._wake:
                while scheduler.idle and not self._incoming and not self._closing:
                    self._wake.wait()
                scheduler.waiting.extend(self._incoming)
                self._incoming.clear()
                if self._closing:
                    for generation in (*scheduler.active, *scheduler.waiting):
                        generation.cancel()
                    if scheduler.idle:
                        return
            try:
                scheduler.step()
            except BaseException as error:  # nobody must wait for ever, whatever went wrong: even a callback's exit
                scheduler.drop(RookeryError(f"the engine's step was ended by {type(error).__name__}: {error}"))
