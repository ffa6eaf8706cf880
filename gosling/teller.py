"""
What a plot tells with: the words of one tale, its paragraphs, and what can be asked about it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from cast import PLACES, WORLDS, Being, being, friend_of, parent_of, thing, world_of
from weave import weave

__all__ = ["PLOTS", "Plot", "Tale", "Teller", "plot"]

Telling = Callable[["Teller"], None]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot grammar: `about` is how people ask for it; `worlds` where it can happen."""

    name: str
    about: str
    worlds: tuple[str, ...]
    tell: Telling


PLOTS: dict[str, Plot] = {}


def plot(about: str, worlds: str = "any") -> Callable[[Telling], Telling]:
    """Enter a function among the plots.  worlds: "any", "animals" or names of worlds."""
    groups = {"any": WORLDS, "animals": tuple(world for world in WORLDS if world != "town")}
    chosen = groups.get(worlds) or tuple(worlds.split())

    def enter(tell: Telling) -> Telling:
        PLOTS[tell.__name__] = Plot(tell.__name__, about, chosen, tell)
        return tell

    return enter


@dataclass(frozen=True, slots=True)
class Tale:
    """A finished tale.

    subject: how people ask for it: "a lost ball".
    who:     the characters, the hero first.
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


_OPENINGS = (
    "Once upon a time, there was {h.intro}. {H.he} lived in {h.home}.",
    "Once upon a time, {h.intro} lived in {h.home}.",
    "Once there was {h.intro} who lived in {h.home}.",
    "There once was {h.intro}. {H.his} home was {h.home}.",
    "In {h.home} lived {h.intro}.",
    "{H} was {a h.aged}. {H.he} lived in {h.home} [with {h.his} family|].",
    "{H} was {a h.aged} who lived in {h.home}.",
    "This is [a|the] story of {h.intro}.",
    "{H.intro} lived in {h.home}. [It was not big, but it was a good place to live.|{H.he} liked it there very much.|]",
    "Long ago, there was {h.intro}.",
    "{H} [the {h.kind} lived|lived] in {h.home}.",
    "There was a {h.kind} [named|called] {h}. {H.he} was [kind and curious|cheerful and quick|friendly and a bit shy|brave and funny|gentle and clever].",
    "Not very far away, in {h.home}, there lived {h.intro}.",
)
_MORNINGS = (
    "One [sunny|bright|warm|fine|quiet|windy|cool|beautiful] [morning|day|afternoon],",
    "One [morning|day|afternoon],",
    "One day,",
    "One [spring|summer|autumn] [morning|day|afternoon],",
    "[Early one morning|One morning after breakfast|Late one afternoon],",
)
_ENDS = (
    "The end.",
    "And that was the end of a [very good|long and happy|wonderful|busy] day.",
    "{H} went to bed [happy|with a smile] that night.",
    "That night, {h} slept [well|very well|like a stone].",
    "And they were [all|both] very happy." ,
    "It had been a [good|fine|very special] day.",
)


@dataclass(slots=True)
class Teller:
    """Tells one tale.

    size: 0 leaves out all that is not needed, 1 keeps some of it, 2 all.
    hero: who it is to be about; with it the world is given.
    """

    rng: Random
    size: int
    hero: Being
    words: dict[str, object] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    who: list[Being] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    summary: str = ""
    afterwards: str = ""
    lesson: str = ""

    def __post_init__(self) -> None:
        self.who.append(self.hero)
        self.words["h"] = self.hero
        self.words["p"] = self.rng.choice(PLACES[self.world])

    @property
    def world(self) -> str:
        return world_of(self.hero.kind)

    def names(self) -> list[str]:
        return [one.name for one in self.who]

    def friend(self, key: str = "f") -> Being:
        """A new character of the same world."""
        return self._enter(key, friend_of(self.rng, self.hero, self.names()))

    def elder(self, key: str = "m") -> Being:
        return self._enter(key, parent_of(self.rng, self.hero))

    def one(self, key: str, kind: str, female: bool | None = None) -> Being:
        """A new character of a given kind."""
        return self._enter(key, being(self.rng, kind, self.names(), female))

    def _enter(self, key: str, who: Being) -> Being:
        self.who.append(who)
        self.words[key] = who
        return who

    def take(self, key: str, sort: str, noun: str | None = None) -> None:
        """A thing of a sort."""
        self.words[key] = thing(self.rng, sort, noun)

    def let(self, key: str, template: str) -> None:
        """Choose a phrase once, to be the same wherever the tale names it."""
        self.words[key] = weave(self.rng, template, self.words).removesuffix(".")

    def choose(self, key: str, phrases: str) -> None:
        """One of several phrases, divided by commas, as it stands."""
        self.words[key] = self.rng.choice(phrases.split(", "))

    def p(self, *templates: str) -> None:
        """A paragraph out of sentences."""
        self.told.append(weave(self.rng, " ".join(templates), self.words))

    def more(self, *templates: str) -> None:
        """A paragraph that the tale can do without."""
        if self.size == 2 or (self.size == 1 and self.rng.random() < 0.6):
            self.p(*templates)

    def open(self, *templates: str) -> None:
        """The usual beginning, and what is said on."""
        self.p(self.rng.choice(_OPENINGS), *templates)

    def day(self, *templates: str) -> None:
        """A paragraph that begins with a time of day."""
        self.p(self.rng.choice(_MORNINGS), *templates)

    def end(self, *templates: str) -> None:
        """The last paragraph; now and then with a closing sentence."""
        last = self.rng.choice(_ENDS[:4]) if self.rng.random() < 0.35 else ""
        self.p(*templates, last)

    def about(self, summary: str, after: str = "", moral: str = "") -> None:
        """What the tale is in one sentence, what happened then, and what it teaches."""
        self.summary = weave(self.rng, summary, self.words)
        self.afterwards = weave(self.rng, after or self.rng.choice(_AFTER), self.words)
        self.lesson = weave(self.rng, moral, self.words)

    def moral(self, moral: str) -> None:
        """A lesson, said at the end of half of the tales."""
        self.lesson = weave(self.rng, moral, self.words)
        if self.rng.random() < 0.5:
            self.p(self.rng.choice(_LESSONS).replace("@", self.lesson[:1].lower() + self.lesson[1:]))

    def ask(self, question: str, answer: str) -> None:
        """A question that the tale answers."""
        self.asked.append((weave(self.rng, question, self.words), weave(self.rng, answer, self.words)))

    def finished(self, name: str) -> Tale:
        subject = weave(self.rng, PLOTS[name].about, self.words)
        return Tale(
            name,
            tuple(part for part in self.told if part),
            tuple(self.who),
            subject[:1].lower() + subject[1:],
            self.summary,
            self.afterwards,
            self.lesson,
            tuple(self.asked),
        )


_LESSONS = (
    "From that day on, {h} knew that @",
    "{H} had learned that @",
    "And {h} never forgot that @",
    "So {h} found out that @",
)
_AFTER = (
    "Then {h} went home, had [some soup|some supper|a warm drink] and [fell asleep|went to bed].",
    "After that, {h} told everybody at home about it, and they [listened|smiled|clapped].",
    "The next day, {h} woke up early and wanted to [go out|play] again.",
    "Then {h} [sat down|lay down] and dreamed of the next [adventure|day].",
)
