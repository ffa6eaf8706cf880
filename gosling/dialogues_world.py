"""Simple knowledge: sounds, colours, uses, days and months, animals, riddles."""

from __future__ import annotations

import lore
from talker import Talk, scene
from weave import article


@scene(1.8)
def sound(k: Talk) -> None:
    animal = k.rng.choice(list(lore.SOUNDS))
    k.let(a=animal, s=lore.SOUNDS[animal])
    if k.chance(0.2) and list(lore.SOUNDS.values()).count(lore.SOUNDS[animal]) == 1:
        k.say(
            "[Which animal says {s}|What animal goes {s}|Who says {s}]?",
            "[The {a} says {s}.|It is the {a}.|The {a}!]",
            exact=True,
        )
        return
    k.say(
        "[What does {a a} say|What sound does {a a} make|How does {a a} go|What noise does {a a} "
        "make|What does the {a} say]?",
        "[{S}!|{A a} says {s}.|The {a} says {s}.|{S}, {s}!|It says {s}.]",
        exact=True,
    )


@scene(1.8)
def colour(k: Talk) -> None:
    what = k.rng.choice(list(lore.COLOURS))
    plural = what.startswith("leaves")
    k.let(a=what, c=lore.COLOURS[what], be="are" if plural else "is")
    k.say(
        "[What colour {be} {a}|Which colour {be} {a}|What color {be} {a}|Tell me what colour {a} {be}]?".replace(
            "|Tell me what colour {a} {be}", ""
        ),
        "[{A} {be} {c}.|{C}.]" if not plural else "[They are {c}.|{C}.]",
        exact=True,
    )


@scene(2)
def use(k: Talk) -> None:
    what = k.rng.choice(list(lore.USES))
    many = what in ("scissors", "glasses", "gloves", "shoes")
    purpose = lore.USES[what]
    k.let(a=what, u=purpose, be="are" if many else "is", it="They are" if many else "It is")
    k.say(
        "[What {be} {a} for|What do we use {a} for|What do people need {a} for|What can you do with "
        "{a}|Why do we need {a}]?",
        "[{A} {be} [used|there] {u}.|{It} [used|there] {u}.|You use {them} {u}.]".replace(
            "{them}", "them" if many else "it"
        ),
        exact=True,
    )


@scene(1.8)
def days(k: Talk) -> None:
    row, one = k.rng.choice(((lore.DAYS, "day"), (lore.MONTHS, "month"), (lore.SEASONS, "season")))
    i = k.rng.randrange(len(row))
    step, word = k.rng.choice(((1, "after"), (-1, "before")))
    k.let(a=row[i], b=row[(i + step) % len(row)], word=word, one=one)
    k.say(
        "[What comes {word} {a}|Which {one} comes {word} {a}|What {one} is {word} {a}]?",
        "[{B} comes {word} {a}.|{B}.|It is {b}.|The {one} {word} {a} is {b}.]",
        exact=True,
    )


@scene(1)
def all_days(k: Talk) -> None:
    k.say(
        *k.rng.choice(
            (
                (
                    "[What are the days of the week|Tell me the days of the week|Can you say the days of the "
                    "week][?|.]",
                    ", ".join(lore.DAYS[:-1]) + " and " + lore.DAYS[-1] + ".",
                ),
                (
                    "[What are the months of the year|Tell me the months|Can you say the months][?|.]",
                    ", ".join(lore.MONTHS[:-1]) + " and " + lore.MONTHS[-1] + ".",
                ),
                (
                    "[What are the seasons|Which seasons are there|Tell me the four seasons][?|.]",
                    "[Spring, summer, autumn and winter.|There are four seasons: spring, summer, autumn and winter.]",
                ),
                ("How many days are in a week?", "[Seven.|A week has seven days.]"),
                ("How many months are in a year?", "[Twelve.|A year has twelve months.]"),
                ("How many hours has a day?", "[Twenty-four.|A day has twenty-four hours.]"),
                (
                    "[What is the first day of the week|With which day does the week begin]?",
                    "[Monday is the first day of the week in many countries.|In many countries it is Monday.]",
                ),
                (
                    "[Which month is the first of the year|What is the first month]?",
                    "[January is the first month.|January.]",
                ),
                (
                    "[Which month is the last of the year|What is the last month]?",
                    "[December is the last month.|December.]",
                ),
                (
                    "[Say the alphabet|What is the alphabet|Can you say the letters][?|.]",
                    "A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, Z.",
                ),
            )
        ),
        exact=True,
    )


@scene(1.2)
def young(k: Talk) -> None:
    animal = k.rng.choice(list(lore.YOUNG))
    k.let(a=animal, b=lore.YOUNG[animal])
    k.say(
        "[What is a baby {a} called|What do you call a young {a}|What is a young {a} called|How is a baby {a} called]?",
        "[A young {a} is called {a b}.|It is called {a b}.|{A b}.]",
        exact=True,
    )


@scene(1.2)
def where_lives(k: Talk) -> None:
    animal = k.rng.choice(list(lore.HOMES))
    k.let(a=animal, w=lore.HOMES[animal])
    k.say(
        "[Where does {a a} live|Where do you find {a a}|Where is the home of {a a}]?",
        "[{A a} lives {w}.|It lives {w}.|{W}.]",
        exact=True,
    )


@scene(1.5)
def animal_fact(k: Talk) -> None:
    animal = k.rng.choice(list(lore.ANIMALS))
    legs, flies, swims = lore.ANIMALS[animal]
    k.let(a=animal, n={0: "no", 2: "two", 4: "four", 6: "six", 8: "eight"}[legs])
    way = k.rng.choice(("legs", "fly", "swim"))
    if way == "fly" and flies is not None:
        k.say(
            "Can {a a} fly?",
            "[Yes, {a a} can fly.|Yes, it can.]" if flies else "[No, {a a} cannot fly.|No, it cannot.]",
            exact=True,
        )
    elif way == "swim" and swims is not None:
        k.say(
            "Can {a a} swim?",
            "[Yes, {a a} can swim.|Yes, it can.]" if swims else "[No, {a a} cannot swim.|No, it cannot.]",
            exact=True,
        )
    else:
        k.say(
            "[How many legs does {a a} have|How many legs has {a a}]?",
            "[{A a} has {n} legs.|It has {n} legs.]",
            exact=True,
        )


@scene(2.5)
def yes_no(k: Talk) -> None:
    question = k.rng.choice(list(lore.YES_NO))
    k.say(f"{question}?", lore.YES_NO[question])


@scene(3)
def why(k: Talk) -> None:
    question = k.rng.choice(list(lore.WHY))
    lead = k.choose("[||||Do you know: |Tell me, ]") if k.manner != "bare" else ""
    k.say(f"{lead}{question[0].lower() + question[1:] if lead else question}?", lore.WHY[question])


@scene(1.8)
def member(k: Talk) -> None:
    group = k.rng.choice(list(lore.GROUPS))
    members = lore.GROUPS[group].split(", ")
    if k.chance(0.5):
        one = k.rng.choice(members)
        k.let(g=group, one=one)
        k.say(
            "[Name {a g}|Tell me {a g}|Can you name {a g}|Give me the name of {a g}|Do you know {a g}][?|.]",
            "[{One}.|{One} is {a g}.|How about {one}?|One is {one}.]".replace("|One is {one}.", ""),
            exact=True,
        )
        return
    k.let(g=group, gs=_many(group), row=_three(k.rng.sample(members, 3)))
    k.say(
        "[Name three {gs}|Tell me three {gs}|Can you name three {gs}|Give me three {gs}][?|.]",
        "[{Row}.|Three {gs} are {row}.]",
        exact=True,
    )


def _many(group: str) -> str:
    special = {
        "fruit": "kinds of fruit",
        "piece of clothing": "pieces of clothing",
        "part of the body": "parts of the body",
        "thing in a kitchen": "things in a kitchen",
        "thing with wheels": "things with wheels",
    }
    return special.get(group, group + "s")


def _three(row: list[str]) -> str:
    return f"{row[0]}, {row[1]} and {row[2]}"


@scene(1.2)
def odd_one_out(k: Talk) -> None:
    """Is this a fruit?"""
    groups = ["fruit", "animal", "colour", "tool", "flower", "drink", "toy", "insect", "season"]
    group = k.rng.choice(groups)
    other = (
        group
        if k.chance(0.5)
        else k.rng.choice(
            [
                g
                for g in groups
                if g != group and {g, group} not in ({"animal", "insect"}, {"colour", "fruit"}, {"colour", "flower"})
            ]
        )
    )
    one = k.rng.choice(lore.GROUPS[other].split(", "))
    one = "the colour orange" if one == "orange" else one
    kind = group if group == "fruit" else article(group)
    k.let(one=one, kind="a fruit" if group == "fruit" else kind, real=article(other))
    k.say(
        "Is {one} {kind}?",
        "[Yes, {one} is {kind}.|Yes, it is.]" if other == group else "[No, {one} is {real}.|No. It is {real}.]",
        exact=True,
    )


@scene(1.8)
def riddle(k: Talk) -> None:
    question, answer = k.rng.choice(lore.RIDDLES)
    if not k.once(question):
        return
    k.let(q=question, a=answer)
    if k.chance(0.35):
        k.say(
            "[Solve this riddle|Here is a riddle|Can you guess this][:] {q}",
            "[It is {a}.|{A}!|I think it is {a}.|You are {a}!]".replace("|You are {a}!", ""),
            exact=True,
        )
        return
    k.say(
        "[Tell me a riddle|Do you know a riddle|Give me a riddle|A riddle, please|I want a riddle][?|.]".replace(
            "[?|.]", ""
        ),
        "[|Here is one: |Listen: |All right. ]{q}",
    )
    way = k.rng.choice(("right", "wrong", "unsure"))
    others = [a for q, a in lore.RIDDLES if a != answer]
    k.let(w=k.rng.choice(others))
    if way == "right":
        k.say(
            "[{A}|Is it {a}?|It is {a}|I think it is {a}|{A}!]",
            "[Yes, that is right! It is {a}.|Right! Well done.|Yes! It is {a}.|That is right. You are clever!]",
            exact=True,
        )
    elif way == "wrong":
        k.say(
            "[{W}|Is it {w}?|It is {w}|I think it is {w}]",
            "[No, it is {a}.|Not quite. It is {a}.|No. The answer is {a}.|A good try, but it is {a}.]",
            exact=True,
        )
    else:
        k.say(
            "[I do not know|I don't know|What is it?|Tell me|I give up|No idea][.|]".replace("[.|]", ""),
            "[It is {a}.|The answer is {a}.|{A}!]",
        )
