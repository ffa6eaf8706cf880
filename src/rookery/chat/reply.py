"""
One turn of a conversation on its way: reads what the user said, generates the reply, records the turn.

Knows the chat it belongs to; keeps its state exact when the reply is stopped, cancelled, left or interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rookery.chat.thinking import Part, ThinkingSplitter
from rookery.chat.turns import ChatPiece, Turn
from rookery.generation import Generation, Request
from rookery.state import State

if TYPE_CHECKING:
    from rookery.chat.chat import Chat

__all__ = ["Reply"]


class Reply:
    """A turn; iterate over `pieces` once.

    text: what the user said.  attempt: how often the turn was retried before.
    """

    def __init__(self, chat: Chat, text: str, attempt: int) -> None:
        self.chat, self.format, self.attempt = chat, chat.format, attempt
        self.text, self.think = text, chat.think
        self.mode = chat.format.mode(chat.think)
        self.before = chat.state
        self.lead = chat._lead()
        self.user = chat.model.tokenizer.encode(self.lead + self.format.user_turn(text, self.think))
        self.middle: State | None = None  # between the user's turn and the assistant's
        self.generation: Generation | None = None
        self.read: list[int] = []  # from `middle` on, by generations before the present one
        self.said: list[Part] = []
        self.splitter = ThinkingSplitter(self.format.open, self.format.close)
        self._recorded = False

    def pieces(self) -> Iterator[ChatPiece]:
        finish = self._read_user()
        if finish is None:
            self._take(self.splitter.feed(self.mode.opening))
            stop, late, gate = self.format.stops(self.think)
            yield from self._generate(self._prompt(), stop, late, gate)
            if self._silent():
                yield from self._generate(self._past_blank(), (*stop, *late), (), None)
            assert self.generation is not None
            finish = self.generation.finish or "stop"
            yield from self._pieces(self.splitter.finish())
            self._conclude(finish)
        yield ChatPiece("", finish=finish)

    def abandon(self) -> None:
        """The iteration was left: what was said until then counts."""
        if self.generation is not None and not self._recorded:
            self.generation.cancel()
            for piece in self.generation:
                self._take(self.splitter.feed(piece.text))
            self._take(self.splitter.finish())
            self._conclude(self.generation.finish or "cancelled")

    def interrupt(self) -> None:
        """An exception broke a step in the middle: the states of before are good, what was said is read again."""
        if self.generation is not None and not self._recorded:
            self.generation.cancel()
            self._take(self.splitter.finish())
            self._conclude("cancelled", again=True)

    def _read_user(self) -> str | None:
        """Read the user's turn, where the assistant's begins with a word of its own; "cancelled" or None."""
        if not self.format.assistant:
            return None
        start = time.perf_counter()
        request = Request(self.user, max_tokens=0, state=self.before, progress=self.chat.progress)
        generation = self.chat._generate(request).result()
        self.chat.stats.prompt_s += time.perf_counter() - start
        self.chat.stats.prompt += generation.prompt_read
        if generation.finish == "cancelled":
            return "cancelled"
        self.middle = generation.state
        return None

    def _prompt(self) -> list[int]:
        """What the model goes on from."""
        if self.middle is None:
            return self.user
        return self.chat.model.tokenizer.encode(self.format.reply(self.think))

    def _generate(
        self, prompt: list[int], stop: tuple[str, ...], late: tuple[str, ...], gate: str | None
    ) -> Iterator[ChatPiece]:
        chat, old = self.chat, self.generation
        state = old.state if old is not None else self.middle or self.before
        left = chat.max_tokens - (len(old.tokens) if old is not None else 0)
        report = chat.progress if prompt is self.user else None
        request = Request(
            prompt, chat._sampler(self.attempt), left, stop, late=late, gate=gate, state=state, progress=report
        )
        start = first = time.perf_counter()
        self.generation = chat._generate(request)
        try:
            for piece in self.generation:
                if prompt is self.user and first == start:
                    first = time.perf_counter()  # until then the message was read
                yield from self._pieces(self.splitter.feed(piece.text))
        finally:
            chat.stats.prompt += self.generation.prompt_read
            chat.stats.prompt_s += first - start
            chat.stats.generated += len(self.generation.tokens)
            chat.stats.generated_s += time.perf_counter() - first

    def _silent(self) -> bool:
        """Whether a blank line ended the turn before anything was answered."""
        assert self.generation is not None
        stop, left = self.generation.stop, self.chat.max_tokens - len(self.generation.tokens)
        return (
            stop is not None and stop.text == self.format.end.encode() and left > 0 and not self._said(thinking=False)
        )

    def _past_blank(self) -> list[int]:
        assert self.generation is not None
        self.read = self.generation.read
        self._take(self.splitter.feed(self.format.end))
        return self.chat.model.tokenizer.encode(self.format.end)

    def _pieces(self, parts: list[Part]) -> Iterator[ChatPiece]:
        self._take(parts)
        for part in parts:
            yield ChatPiece(part.text, part.thinking)

    def _take(self, parts: list[Part]) -> None:
        self.said += parts

    def _said(self, thinking: bool) -> str:
        return "".join(part.text for part in self.said if part.thinking == thinking).strip()

    def _conclude(self, finish: str, *, again: bool = False) -> None:
        """Record the turn, with the state that history shall have."""
        assert self.generation is not None
        thinking, answer = self._said(thinking=True), self._said(thinking=False)
        if again or thinking or self.mode.opening or self.mode.suffix:
            tokens, after = self._plainly(answer)
        else:
            assert self.generation.state is not None
            tokens, after = self.read + self.generation.read, self.generation.state
            tokens = tokens if self.middle is None else self.user + tokens
        self._recorded = True
        self.chat._record(Turn(self.text, thinking, answer, finish, tuple(tokens), self.attempt, self.before, after))

    def _plainly(self, answer: str) -> tuple[list[int], State]:
        """Read the turn as history keeps it: without reasoning, openings and suffixes."""
        encode = self.chat.model.tokenizer.encode
        user, base = self.user, self.middle
        if self.mode.suffix or base is None:
            user, base = encode(self.lead + self.format.user_turn(self.text, "none")), self.before
        reply = encode(self.format.answered(answer))
        again = reply if base is self.middle else user + reply
        self.chat.stats.reread += len(again)
        return user + reply, self.chat._read(again, base) if again else base
