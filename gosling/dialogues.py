"""
Simple conversations in the form User: ... Assistant: ...

`dialogue(rng)` makes one, of one to eight turns or a few more: scenes one after the other, with questions for what
the user told before.
"""

from __future__ import annotations

from random import Random

import dialogues_count  # noqa: F401
import dialogues_memory  # noqa: F401
import dialogues_tales  # noqa: F401
import dialogues_words  # noqa: F401
import dialogues_world  # noqa: F401
from dialogues_follow import follow
from dialogues_manner import bye, greet, thanks
from talker import SCENES, Dialogue, Talk

__all__ = ["Dialogue", "dialogue"]

_LENGTHS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 6)
LONGEST = 8


def dialogue(rng: Random) -> Dialogue:
    """One conversation."""
    talk = Talk(rng)
    length = rng.choice(_LENGTHS)
    if length > 1 and talk.chance(0.4):
        talk.done.add("greeting")
        greet(talk)
    while len(talk.turns) < length:
        _next(talk, length)
    for _ in range(len(talk.told) if length > 1 or talk.chance(0.6) else 0):
        if len(talk.turns) >= LONGEST:
            break
        _recall(talk)
    _close(talk)
    return Dialogue(tuple(talk.turns))


def _next(talk: Talk, length: int) -> None:
    """An answer to Gosling, a question for something told before, or a new scene."""
    if talk.turns and talk.chance(0.6) and follow(talk):
        return
    if talk.told and len(talk.turns) > 1 and talk.chance(0.35):
        _recall(talk)
        return
    names = list(SCENES)
    play = talk.rng.choices(names, [SCENES[name][1] for name in names])[0]
    SCENES[play][0](talk)


def _recall(talk: Talk) -> None:
    """The user asks for one of the facts; each is asked once."""
    question, answer = talk.told.pop(talk.rng.randrange(len(talk.told)))
    talk.say(question, answer)


def _close(talk: Talk) -> None:
    if len(talk.turns) >= LONGEST:
        return
    if talk.chance(0.15):
        thanks(talk)
    if len(talk.turns) > 2 and talk.chance(0.3):
        bye(talk)


if __name__ == "__main__":
    import sys

    chance = Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        print(dialogue(chance).text, "\n---")
