"""
What a conversation consists of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rookery.state import State

__all__ = ["ChatPiece", "ChatStats", "Turn"]


@dataclass(frozen=True, slots=True)
class ChatPiece:
    """A stretch of a reply.

    thinking: whether it is reasoning, not answer.
    finish:   None, or why this is the last piece: "stop", "length", "cancelled".
    """

    text: str
    thinking: bool = False
    finish: str | None = None


_TEXTS = ("user", "thinking", "answer", "finish")


@dataclass(frozen=True, slots=True)
class Turn:
    """What the user said, what the model thought and answered.

    finish:  why the answer ended.  attempt: how often it had been retried.
    tokens:  the tokens that lead from `state_before` to `state_after`.
    state_before, state_after: None in turns long ago.
    """

    user: str
    thinking: str
    answer: str
    finish: str
    tokens: tuple[int, ...] = field(repr=False)
    attempt: int = 0
    state_before: State | None = field(default=None, repr=False)
    state_after: State | None = field(default=None, repr=False)

    def described(self) -> dict[str, Any]:
        """The turn as JSON says it; without states."""
        return {name: getattr(self, name) for name in (*_TEXTS, "tokens", "attempt")}

    @classmethod
    def from_described(cls, entry: Mapping[str, Any]) -> Turn:
        """The inverse; KeyError, TypeError or ValueError where it cannot be."""
        user, thinking, answer, finish = (entry[name] for name in _TEXTS)
        if not all(isinstance(text, str) for text in (user, thinking, answer, finish)):
            raise TypeError("texts are strings")
        tokens = tuple(int(token) for token in entry["tokens"])
        if not all(0 <= token < 1 << 31 for token in tokens):
            raise ValueError("token ids are not negative and fit 32 bits")
        return cls(user, thinking, answer, finish, tokens, int(entry["attempt"]))


@dataclass(slots=True)
class ChatStats:
    """Tokens and seconds spent by a `Chat` object so far.

    prompt: tokens read that the model did not write: what the user said, and what leads to a reply.
    generated: tokens chosen, reasoning included.
    reread: tokens of answers read once more without their reasoning.
    """

    prompt: int = 0
    generated: int = 0
    reread: int = 0
    prompt_s: float = 0.0
    generated_s: float = 0.0

    @property
    def tokens_per_s(self) -> float:
        """Generated tokens per second."""
        return self.generated / self.generated_s if self.generated_s else 0.0
