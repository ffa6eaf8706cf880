"""
What the user says to a question of Gosling's: a chat in which nobody answers is none.

`follow(talk)` looks at the end of the last reply and adds the turn that it asks for, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable

import dialogues_memory as memory
from dialogues_tales import tell_any
from dialogues_world import riddle
from talker import Talk

__all__ = ["follow"]

_YES = "[Yes|Yes, please|Yes please|Okay|Sure|Oh yes|Please do|Yes, I would like that|Yeah][!|.|]"
_NO = "[No|No, thanks|No, thank you|Not now|Maybe later|Not today][.|]"


def follow(k: Talk) -> bool:
    """Answer Gosling's last question; False where the user lets it pass."""
    last = k.turns[-1][1] if k.turns else ""
    for ending, reply in _REPLIES:
        if any(last.endswith(end) for end in ending.split("|")):
            return reply(k)
    return False


def _story(k: Talk) -> bool:
    if k.chance(0.2):
        k.say(_NO, "[All right. Maybe later.|That is fine. What would you like to do?|As you like.]")
    elif k.once("story"):
        tell_any(k, k.choose(_YES))
    else:
        return False
    return True


def _riddle(k: Talk) -> bool:
    riddle(k)
    return True


def _name(k: Talk) -> bool:
    if not k.once("own name"):
        return False
    k.name("me")
    k.say(
        "[{me}|I am {me}|My name is {me}|It is {me}|I'm {me}|{me} is my name|They call me {me}][.|!|]",
        "[Nice to meet you, {me}.|Hello, {me}!|{me}! That is a nice name.|It is good to meet you, "
        "{me}.] [How are you?|What shall we do?|What would you like to talk about?|]",
    )
    memory.remember_name(k)
    return True


def _well(k: Talk) -> bool:
    if not k.once("user is"):
        return False
    if k.chance(0.65):
        k.say(
            "[I am fine|I am good|Good, thanks|Very well, thank you|I am well|I am happy "
            "today|Fine|Great|I am fine, thanks][.|!|]",
            "[I am glad to hear that!|That is good!|Wonderful!|That makes me happy.|Good!] [What shall "
            "we talk about?|What would you like to do?|]",
        )
    else:
        k.say(
            "[I am a bit tired|Not so good|I am sad|Not very well|I am tired today|Bad|So so][.|]",
            "[I am sorry to hear that.|Oh, I am sorry.] [Would a story help?|Do you want to tell me "
            "about it?|I hope it gets better soon.]",
        )
    return True


def _day(k: Talk) -> bool:
    k.say(
        "[It was good|It was a good day|Good|I played all day|It was fun][.|!|]",
        "[I am glad to hear that!|How nice!|That is good!|Wonderful!]",
    )
    return True


def _size(k: Talk) -> bool:
    k.let(size=k.choose("[big|small|very big|very small|quite small]"))
    k.say(
        "[{Size}|{Size}, I think|It is {size}|Oh, {size}][.|]",
        "[Big or small, I am sure that it is lovely.|I see! I am small too.|That is nice.|Then it must be sweet.]"
        if "small" in str(k.words["size"])
        else "[Oh, I am very small myself.|That is nice.|I see! Much bigger than I am.]",
    )
    return True


def _like_there(k: Talk) -> bool:
    if k.chance(0.75):
        k.say(
            "[Yes|Yes, very much|Yes, it is nice here|I do|I like it here][.|!|]",
            "[That is good.|I am glad to hear that.|How nice!]",
        )
    else:
        k.say(
            "[No|Not really|Not so much|It is too loud here][.|]",
            "[I am sorry to hear that.|That is a pity. Maybe it will get better.|Oh. What don't you like?]".replace(
                "don't you", "do you not"
            ),
        )
    return True


def _why_sad(k: Talk) -> bool:
    k.say(
        "[I lost my toy|My friend moved away|My friend was angry with me|Somebody laughed at me|It "
        "rained all day|I am all alone today|I broke my cup][.|]",
        "[That is sad. I am sorry.|I understand that you are sad.|Oh, I am sorry. Maybe talking to "
        "somebody you like will help.|I am sorry. Tomorrow may be a better day.]",
    )
    return True


def _pet_likes(k: Talk) -> bool:
    k.say(
        "[Sleep|Eat|It likes to sleep|It likes to play|It likes to eat|Play and eat][.|!|]",
        "[That sounds like a happy animal.|I can understand that!|How nice!|That is what animals like.]",
    )
    return True


def _what_to_do(k: Talk) -> bool:
    if k.chance(0.35):
        k.say(
            "[I do not know|I don't know|Nothing special|You choose|What can we do][.|?|]".replace("[.|?|]", ""),
            "[Shall I tell you a story?|I could tell you a story or a riddle.|Then let us count: one, "
            "two, three! Or would you like a story?|You could tell me about your day.]".replace(
                "Or would you like a story?", "Shall I tell you a story?"
            ),
        )
        return True
    return False


def _friends_do(k: Talk) -> bool:
    k.say(
        "[We play|We play ball|We read books|We go for walks|We talk a lot|We cook together|We play games][.|]",
        "[That sounds like fun!|How nice!|That is good to hear.|It is good to have somebody like that.]",
    )
    return True


Reply = Callable[[Talk], bool]
_REPLIES: tuple[tuple[str, Reply], ...] = (
    (
        "hear a story?|tell you a story?|Would a story help?|quiet story?|Shall I tell one?|tell "
        "another one?|tell one?|it rains?",
        _story,
    ),
    ("like a riddle?|or a riddle?", _riddle),
    ("What is your name?|And your name?", _name),
    ("How are you?|How are you today?|And you?|how are you?", _well),
    ("How was your day?|have a good day?", _day),
    ("big or small?", _size),
    ("Do you like it there?", _like_there),
    ("tell me about it?|tell me why?", _why_sad),
    ("like to do?", _pet_likes),
    ("What shall we do?|What would you like to do?|What shall we talk about?|like to talk about?", _what_to_do),
    ("do together?", lambda k: _friends_do(k)),
)
