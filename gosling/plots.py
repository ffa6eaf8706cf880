"""
Plot grammars, read from the text files in `plots/`.

A plot is a list of lines, each a word and what it is applied to; an indented line goes on with the one before.
A line that begins with # is a remark.  The sentences are templates as `weave.py` describes them.

    plot NAME                 a new plot
    about PHRASE              how people ask for it: "a lost {x}"
    where WORLD ...           where it can happen: worlds of `cast.py`, "animals" (all but the town), "any" (default)
    hero KIND ...             who it is about, where that is not open
    friend K, elder K         somebody of the hero's world, or of the hero's family, under the key K
    one K KIND ...            somebody of one of these kinds
    take K SORT ...           a thing of one of these sorts (of `cast.STOCK`; SORT/NOUN for that very thing)
    spot K, sight K           a place to hide, something to look at, both where the tale happens
    let K PHRASE              a phrase that is chosen once
    open, day, p, end TEXT    paragraphs: the usual beginning, one with a time of day, any, the last
    more TEXT                 a paragraph that can be left out
    sum, then, moral TEXT     the tale in a sentence, what happened afterwards, what it teaches
    ask QUESTION? = ANSWER    something that the tale answers

The hero is {h}, the place {p}.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cast import WORLDS, world_of

__all__ = ["DIRECTIVES", "Plot", "plots", "plots_in"]

FOLDER = Path(__file__).parent / "plots"
DIRECTIVES = frozenset(
    [
        "friend",
        "elder",
        "one",
        "take",
        "spot",
        "sight",
        "let",
        "open",
        "day",
        "p",
        "end",
        "more",
        "sum",
        "then",
        "moral",
        "ask",
    ]
)
_GROUPS = {"any": WORLDS, "animals": tuple(world for world in WORLDS if world != "town")}


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot grammar: its steps are pairs of a directive and its argument; `kinds` of heroes, empty for any."""

    name: str
    about: str
    worlds: tuple[str, ...]
    kinds: tuple[str, ...]
    steps: tuple[tuple[str, str], ...]


@cache
def plots() -> dict[str, Plot]:
    """All plots by name, in the order of the files and their lines."""
    found: dict[str, Plot] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for plot in plots_in(path):
            if plot.name in found:
                raise ValueError(f"{path}: there are two plots called {plot.name!r}; give one of them another name")
            found[plot.name] = plot
    return found


def plots_in(path: Path) -> Iterator[Plot]:
    """The plots of one file; ValueError names the line that is not understood."""
    steps: list[tuple[str, str]] = []
    for number, line in _lines(path):
        word, _, rest = line.partition(" ")
        if word == "plot" and steps:
            yield _plot(steps)
            steps = []
        if word not in DIRECTIVES | {"plot", "about", "where", "hero"}:
            raise ValueError(f"{path}:{number}: unknown word {word!r}; known: {', '.join(sorted(DIRECTIVES))}")
        steps.append((word, rest.strip()))
    if steps:
        yield _plot(steps)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, continuations joined, remarks and empty ones left out."""
    held, at = "", 0
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] == " ":
            held += " " + line.strip()
            continue
        if held:
            yield at, held
        held, at = line.strip(), number
    if held:
        yield at, held


def _plot(lines: list[tuple[str, str]]) -> Plot:
    head = {word: rest for word, rest in lines if word in ("plot", "about", "where", "hero")}
    kinds = tuple(kind.replace("_", " ") for kind in head.get("hero", "").split())
    names = [world_of(kind) for kind in kinds] or head.get("where", "any").split()
    worlds = tuple(world for name in names for world in _GROUPS.get(name, (name,)))
    unknown = set(worlds) - set(WORLDS)
    if unknown:
        raise ValueError(f"plot {head['plot']!r}: unknown world {sorted(unknown)[0]!r}; known: {', '.join(WORLDS)}")
    steps = tuple((word, rest) for word, rest in lines if word in DIRECTIVES)
    return Plot(head["plot"], head.get("about", ""), worlds, kinds, steps)
