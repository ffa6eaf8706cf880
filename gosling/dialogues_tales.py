"""Stories on request, and questions about the story that was told."""

from __future__ import annotations

from cast import BOYS, GIRLS, KINDS, being
from tales import plots_for, tale
from talker import Talk, scene
from teller import Tale
from weave import article

_MORE = (
    ("[What happened then|What happened next|And then|Then what happened|Go on|What happened after that]?", "after"),
    (
        "[Make it shorter|Can you make it shorter|Tell it in one sentence|What was the story "
        "about|Say it in short|Sum it up]",
        "summary",
    ),
    ("[Who was in the story|Who is in the story|Who was the story about]?", "who"),
    ("[What can we learn from it|What is the moral of the story|What does the story teach]?", "moral"),
)


@scene(5)
def story(k: Talk) -> None:
    if not k.once("story"):
        return
    told = _ordered(k)
    _talk_about(k, told)


def _ordered(k: Talk) -> Tale:
    """A story, asked for by animal, by name, by subject, or just so."""
    way = k.rng.choice(("kind", "kind", "kind", "name", "subject", "any"))
    ask = k.choose(
        "[Tell me a story|Can you tell me a story|Please tell me a story|Tell a story|I want a "
        "story|Write a story|Write a little story|Tell me a short story|Could you tell me a story]"
    )
    kind = k.rng.choice(("girl", "boy", *KINDS, *KINDS))
    hero = being(k.rng, kind)
    plot = k.rng.choice(plots_for(kind))
    size = k.rng.choice((0, 0, 0, 1))
    told = tale(k.rng, hero, plot, size)
    if way == "kind":
        asked = f"{ask} about {article(k.choose('[|little |]') + kind)}"
    elif way == "name":
        named = hero.name if hero.as_child else f"{article(kind)} called {hero.name}"
        asked = f"{ask} about {named if k.chance(0.5) or not hero.as_child else article(kind) + ' called ' + hero.name}"
    elif way == "subject" and told.subject:
        asked = f"{ask} about {told.subject}"
    else:
        asked = ask
    lead = k.choose("[|||Here is a story. |Of course! |With pleasure. |All right. ]")
    k.raw(asked + k.choose("[.||!|, please.|]"), lead + told.line)
    return told


def _talk_about(k: Talk, told: Tale) -> None:
    """Some questions about it, each once."""
    facts = list(told.asked)
    k.rng.shuffle(facts)
    count = k.rng.choice((0, 1, 1, 2, 3))
    general = [entry for entry in _MORE if _answer(told, entry[1])]
    k.rng.shuffle(general)
    for _ in range(count):
        if facts and k.chance(0.6):
            question, answer = facts.pop()
            k.say(question, answer)
        elif general:
            question, what = general.pop()
            k.say(question, _answer(told, what))
    if k.chance(0.25):
        k.say(
            "[I like that story|That was a nice story|What a good story|I liked it][!|.]",
            "[I am glad that you liked it.|Thank you! Shall I tell another one?|That makes me happy.|Thank you!]",
        )


def _answer(told: Tale, what: str) -> str:
    if what == "after":
        return told.after
    if what == "summary":
        return told.summary
    if what == "moral":
        return told.moral
    names = [who.label for who in told.who]
    return names[0] + "." if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] + "."


def tell_any(k: Talk, asked: str) -> None:
    """Tell a story of Gosling's own choice to a user who said yes."""
    told = tale(k.rng, None, None, 0)
    k.raw(asked, k.choose("[|||Here is a story. |Good! |All right. ]") + told.line)
    _talk_about(k, told)


@scene(0.8)
def which_story(k: Talk) -> None:
    """A request without a subject, and the question back."""
    if not k.once("story"):
        return
    kind = k.rng.choice(("girl", "boy", *KINDS))
    hero = being(k.rng, kind)
    k.let(story_kind=kind, story_name=hero.name)
    k.say(
        "[Tell me a story|I would like a story|Can I have a story|Do you know a story][?|.|]",
        "[What should it be about?|Who should be in it?|Gladly! What about?|About what?]",
    )
    told = tale(k.rng, hero, None, 0)
    asked = (
        "[About {a story_kind}|{A story_kind}|{A story_kind}, please|It should be about {a "
        "story_kind}|{A story_kind} called {story_name}]"
        if not hero.as_child
        else "[About {a story_kind}|About {a story_kind} called {story_name}|{A story_kind} named {story_name}]"
    )
    k.raw(asked + "[.|]", told.line)
    _talk_about(k, told)


@scene(0.6)
def name_a_hero(k: Talk) -> None:
    if not k.once("hero name"):
        return
    female = k.chance(0.5)
    names = k.rng.sample(GIRLS if female else BOYS, 2)
    k.let(n1=names[0], n2=names[1])
    k.say(
        f"[I need a name for a {'girl' if female else 'boy'}|Tell me a name for a "
        f"{'girl' if female else 'boy'}|What is a good name for a {'girl' if female else 'boy'}][.|?|]".replace(
            "is a good", "is a good"
        ),
        "[How about {n1}?|{n1} is a nice name.|Maybe {n1}, or {n2}.|I like the name {n1}.]",
    )
