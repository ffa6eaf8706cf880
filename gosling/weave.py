"""
Sentences out of templates.

    [a|b|c]     one of the alternatives; they nest, and an empty one leaves the place out
    {h}         the word of that key; {h.his} an attribute of it; {H.his} the same with a capital
    {a x.full}  with "a" or "an" before it

Knows nothing of stories: words are any mapping of keys to strings or objects whose attributes are strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

__all__ = ["article", "capital", "listed", "pick", "tidy", "weave"]

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{([^{}]*)\}")
_START = re.compile(r'(^"?|\n"?|[.!?] "?)([a-z])')
_SPACES = re.compile(r" {2,}")
_BEFORE = re.compile(r" +([.,!?;:])")
_TWICE = re.compile(r'([?!])[,.?!](?=")')  # an alternative may bring a mark of its own
_SAID = re.compile(r'"([^"]*)([,!])"')
_ASKS = re.compile(
    r"(why|who|whose|where (is|are|did|do|can)|are (you|they|we)|do (you|they|we)|does|can (i|we|you)|may (i|we)"
    r"|shall (i|we)|have you|is (that|it|this|there)|did|will (you|it)|would you|could you"
    r"|what (is|are|do|did|shall|happened|kind)|how (do|can|did|could|is|are)|and where|then why)\b",
    re.IGNORECASE,
)
_SOUNDS_CONSONANT = ("uni", "use", "usu", "one", "once", "eu")
_SOUNDS_VOWEL = ("hour", "honest", "heir")


def listed(text: str) -> list[str]:
    """The entries of a list, divided by commas where there are any, else by spaces."""
    return text.split(", ") if ", " in text else text.split()


def article(phrase: str) -> str:
    """The phrase with the "a" or "an" that its first word asks for."""
    first = phrase.lstrip('"').lower()
    vowel = first[:1] in "aeiou" and not first.startswith(_SOUNDS_CONSONANT)
    return f"{'an' if vowel or first.startswith(_SOUNDS_VOWEL) else 'a'} {phrase}"


def capital(phrase: str) -> str:
    """The phrase with its first letter in upper case; the others stay."""
    return phrase[:1].upper() + phrase[1:]


def pick(rng: Random, template: str) -> str:
    """A template with its alternatives chosen, innermost first."""
    while "[" in template:
        template = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), template)
    return template


def weave(rng: Random, template: str, words: Mapping[str, object]) -> str:
    """A template filled in.  KeyError or AttributeError where it names a word that there is not."""
    text = pick(rng, template)
    while "{" in text:
        text = pick(rng, _SLOT.sub(lambda match: _word(match[1], words), text))
    return tidy(text)


def _word(slot: str, words: Mapping[str, object]) -> str:
    indefinite = slot[:2] in ("a ", "A ")
    upper = slot[:1].isupper()
    key, *path = (slot[2:] if indefinite else slot[:1].lower() + slot[1:]).split(".")
    value = words[key]
    for name in path:
        value = getattr(value, name)
    text = article(str(value)) if indefinite else str(value)
    return capital(text) if upper else text


def tidy(text: str) -> str:
    """Single spaces, none before a stop, a capital at the start of each sentence, the right mark after a question."""
    text = _BEFORE.sub(r"\1", _SPACES.sub(" ", " ".join(text.split())))
    text = _TWICE.sub(r"\1", _SAID.sub(_asked, text))
    return _START.sub(lambda match: match[1] + match[2].upper(), text)


def _asked(match: re.Match[str]) -> str:
    """What is said, with a question mark where its last sentence asks."""
    last = re.split(r"[.!?] ", match[1])[-1]
    return f'"{match[1]}{"?" if _ASKS.match(last) else match[2]}"'
