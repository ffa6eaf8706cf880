"""
A conversation as it is being made: its turns, what was told in it, and the manner in which the user writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from cast import BOYS, GIRLS
from weave import pick, weave

__all__ = ["SCENES", "Dialogue", "Scene", "Talk", "scene"]

Scene = Callable[["Talk"], None]
SCENES: dict[str, tuple[Scene, float]] = {}

_ORDERS = re.compile(
    r"(tell|name|give|spell|count|make|write|find|explain|please|go on|sum|say|talk|listen|let us|solve|here is)\b",
    re.I,
)
_ASKS = re.compile(r"(what|who|how|can|could|do|does|is|are|where|which|why|may|should|with)\b", re.I)
_MANNERS = ("plain",) * 6 + ("lower",) * 2 + ("bare",) * 3 + ("typo",)


def scene(weight: float = 1.0) -> Callable[[Scene], Scene]:
    """Enter a function among the scenes; one of weight 2 comes twice as often."""

    def enter(play: Scene) -> Scene:
        SCENES[play.__name__] = (play, weight)
        return play

    return enter


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A finished conversation: pairs of what the user said and what was answered."""

    turns: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """In the form of the prompt format "world"."""
        return "\n\n".join(f"User: {user}\n\nAssistant: {answer}" for user, answer in self.turns)


@dataclass(slots=True)
class Talk:
    """A conversation under way.

    manner: how the user writes: "plain", "lower" (no capitals), "bare" (nor full stops), "typo".
    told:   facts that the user has told and that are to be asked for: question and answer templates.
    done:   what need not come twice.
    """

    rng: Random
    manner: str = "plain"
    words: dict[str, object] = field(default_factory=dict)
    turns: list[tuple[str, str]] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.manner = self.rng.choice(_MANNERS)

    def say(self, user: str, answer: str, *, exact: bool = False) -> None:
        """One turn.  exact: the user's words hold something that a slip would change."""
        asked = weave(self.rng, user, self.words)
        self.turns.append((self._written(asked, exact), weave(self.rng, answer, self.words)))

    def raw(self, user: str, answer: str) -> None:
        """One turn whose answer is finished text."""
        self.turns.append((self._written(weave(self.rng, user, self.words), False), answer))

    def let(self, **words: object) -> None:
        self.words.update(words)

    def choose(self, template: str) -> str:
        return pick(self.rng, template)

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def once(self, what: str) -> bool:
        """Whether this comes for the first time."""
        new = what not in self.done
        self.done.add(what)
        return new

    def name(self, key: str) -> str:
        """A name that nobody has in this conversation."""
        taken = {str(word) for word in self.words.values()}
        self.words[key] = self.rng.choice([name for name in GIRLS + BOYS if name not in taken])
        return str(self.words[key])

    def _written(self, text: str, exact: bool) -> str:
        if _ORDERS.match(text) and text.endswith("?"):
            text = text[:-1] + "."
        elif _ASKS.match(text) and text.endswith("."):
            text = text[:-1] + "?"
        if self.manner == "typo" and not exact and self.rng.random() < 0.5:
            return _slip(self.rng, text, " ".join(map(str, self.words.values())).split())
        if self.manner in ("lower", "bare"):
            text = text.lower()
        if self.manner == "bare" and text[-1:] in ".!?" and "\n" not in text:
            text = text[:-1].rstrip(".!?")
        return text


def _slip(rng: Random, text: str, spared: list[str]) -> str:
    """The text with two neighbouring letters of one longer word exchanged; names and such words are spared."""
    words = text.split(" ")
    fit = [
        i for i, word in enumerate(words) if len(word) > 4 and word.isalpha() and word.islower() and word not in spared
    ]
    if not fit:
        return text
    i = rng.choice(fit)
    at = rng.randrange(1, len(words[i]) - 2)
    word = words[i]
    words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)
