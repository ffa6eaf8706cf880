"""Opposites, spelling, letters, plurals, rhymes, meanings of words."""

from __future__ import annotations

import lore
from talker import Talk, scene
from weave import listed

_SPELL = listed(
    "cat dog sun moon star tree house mouse apple bread water milk honey king queen river green yellow orange "
    "purple black white happy friend school flower garden bird fish horse sheep goose duck frog snow rain cloud "
    "window table chair spoon knife book letter paper pencil hand foot nose mouth mother father sister brother "
    "uncle summer winter spring autumn little small big light night day morning story song drum ball kite boat "
    "bridge butter cheese cake egg lemon pear plum cherry carrot potato tomato rabbit monkey lion tiger elephant "
    "turtle penguin nest egg seed leaf root"
)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


@scene(2.5)
def opposite(k: Talk) -> None:
    word = k.rng.choice(list(lore.OPPOSITES))
    k.let(a=word, b=lore.OPPOSITES[word])
    k.say(
        "[What is the opposite of {a}|What's the opposite of {a}|Tell me the opposite of {a}|Do you "
        "know the opposite of {a}|The opposite of {a}|{A} is the opposite of what]?",
        "[The opposite of {a} is {b}.|{B}.|It is {b}.|{B} is the opposite of {a}.]",
        exact=True,
    )


@scene(2)
def spell(k: Talk) -> None:
    word = k.rng.choice(_SPELL)
    k.let(a=word, b="-".join(word.upper()))
    k.say(
        "[How do you spell {a}|Spell {a}|Can you spell {a}|Please spell the word {a}|How is {a} "
        "spelt|Spell the word {a} for me][?|.]",
        "[{B}.|{A}: {b}.|It is spelt {b}.|You spell it {b}.]",
        exact=True,
    )


@scene(0.8)
def letters(k: Talk) -> None:
    word = k.rng.choice([w for w in _SPELL if len(w) <= 8])
    way = k.rng.choice(("first", "last", "count"))
    if way == "count":
        numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"]
        k.let(a=word, n=numbers[len(word)], b="-".join(word.upper()))
        k.say(
            "[How many letters are in {a}|How many letters has the word {a}]?",
            "[{A} has {n} letters.|{N}: {b}.|{B}. That is {n} letters.]",
            exact=True,
        )
        return
    k.let(a=word, b=(word[0] if way == "first" else word[-1]).upper(), way=way)
    k.say(
        "[What is the {way} letter of {a}|With which letter does {a} begin]?"
        if way == "first"
        else "[What is the last letter of {a}|With which letter does {a} end]?",
        "[It is {b}.|{B}.|The {way} letter of {a} is {b}.]",
        exact=True,
    )


@scene(0.7)
def alphabet(k: Talk) -> None:
    i = k.rng.randint(0, 24)
    k.let(a=_ALPHABET[i].upper(), b=_ALPHABET[i + 1].upper())
    if k.chance(0.5):
        k.say(
            "[Which letter comes after {a}|What comes after the letter {a}]?",
            "[{B} comes after {a}.|{B}.|It is {b}.]",
            exact=True,
        )
    else:
        k.say(
            "[Which letter comes before {b}|What comes before the letter {b}]?",
            "[{A} comes before {b}.|{A}.|It is {a}.]",
            exact=True,
        )


@scene(1)
def plural(k: Talk) -> None:
    word = k.rng.choice(list(lore.PLURALS))
    k.let(a=word, b=lore.PLURALS[word])
    k.say(
        "[One {a}, two what|What is the plural of {a}|What is more than one {a} called|What do you "
        "say for two of {a}]?".replace("|What do you say for two of {a}", ""),
        "[Two {b}.|{B}.|The plural of {a} is {b}.|One {a}, two {b}.]",
        exact=True,
    )


@scene(1)
def rhyme(k: Talk) -> None:
    row = k.rng.choice(lore.RHYMES)
    a, b = k.rng.sample(row, 2)
    k.let(a=a, b=b)
    k.say(
        "[What rhymes with {a}|Tell me a word that rhymes with {a}|Do you know a rhyme for {a}|Find "
        "a rhyme for {a}][?|.]",
        "[{B} rhymes with {a}.|{B}.|{A} and {b} rhyme.|How about {b}?]",
        exact=True,
    )


@scene(2.5)
def meaning(k: Talk) -> None:
    word = k.rng.choice(list(lore.MEANINGS))
    k.let(a=word, bare=word.removeprefix("a ").removeprefix("an ").removeprefix("the "), m=lore.MEANINGS[word])
    k.say(
        "[What is {a}|What's {a}|Do you know what {a} is|Can you tell me what {a} is|What does the "
        "word {bare} mean|Explain the word {bare}]?",
        "{A} is {m}.",
        exact=True,
    )


@scene(0.8)
def unknown_word(k: Talk) -> None:
    word = k.choose(
        "[flimbo|grontle|zabber|plindy|wockle|snarpy|trombit|quizzop|drungle|blorp|fendle|gribbit|noostle|vimper|yarfle|krindle]"
    )
    k.let(a=word)
    k.say(
        "[What is a {a}|What does {a} mean|Do you know what a {a} is]?",
        "[I do not know that word.|I do not know what that is.|I have never read that word. What "
        "does it mean?|I do not know. Is it a real word?]",
        exact=True,
    )


@scene(0.6)
def sentence_with(k: Talk) -> None:
    lines = {
        "cat": "The cat sleeps in the sun.",
        "dog": "My dog likes to run.",
        "moon": "The moon shines over the hill.",
        "rain": "The rain falls on the roof.",
        "tree": "A bird sings in the tree.",
        "apple": "She eats a red apple.",
        "boat": "The boat sails on the river.",
        "house": "The house has a green door.",
        "snow": "The snow is white and cold.",
        "book": "He reads a good book.",
        "friend": "A friend helps you when you are sad.",
        "bread": "The baker makes fresh bread.",
        "flower": "A flower grows by the wall.",
        "song": "They sing a happy song.",
        "river": "The river flows to the sea.",
        "king": "The king lost his crown.",
        "star": "A star shines in the night.",
        "hat": "His hat flew away in the wind.",
    }
    word = k.rng.choice(list(lines))
    k.let(a=word)
    k.say(
        "[Make a sentence with the word {a}|Write a sentence with {a}|Can you use {a} in a "
        "sentence|Give me a sentence with {a}][?|.]",
        lines[word],
        exact=True,
    )
