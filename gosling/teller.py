"""
Tells one tale after a plot: casts who and what it needs, weaves its paragraphs, and keeps what can be asked about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

from cast import PLACES, Being, Place, being, friend_of, parent_of, thing, world_of
from phrases import AFTERWARDS, ENDS, LESSONS, MORNINGS, OPENINGS
from plots import Plot
from weave import weave

__all__ = ["Tale", "Teller"]


@dataclass(frozen=True, slots=True)
class Tale:
    """A finished tale.

    plot:    the name of its plot.
    who:     the characters, the hero first.
    subject: how people ask for it: "a lost ball".
    summary: one sentence.  after: what happened then.  moral: what one can learn, or "".
    asked:   questions about it with their answers.
    """

    plot: str
    paragraphs: tuple[str, ...]
    who: tuple[Being, ...]
    subject: str
    summary: str
    after: str
    moral: str
    asked: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return "\n\n".join(self.paragraphs)

    @property
    def line(self) -> str:
        """The tale as one paragraph, for a reply in a conversation."""
        return " ".join(self.paragraphs)


@dataclass(slots=True)
class Teller:
    """Tells one tale.

    size: 0 leaves out all that is not needed, 1 keeps some of it, 2 all.
    hero: who it is about; with it the world is given.
    """

    rng: Random
    size: int
    hero: Being
    words: dict[str, object] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    who: list[Being] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    summary: str = ""
    after: str = ""
    lesson: str = ""

    def tell(self, plot: Plot) -> Tale:
        """The tale of a plot."""
        self.words["p"] = self.rng.choice(PLACES[world_of(self.hero.kind)])
        self._enter("h", self.hero)
        for directive, argument in plot.steps:
            getattr(self, f"_{directive}")(argument)
        subject = self._woven(plot.about)
        return Tale(
            plot.name,
            tuple(self.told),
            tuple(self.who),
            subject[:1].lower() + subject[1:],
            self.summary,
            self.after or self._woven(self.rng.choice(AFTERWARDS)),
            self.lesson,
            tuple(self.asked),
        )

    def _woven(self, template: str) -> str:
        return weave(self.rng, template, self.words)

    def _enter(self, key: str, who: Being) -> None:
        self.who.append(who)
        self.words[key] = who

    def _names(self) -> list[str]:
        return [one.name for one in self.who]

    # One method for each directive of a plot.

    def _friend(self, key: str) -> None:
        self._enter(key, friend_of(self.rng, self.hero, self._names()))

    def _elder(self, key: str) -> None:
        self._enter(key, parent_of(self.rng, self.hero))

    def _one(self, text: str) -> None:
        key, *kinds = text.split()
        kind = self.rng.choice([kind for kind in kinds if kind != self.hero.kind] or kinds)
        self._enter(key, being(self.rng, kind.replace("_", " "), self._names()))

    def _take(self, text: str) -> None:
        key, *sorts = text.split()
        sort, _, noun = self.rng.choice(sorts).partition("/")
        self.words[key] = thing(self.rng, sort, noun.replace("_", " ") or None)

    def _spot(self, key: str) -> None:
        self.words[key] = self.rng.choice(self._place.spots)

    def _sight(self, key: str) -> None:
        self.words[key] = self.rng.choice(self._place.sights)

    @property
    def _place(self) -> Place:
        place = self.words["p"]
        assert isinstance(place, Place)
        return place

    def _let(self, text: str) -> None:
        key, _, template = text.partition(" ")
        woven = self._woven("x " + template)  # a word in front, so that no capital is put on the phrase
        self.words[key] = woven.partition(" ")[2]

    def _p(self, template: str) -> None:
        self.told.append(self._woven(template))

    def _more(self, template: str) -> None:
        if self.size == 2 or (self.size == 1 and self.rng.random() < 0.6):
            self._p(template)

    def _open(self, template: str) -> None:
        self._p(f"{self.rng.choice(OPENINGS)} {template}")

    def _day(self, template: str) -> None:
        self._p(f"{self.rng.choice(MORNINGS)} {template}")

    def _end(self, template: str) -> None:
        self._p(template)
        over = re.search(r"night|evening|bed\b|asleep|sun went down", self.told[-1])
        if self.rng.random() < 0.35:
            self.told[-1] += " " + self._woven("The end." if over else self.rng.choice(ENDS))

    def _sum(self, template: str) -> None:
        self.summary = self._woven(template)

    def _then(self, template: str) -> None:
        self.after = self._woven(template)

    def _moral(self, template: str) -> None:
        """The lesson, which is said at the end of every third tale."""
        self.lesson = self._woven(template)
        if self.rng.random() < 0.35 and not self.told[-1].endswith("The end."):
            said = self.rng.choice(LESSONS).replace("@", self.lesson[:1].lower() + self.lesson[1:])
            self._p(said)

    def _ask(self, text: str) -> None:
        question, _, answer = text.partition(" = ")
        self.asked.append((self._woven(question), self._woven(answer)))
