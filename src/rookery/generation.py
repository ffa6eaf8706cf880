"""
One request: from a prompt to the end of its continuation.

Knows one sequence's tokens, state, sampling and stops; knows nothing of the others in the batch.
"""

from __future__ import annotations

import codecs
import io
import queue
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from rookery.chain import links
from rookery.errors import SettingsError, TokenError
from rookery.sampling import Logprobs, Sampler
from rookery.state import State
from rookery.stopping import Stop, StopMatcher

if TYPE_CHECKING:
    from rookery.cache import StateCache
    from rookery.model import Model

__all__ = ["Generation", "Piece", "Request"]

END_OF_TEXT = 0
# Characters the official chat does not count in its penalties: repeating them is no fault.
UNPENALISED = b" \t0123456789"


@dataclass(frozen=True, slots=True)
class Request:
    """What to generate.

    prompt:      text, its bytes, or token ids; at least one token.
    sampler:     how to choose tokens; the default `Sampler()` if None.
    max_tokens:  how many to generate at most; 0 only reads the prompt.
    stop:        strings that end the text; they are not part of it.
    stop_tokens: tokens that do.
    late, gate:  stop strings that count only after `gate` has occurred (`StopMatcher`).
    state:       where to start; the model's initial state if None.
    allow:       called before each choice with the tokens generated so far; returns the tokens to choose from as
                 `mask_of` packs them, or None for all.
    progress:    called with (tokens of the prompt read, tokens in all) while the prompt is read.
    """

    prompt: str | bytes | Sequence[int]
    sampler: Sampler | None = None
    max_tokens: int = 256
    stop: Sequence[str] = ()
    stop_tokens: Sequence[int] = (END_OF_TEXT,)
    late: Sequence[str] = ()
    gate: str | None = None
    state: State | None = None
    allow: Callable[[Sequence[int]], np.ndarray | None] | None = None
    progress: Callable[[int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step added.

    text:     may be empty: a character may be unfinished, or the text may still turn out to begin a stop string.
    token:    the token chosen, None in a last piece that only flushes text.
    logprobs: when the sampler asked for them.
    finish:   None, or why this is the last piece: "stop", "length", "cancelled", "error".
    """

    text: str
    token: int | None = None
    logprobs: Logprobs | None = None
    finish: str | None = None


@dataclass(slots=True)
class _Snapshot:
    """The sequence just before a token that may begin a stop string: where to return to."""

    data: np.ndarray
    fed: int
    offset: int  # bytes generated before it
    tokens: list[int]  # generated since


class Generation:
    """A request on its way; iterate over it for the pieces.

    text:   everything kept so far.  tokens: every token chosen.
    finish: None while it goes on.  stop: what stopped it.  error: what went wrong, if anything did.
    state:  once finished: exactly the state after the prompt and the kept text; None after an error.
    prompt_tokens, cached_tokens: how many tokens the prompt has, and how many were not read again.
    """

    def __init__(self, model: Model, request: Request, cache: StateCache | None = None) -> None:
        if not isinstance(request.max_tokens, int) or request.max_tokens < 0:
            raise SettingsError(f"max_tokens is {request.max_tokens!r}, expected a whole number, 0 or more")
        if not isinstance(request.sampler, Sampler | None):
            raise SettingsError(f"sampler is {request.sampler!r}, expected a Sampler, such as Sampler(temperature=0.5)")
        self.request = request
        self._text = io.StringIO()
        self.tokens: list[int] = []
        self.finish: str | None = None
        self.stop: Stop | None = None
        self.error: Exception | None = None
        self.state: State | None = None
        self._model = model
        self._cache = cache
        self._start = self._known = model.check_state(request.state)
        prompt = request.prompt
        self._todo: list[int] = self._prompt(
            model.tokenizer.encode(prompt) if isinstance(prompt, str | bytes) else prompt
        )
        self.prompt_tokens, self.cached_tokens = len(self._todo), 0
        self._draw = (request.sampler or Sampler()).start(model.config.vocab, penalty_free=_unpenalised(model))
        self._matcher = StopMatcher(request.stop, request.stop_tokens, late=request.late, gate=request.gate)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._fed: list[int] = []
        self._data = np.empty(0, np.float32)  # until `begin`
        self._offset = 0
        self._snapshot: _Snapshot | None = None
        self._closing = request.max_tokens == 0
        self._ending = "length"
        self._cancelled = False
        self._pieces: queue.SimpleQueue[Piece] = queue.SimpleQueue()
        self.pump: Callable[[], None] | None = None  # makes the next piece, where no other thread does
        self._logits: np.ndarray | None = None

    # ------------------------------------------------------------ for the caller

    def __iter__(self) -> Iterator[Piece]:
        while True:
            while self.pump is not None and self._pieces.empty():
                self.pump()
            piece = self._pieces.get()
            if piece.finish == "error":
                self._pieces.put(piece)
                assert self.error is not None
                raise self.error
            yield piece
            if piece.finish is not None:
                self._pieces.put(piece)
                return

    def result(self) -> Generation:
        """Wait for the end; raises what went wrong, if anything did."""
        for _ in self:
            pass
        return self

    def cancel(self) -> None:
        """Stop soon.  The state then holds what was read of the prompt, and all the text generated until then."""
        self._cancelled = True

    @property
    def text(self) -> str:
        return self._text.getvalue()

    @property
    def read(self) -> list[int]:
        """The tokens that lead from the start to `state`: the prompt and the kept text."""
        return list(self._fed)

    @property
    def prompt_read(self) -> int:
        """How many tokens of the prompt have been read, the cached ones included: all, unless it was cancelled."""
        return min(len(self._fed), self.prompt_tokens)

    @property
    def seed(self) -> int:
        """The seed in use, to repeat this generation."""
        return self._draw.seed

    # ------------------------------------------------------------ for the scheduler

    def begin(self, slot: np.ndarray) -> None:
        """Take a place in the state pool, with the state to start from: the longest prefix that the cache has."""
        self._data = slot
        found = None
        if self._cache is not None:
            found = self._cache.longest(self._start.model, list(links(self._start.chain, self._todo)))
        if found is None:
            slot[...] = self._start.data
            return
        self.cached_tokens, entry = found
        count = self._start.count + self.cached_tokens
        self._known = replace(self._start, data=entry.state.data, count=count, chain=entry.state.chain)
        slot[...] = entry.state.data
        self._fed, self._todo = self._todo[: self.cached_tokens], self._todo[self.cached_tokens :]
        if not self._todo and not self._closing:
            self._logits = entry.logits

    @property
    def data(self) -> np.ndarray:
        """The state's numbers, changed in place by the executor."""
        return self._data

    @property
    def decoding(self) -> bool:
        """Whether the prompt has been read."""
        return bool(self.tokens) or self._closing

    def next_rows(self, limit: int, stride: int) -> list[int]:
        """The tokens to read next, at most `limit`, ending where the cache wants a state: at multiples of `stride`."""
        to_boundary = stride - (self._start.count + len(self._fed)) % stride
        return self._todo[: max(1, min(limit, limit if self._cache is None else to_boundary))]

    def ready(self) -> bool:
        """Take what needs no reading: a cancellation, or logits that the cache had.  False when nothing is left."""
        if self._cancelled and not (self._closing and self.tokens):  # what was chosen is read to the end
            self._closing, self._ending = True, "cancelled"
            if not self.tokens:
                self._todo.clear()
        elif self._logits is not None:
            logits, self._logits = self._logits, None
            self._choose(logits)
        if self.finish is None and self._closing and not self._todo:
            self._end(self._ending)
        return self.finish is None

    def wants_logits(self, rows: int) -> bool:
        return rows == len(self._todo) and not self._closing

    def fed(self, rows: int, logits: np.ndarray | None, stride: int) -> None:
        """The executor has read the next `rows` tokens; `logits` after the last, where wanted."""
        self._fed += self._todo[:rows]
        del self._todo[:rows]
        if self.request.progress is not None and not self.tokens:
            self.request.progress(len(self._fed), self.prompt_tokens)
        landmark = logits is not None or (self._start.count + len(self._fed)) % stride == 0
        if self._cache is not None and not self.tokens and landmark:
            self._cache.put(self._now(), None if logits is None else logits.copy())
        if logits is not None:
            self._choose(logits)
        elif self._closing and not self._todo:
            self._end(self._ending)

    def fail(self, error: Exception) -> None:
        self.error = error
        self._end("error")

    # ------------------------------------------------------------ inside

    def _prompt(self, tokens: Sequence[int]) -> list[int]:
        ids: list[int] = list(tokens)
        if not ids and self.request.state is None:
            ids = [END_OF_TEXT]  # the beginning of a document
        elif not ids:
            raise SettingsError("the prompt is empty: a model goes on only from a token; give at least one")
        self._model.check_tokens(ids)
        return ids

    def _choose(self, logits: np.ndarray) -> None:
        """Sample a token from the logits and decide what it means."""
        allowed = self.request.allow(self.tokens) if self.request.allow else None
        token = self._draw.sample(logits, allowed)
        self.tokens.append(token)
        given = self._model.tokenizer.token_bytes(token)
        release, stop = self._matcher.feed(given, token)
        text = self._utf8.decode(release)
        logprobs = self._draw.logprobs
        if stop is not None:
            self.stop = stop
            self._roll_back(stop, token)
            self._ending = "stop"
        else:
            self._todo = [token]
            self._remember(token, len(given))
        self._offset += len(given)
        if stop is not None or len(self.tokens) >= self.request.max_tokens:
            self._closing = True
        self._emit(Piece(text, token, logprobs))

    def _remember(self, token: int, size: int) -> None:
        """Keep a snapshot while the end of the text may be the beginning of a stop string."""
        pending = self._matcher.pending
        if pending == 0:
            self._snapshot = None
        elif pending <= size:
            self._snapshot = _Snapshot(self._data.copy(), len(self._fed), self._offset, [token])
        elif self._snapshot is not None:
            self._snapshot.tokens.append(token)

    def _roll_back(self, stop: Stop, token: int) -> None:
        """Return to the end of the kept text: whole tokens are read again, the rest of a cut token anew."""
        self._todo = []
        if stop.token is not None or stop.start >= self._offset + len(self._model.tokenizer.token_bytes(token)):
            return
        before = self._snapshot
        if stop.start >= self._offset or before is None:
            before = _Snapshot(self._data, len(self._fed), self._offset, [])
        before.tokens.append(token)
        if before.data is not self._data:
            self._data[...] = before.data
        self._snapshot = None
        del self._fed[before.fed :]
        left = stop.start - before.offset
        for t in before.tokens:
            given = self._model.tokenizer.token_bytes(t)
            if len(given) > left:
                self._todo += self._model.tokenizer.encode(given[:left]) if left else []
                return
            self._todo.append(t)
            left -= len(given)

    def _emit(self, piece: Piece) -> None:
        self._text.write(piece.text)
        self.finish = piece.finish  # after the text is whole, before anyone can see the piece
        self._pieces.put(piece)

    def _end(self, reason: str) -> None:
        if reason != "error":
            self.state = self._now()
            if self._cache is not None:
                self._cache.put(self.state)
        held = self._matcher.finish() if self.stop is None else b""
        self._emit(Piece(self._utf8.decode(held, final=True), finish=reason))

    def _now(self) -> State:
        """The state after what was read; asked for while reading the prompt, which is never taken back, and once at
        the end, so that each token enters the hash chain once."""
        self._known = self._known.advanced(self._data, self._fed[self._known.count - self._start.count :])
        return self._known


_unpenalised_ids: dict[tuple[str, int], tuple[int, ...]] = {}


def _unpenalised(model: Model) -> tuple[int, ...]:
    """Ids whose text is part of " \\t0123456789", which the official sampler does not count."""
    key = model.tokenizer.fingerprint, model.config.vocab
    if key not in _unpenalised_ids:
        ends = range(1, len(UNPENALISED) + 1)
        found = {_token(model, UNPENALISED[i:j]) for j in ends for i in range(j)}
        _unpenalised_ids[key] = tuple(sorted(id for id in found if 0 <= id < model.config.vocab))
    return _unpenalised_ids[key]


def _token(model: Model, text: bytes) -> int:
    """The id whose bytes are `text`, or -1."""
    try:
        ids = model.tokenizer.encode(text)
    except TokenError:
        return -1
    return ids[0] if len(ids) == 1 else -1
