"""Counting, small sums, comparing."""

from __future__ import annotations

from talker import Talk, scene
from weave import listed

ONES = listed(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_FRUIT = listed(
    "apples pears plums eggs buns shells stones marbles books balls flowers nuts cherries coins buttons cakes pencils"
)
_ORDER = listed("first second third fourth fifth sixth seventh eighth ninth tenth")


def spelt(number: int) -> str:
    return ONES[number] if number <= 20 else str(number)


def _form(k: Talk) -> bool:
    """Whether numbers are written as words."""
    return k.chance(0.5)


def _number(n: int, as_word: bool) -> str:
    return spelt(n) if as_word else str(n)


@scene(2)
def plus(k: Talk) -> None:
    top = k.rng.choice((5, 10, 10, 20))
    total = k.rng.randint(1, top)
    a = k.rng.randint(0, total)
    w = _form(k)
    k.let(a=_number(a, w), b=_number(total - a, w), c=_number(total, w))
    k.say(
        "[What is {a} plus {b}|How much is {a} plus {b}|What is {a} and {b}|Can you add {a} and "
        "{b}|{a} plus {b}|{a} + {b} = ]?".replace("{a} + {b} = ]", "How much is {a} + {b}]"),
        "[{A} plus {b} is {c}.|{A} and {b} make {c}.|That is {c}.|{A} plus {b} makes {c}.|It is {c}.]",
        exact=True,
    )


@scene(1.3)
def minus(k: Talk) -> None:
    a = k.rng.randint(1, k.rng.choice((5, 10, 20)))
    b = k.rng.randint(0, a)
    w = _form(k)
    k.let(a=_number(a, w), b=_number(b, w), c=_number(a - b, w))
    k.say(
        "[What is {a} minus {b}|How much is {a} minus {b}|What is {a} take away {b}|Take {b} away "
        "from {a}. What is left]?",
        "[{A} minus {b} is {c}.|That is {c}.|{A} take away {b} is {c}.|It is {c}.]",
        exact=True,
    )


@scene(0.8)
def times(k: Talk) -> None:
    a, b = k.rng.randint(1, 5), k.rng.randint(1, 5)
    k.let(a=spelt(a), b=spelt(b), c=_number(a * b, a * b <= 20))
    k.say(
        "[What is {a} times {b}|How much is {a} times {b}]?",
        "[{A} times {b} is {c}.|That is {c}.|It is {c}.]",
        exact=True,
    )


@scene(1.5)
def count_up(k: Talk) -> None:
    last = k.rng.randint(3, 20)
    w = k.chance(0.6)
    row = [_number(n, w) for n in range(1, last + 1)]
    k.let(n=_number(last, w), row=", ".join(row))
    k.say(
        "[Count to {n}|Can you count to {n}?|Please count to {n}|Count up to {n} for me|Can you "
        "count from {first} to {n}?]".replace("{first}", row[0]),
        "[{Row}.|Yes! {Row}.|Here I go: {row}.|{Row}!]",
        exact=True,
    )


@scene(0.8)
def count_down(k: Talk) -> None:
    start = k.rng.randint(3, 10)
    w = k.chance(0.6)
    k.let(n=_number(start, w), row=", ".join(_number(n, w) for n in range(start, 0, -1)))
    k.say(
        "[Count down from {n}|Can you count backwards from {n}?|Count backwards from {n}]",
        "[{Row}.|{Row}!|Here I go: {row}.]",
        exact=True,
    )


@scene(1.2)
def after_before(k: Talk) -> None:
    n = k.rng.randint(2, 19)
    w = _form(k)
    step, word = k.rng.choice(((1, "after"), (-1, "before")))
    k.let(n=_number(n, w), m=_number(n + step, w), word=word)
    k.say(
        "[What comes {word} {n}|Which number comes {word} {n}|What number is {word} {n}]?",
        "[{M} comes {word} {n}.|{M}.|It is {m}.|The number {word} {n} is {m}.]",
        exact=True,
    )


@scene(1.2)
def bigger(k: Talk) -> None:
    a, b = k.rng.sample(range(1, 21), 2)
    w = _form(k)
    word, chosen = k.rng.choice((("bigger", max(a, b)), ("smaller", min(a, b))))
    other = a + b - chosen
    k.let(a=_number(a, w), b=_number(b, w), c=_number(chosen, w), d=_number(other, w), word=word)
    k.say(
        "[Which is {word}, {a} or {b}|Which number is {word}: {a} or {b}|What is {word}, {a} or {b}]?",
        "[{C} is {word} than {d}.|{C} is {word}.|{C}.]",
        exact=True,
    )


@scene(2.2)
def in_a_basket(k: Talk) -> None:
    """A small sum told as a story, with the thing counted to the end."""
    things = k.rng.choice(_FRUIT)
    adds = k.chance(0.6)
    a = k.rng.randint(1, 8) if adds else k.rng.randint(2, 10)
    b = k.rng.randint(1, 6) if adds else k.rng.randint(1, a)
    c = a + b if adds else a - b
    one = {"cherries": "cherry"}.get(things, things.removesuffix("s"))

    def many(n: int) -> str:
        return f"{spelt(n)} {one if n == 1 else things}"

    person = k.name("who")
    k.let(a=many(a), b=spelt(b), c=many(c), number=spelt(c), things=things, who=person)
    if adds:
        k.say(
            "[{who} has {a}. [A friend gives {who} {b} more.|Then {who} finds {b} more.|{who} gets {b} "
            "more.]|I have {a} and I get {b} more.|There are {a} in a basket. I put in {b} more.] How "
            "many {things} [are there now|is that|are there in all]?",
            "[{A} and {b} more make {c}.|There are {c} now.|That makes {c}.|{C}.]".replace(
                "There are {c} now.", "That is {c}."
            ),
            exact=True,
        )
    else:
        k.say(
            "[{who} has {a}. {who} gives away {b}.|I have {a} and give away {b}.|{who} had {a} but lost "
            "{b}.] How many {things} are left?",
            "[{C} [is|are] left.|{A} take away {b} leaves {c}.|The answer is {c}.|{C}.]".replace(
                "[is|are]", "is" if c == 1 else "are"
            ).replace("{C} is left.", "{C} is left.")
            if c
            else "[None are left.|There are no {things} left.|Zero. They are all gone.]",
            exact=True,
        )


@scene(0.7)
def even_odd(k: Talk) -> None:
    n = k.rng.randint(1, 20)
    k.let(n=_number(n, _form(k)), kind="even" if n % 2 == 0 else "odd")
    k.say(
        "[Is {n} even or odd|Is {n} an even or an odd number]?",
        "[{N} is {kind}.|{N} is an {kind} number.|It is {kind}.]",
        exact=True,
    )


@scene(0.8)
def too_hard(k: Talk) -> None:
    a, b = k.rng.randint(100, 9999), k.rng.randint(12, 999)
    k.let(a=str(a), b=str(b))
    k.say(
        "[What is {a} times {b}|How much is {a} times {b}|What is {a} divided by {b}|Can you work out {a} times {b}]?",
        "[That is too hard for me. I can do small sums only.|I am sorry, such big numbers are too "
        "hard for me.|I do not know. I can only count with small numbers.|That is a big sum! I am "
        "too small for it. Try a small one.]",
        exact=True,
    )
