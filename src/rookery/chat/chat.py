"""
A conversation with a model.

Each turn reads only what is new: the state holds all that was said.  After a turn it is exactly the state of the
plain conversation, reasoning left out where the prompt format says so; `Turn.tokens` are the tokens that lead there.
docs/chat.md describes it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.chat.reply import Reply
from rookery.chat.turns import ChatPiece, ChatStats, Turn
from rookery.errors import SettingsError, StateError
from rookery.generation import Generation, Request
from rookery.prompts import PromptFormat, format_for, format_named
from rookery.sampling import Sampler
from rookery.state import State

if TYPE_CHECKING:
    from rookery.engine import Engine
    from rookery.model import Model

__all__ = ["Chat"]

SNAPSHOTS = 32  # turns whose states are kept; to undo beyond them, the conversation is read again
SEEDS = 1 << 64
_SETTINGS = ("system", "think", "format")  # that a saved conversation carries


class Chat:
    """A conversation.

    system:     what stands before the first turn; read with it.
    sampler:    how to choose tokens.  With a seed, turn and attempt are mixed in, so that a retry differs.
    format:     a `PromptFormat` or the name of one; by default the one that fits the model.
    think:      a mode of the format: None (its default), True or "on", False or "off", "low", "medium", "high" ...
    max_tokens: of one reply, reasoning included.
    engine:     runs the model, batched with others; by default the caller's thread does.
    state:      where to start: a tuned state, or the state of a text to go on from.

    progress:   called with (tokens read, tokens in all) while a message is read; None at first.

    These may be changed between turns, `system` before the first.
    """

    def __init__(
        self,
        model: Model,
        system: str | None = None,
        *,
        sampler: Sampler | None = None,
        format: PromptFormat | str | None = None,
        think: str | bool | None = None,
        max_tokens: int = 1024,
        engine: Engine | None = None,
        state: State | None = None,
    ) -> None:
        self.model, self.system, self.engine = model, system, engine
        self.sampler = sampler or Sampler()
        self.format = format_named(format) if isinstance(format, str) else format or format_for(model)
        self.format.mode(think)
        self.think, self.max_tokens = think, max_tokens
        self.turns: list[Turn] = []
        self.stats = ChatStats()
        self.progress: Callable[[int, int], None] | None = None
        self._start: State | None = model.check_state(state)
        self._current: Generation | None = None
        self._busy = False

    @property
    def state(self) -> State:
        """The state after everything said so far."""
        return self._state_at(len(self.turns))

    @property
    def tokens(self) -> list[int]:
        """All tokens that lead from the start to `state`."""
        return [token for turn in self.turns for token in turn.tokens]

    def ask(self, text: str) -> Iterator[ChatPiece]:
        """Say something; iterate over the reply.

        The turn is recorded when the reply ends, also by `cancel` or because the iteration is left: what was said
        until then counts.  Where the model fails, the chat is as before.
        """
        return self._ask(text, 0)

    def retry(self) -> Iterator[ChatPiece]:
        """Another answer to what the user said last."""
        if not self.turns:
            raise SettingsError("there is nothing to retry: the conversation has no turn yet")
        return self._retry()

    def undo(self) -> Turn:
        """Take back the last turn and return it."""
        self._check_idle()
        if not self.turns:
            raise SettingsError("there is nothing to undo: the conversation has no turn yet")
        state = self._state_at(len(self.turns) - 1)
        turn = self.turns.pop()
        if self.turns:
            self.turns[-1] = replace(self.turns[-1], state_after=state)
        return turn

    def reset(self) -> None:
        """Back to the start."""
        self._check_idle()
        self._state_at(0)
        self.turns.clear()

    def fork(self) -> Chat:
        """An independent conversation that begins with this one."""
        self._check_idle()
        twin = copy.copy(self)
        twin.turns, twin.stats = list(self.turns), ChatStats()
        return twin

    def cancel(self) -> None:
        """End the reply under way, keeping what was said; may be called from a signal handler or another thread."""
        if self._current is not None:
            self._current.cancel()

    def save(self, path: str | Path) -> None:
        """Write the conversation and its state into one state file."""
        turns = [turn.described() for turn in self.turns]
        about = {"system": self.system, "think": self.think, "format": self.format.name, "turns": turns}
        self.state.save(path, {"chat": about})

    @classmethod
    def load(cls, path: str | Path, model: Model, **options: Any) -> Chat:
        """The conversation in a file that `save` wrote.  options: as for `Chat`, except `state`.

        StateError when it belongs to another model, or holds a state without a conversation.
        """
        from rookery import statefile

        state = model.check_state(State.load(path))
        note = statefile.note(Path(path)) or {}
        if "chat" not in note:
            raise StateError(f"{path}: a state without a conversation; give it as the state of a new Chat")
        try:
            about = note["chat"]
            if not all(about[name] is None or isinstance(about[name], str | bool) for name in _SETTINGS):
                raise TypeError("settings are texts or switches")
            options = {name: about[name] for name in _SETTINGS} | options
            turns = [Turn.from_described(entry) for entry in about["turns"]]
        except (KeyError, TypeError, ValueError, OverflowError):
            raise StateError(f"{path}: the conversation in it is damaged; save it again") from None
        chat = cls(model, **options)
        if not turns:
            chat._start = state
            return chat
        chat.turns = [*turns[:-1], replace(turns[-1], state_after=state)]
        if model.initial.advanced(model.initial.data, chat.tokens).chain != state.chain:
            chat._start = None  # it began from a state that is not in the file
        return chat

    # ------------------------------------------------------------ inside

    def _check_idle(self) -> None:
        if self._busy:
            raise SettingsError("a reply is under way; iterate to its end or close it first")

    def _retry(self) -> Iterator[ChatPiece]:
        turn = self.undo()
        count = len(self.turns)
        try:
            yield from self._ask(turn.user, turn.attempt + 1)
        finally:
            if len(self.turns) == count:  # no new answer: the old one stays
                self.turns.append(turn)

    def _ask(self, text: str, attempt: int) -> Iterator[ChatPiece]:
        self._check_idle()
        if not text.strip():
            raise SettingsError("the message is empty; say something")
        reply = Reply(self, text, attempt)
        self._busy = True
        try:
            yield from reply.pieces()
        except GeneratorExit:
            reply.abandon()
            raise
        except KeyboardInterrupt:
            reply.interrupt()
            raise
        finally:
            self._current, self._busy = None, False

    def _record(self, turn: Turn) -> None:
        self.turns.append(turn)
        old = len(self.turns) - SNAPSHOTS - 1
        if old >= 0:
            self.turns[old] = replace(self.turns[old], state_before=None, state_after=None)

    def _state_at(self, count: int) -> State:
        """The state after `count` turns; read again from the nearest that is kept."""
        known = next(i for i in range(count, -1, -1) if i == 0 or self._kept(i) is not None)
        state = self._kept(known)
        if state is None:
            raise StateError(
                "the state this conversation began with is not known, so it cannot go back that far; "
                "it was started from a tuned or saved state"
            )
        tokens = [token for turn in self.turns[known:count] for token in turn.tokens]
        return self._read(tokens, state) if tokens else state

    def _kept(self, count: int) -> State | None:
        """The state after `count` turns, if it is at hand."""
        if count == 0:
            return self._start
        after = self.turns[count - 1].state_after
        return after if after is not None or count == len(self.turns) else self.turns[count].state_before

    def _generate(self, request: Request) -> Generation:
        from rookery.engine import generate

        self._current = self.engine.submit(request) if self.engine else generate(self.model, request)
        return self._current

    def _read(self, tokens: list[int], state: State) -> State:
        """The state after reading these tokens too."""
        after = self._generate(Request(tokens, max_tokens=0, state=state)).result().state
        assert after is not None
        return after

    def _lead(self) -> str:
        """What comes before the next turn of the user."""
        if self.turns or (self._start is not None and self._start.count):
            return self.format.separator
        return self.format.system_turn(self.system)

    def _sampler(self, attempt: int) -> Sampler:
        if self.sampler.seed is None:
            return self.sampler
        return replace(self.sampler, seed=(self.sampler.seed + (len(self.turns) << 16) + attempt) % SEEDS)
