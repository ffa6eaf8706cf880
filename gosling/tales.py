"""
Simple tales for small children, told after plot grammars.

    python gosling/tales.py [COUNT] [SEED] [PLOT]    prints some

`tale(rng)` tells one; `hero` and `plot` say what it is about, `size` how long it is.
"""

from __future__ import annotations

import sys
from random import Random

from cast import KINDS, Being, being, world_of
from plots import Plot, plots
from teller import Tale, Teller

__all__ = ["Tale", "plots_for", "tale"]

SIZES = (0, 1, 1, 2, 2)


def tale(rng: Random, hero: Being | None = None, plot: str | None = None, size: int | None = None) -> Tale:
    """One tale.  size: 0 short, 1 usual, 2 long; by default mixed.  KeyError where there is no such plot."""
    size = rng.choice(SIZES) if size is None else size
    chosen = plot or rng.choice(list(plots()) if hero is None else plots_for(hero.kind))
    hero = hero or being(rng, _kind(rng, plots()[chosen]))
    return Teller(rng, size, hero).tell(plots()[chosen])


def plots_for(kind: str) -> list[str]:
    """The names of the plots that such a hero can have."""
    world = world_of(kind)
    return [
        name for name, entry in plots().items() if world in entry.worlds and (not entry.kinds or kind in entry.kinds)
    ]


def _kind(rng: Random, plot: Plot) -> str:
    """What the hero is: a child in half of the tales that a child can have."""
    if plot.kinds:
        return rng.choice(plot.kinds)
    animals = [kind for kind in KINDS if world_of(kind) in plot.worlds]
    child = "town" in plot.worlds and (not animals or rng.random() < 0.5)
    return rng.choice(("girl", "boy") if child else animals)


def main() -> None:
    count, seed, plot = (*sys.argv[1:], *(None,) * 3)[:3]
    chance = Random(int(seed or 0))
    for _ in range(int(count or 3)):
        told = tale(chance, plot=plot)
        print(f"--- {told.plot} | {told.subject} | {told.summary} | {told.after} | {told.moral}\n{told.text}")
        print(*(f"{question} {answer}" for question, answer in told.asked), sep="\n", end="\n\n")


if __name__ == "__main__":
    main()
