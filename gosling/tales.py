"""
Simple tales for small children, written by plot grammars.

`tale(rng)` tells one; `hero`, `name` and `plot` say what it is to be about, `size` how long it is.
"""

from __future__ import annotations

from random import Random

import tales_lost  # noqa: F401
from cast import KINDS, Being, being, world_of
from teller import PLOTS, Tale, Teller

__all__ = ["Tale", "plots_for", "tale"]

_ANIMALS = tuple(KINDS)


def tale(rng: Random, hero: Being | None = None, plot: str | None = None, size: int | None = None) -> Tale:
    """One tale.  size: 0 short, 1 usual, 2 long; by default mixed."""
    size = rng.choice((0, 1, 1, 2, 2)) if size is None else size
    if hero is None:
        hero = being(rng, _kind(rng, plot))
    chosen = plot or rng.choice(plots_for(hero.kind))
    teller = Teller(rng, size, hero)
    PLOTS[chosen].tell(teller)
    return teller.finished(chosen)


def plots_for(kind: str) -> list[str]:
    """The plots that such a hero can have."""
    world = world_of(kind)
    return [name for name, entry in PLOTS.items() if world in entry.worlds]


def _kind(rng: Random, plot: str | None) -> str:
    worlds = PLOTS[plot].worlds if plot else tuple(PLACES_OF)
    town = "town" in worlds and (rng.random() < 0.5 or worlds == ("town",))
    if town:
        return rng.choice(("girl", "boy"))
    return rng.choice([kind for kind in _ANIMALS if KINDS[kind][0] in worlds])


PLACES_OF = {entry[0] for entry in KINDS.values()} | {"town"}

if __name__ == "__main__":
    import sys

    chance = Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        told = tale(chance, plot=sys.argv[3] if len(sys.argv) > 3 else None)
        print(f"--- {told.plot}: {told.summary} / {told.after} / {told.moral}\n{told.text}")
        print(told.asked, "\n")
