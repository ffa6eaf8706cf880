"""
Conversations: what is said in them is checked by reading the text again, with nothing known of how it was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import pytest
from dialogues import LONGEST, dialogue

from rookery.prompts import FORMATS, clean

SAMPLE = [dialogue(Random(f"sample {i}")).text for i in range(4000)]
NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
]


def turns(text: str) -> list[tuple[str, str]]:
    """A conversation taken apart again, by the words that stand before each turn."""
    parts = re.split(r"(?:^|\n\n)(User|Assistant): ", text)
    assert parts[0] == ""
    roles, said = parts[1::2], parts[2::2]
    assert roles == ["User", "Assistant"] * (len(roles) // 2)
    return list(zip(said[::2], said[1::2], strict=True))


ALL = [turns(text) for text in SAMPLE]
PAIRS = [pair for pairs in ALL for pair in pairs]


def number(word: str) -> int:
    return NUMBERS.index(word.lower()) if word.lower() in NUMBERS else int(word)


def numbers(text: str) -> list[int]:
    return [number(word) for word in re.findall(rf"\b(?:{'|'.join(NUMBERS)}|\d+)\b", text, re.IGNORECASE)]


def matching(pattern: str) -> Iterator[tuple[re.Match[str], str]]:
    for user, answer in PAIRS:
        match = re.search(pattern, user, re.IGNORECASE)
        if match:
            yield match, answer


def test_the_form_is_that_of_the_chat():
    world = FORMATS["world"]
    for text, pairs in zip(SAMPLE, ALL, strict=True):
        messages = [
            {"role": role, "content": said}
            for pair in pairs
            for role, said in zip(("user", "assistant"), pair, strict=True)
        ]
        assert world.render(messages) == text
        assert all(clean(message["content"]) == message["content"] for message in messages)
        assert 1 <= len(pairs) <= LONGEST + 4


def test_no_marks_of_templates_are_left():
    for user, answer in PAIRS:
        for said in (user, answer):
            assert not re.search(r"[{}\[\]|@]|  | [.,!?;]", said), said
            assert said


def test_answers_are_sentences():
    for user, answer in PAIRS:
        assert answer[0].isupper() or answer[0].isdigit() or answer[0] == '"', (user, answer)
        assert answer[-1] in '.!?"', (user, answer)
        assert answer.count('"') % 2 == 0, (user, answer)
        assert not re.search(r"\b[Aa] (?!one\b|uni|use)[aeiou]", answer), answer
        assert not re.search(r"\b[Aa]n (?!hour|honest)[b-df-hj-np-tv-z]", answer), answer


def test_sums_are_right():
    checked = 0
    for words, sign in (("plus|and|\\+", 1), ("minus|take away", -1)):
        for match, answer in matching(rf"(?:what is|how much is|add) (\w+) (?:{words}) (\w+)\??$"):
            try:
                expected = number(match[1]) + sign * number(match[2])
            except ValueError:
                continue
            assert numbers(answer)[-1] == expected, (match[0], answer)
            checked += 1
    for match, answer in matching(r"(?:what is|how much is) (\w+) times (\w+)\??$"):
        if number(match[1]) < 20 and number(match[2]) < 11:
            assert numbers(answer)[-1] == number(match[1]) * number(match[2]), (match[0], answer)
            checked += 1
    assert checked > 200


def test_told_sums_are_right():
    checked = 0
    for match, answer in matching(r"^(.*) how many (\w+) (are left|are there now|are there in all|is that)"):
        first, second = numbers(re.sub(r"\bone \w+ gives", "gives", match[1], flags=re.IGNORECASE))[:2]
        left = match[3].lower() == "are left"
        expected = first - second if left else first + second
        said = numbers(answer)
        assert (said and said[-1] == expected) or (expected == 0 and re.search("none|no|zero", answer, re.I)), answer
        checked += 1
    assert checked > 80


def test_counting_is_right():
    checked = 0
    for match, answer in matching(r"count (?:to|up to|from \w+ to) (\w+)"):
        assert numbers(answer) == list(range(1, number(match[1]) + 1)), answer
        checked += 1
    for match, answer in matching(r"count (?:down|backwards) from (\w+)"):
        assert numbers(answer) == list(range(number(match[1]), 0, -1)), answer
        checked += 1
    assert checked > 40


def test_comparing_and_order_are_right():
    for match, answer in matching(r"which (?:number )?is (bigger|smaller)[,:] (\w+) or (\w+)"):
        chosen = max if match[1].lower() == "bigger" else min
        assert numbers(answer)[0] == chosen(number(match[2]), number(match[3]))
    for match, answer in matching(r"(?:number )?(?:comes|is) (after|before) (\w+)\??$"):
        if match[2].lower() in NUMBERS or match[2].isdigit():
            expected = number(match[2]) + (1 if match[1].lower() == "after" else -1)
            assert expected in numbers(answer), (match[0], answer)


def test_spelling_is_right():
    checked = 0
    for match, answer in matching(
        r"(?:do you spell|^spell|can you spell|spell the word|how is) (?:the word )?(\w+)(?: spelt)?"
    ):
        if match[1] == "the" or "-" not in answer:
            continue
        spelt = re.search(r"\b([A-Z](?:-[A-Z])+)\b", answer)
        assert spelt, (match[0], answer)
        assert spelt[1].replace("-", "").lower() == match[1].lower(), (match[0], answer)
        checked += 1
    assert checked > 80


PETS = "dog|cat|rabbit|hamster|parrot|pony|turtle|goldfish|kitten|puppy|mouse|duck|hen|goat|lamb"
PEOPLE = "sister|brother|mother|father|aunt|uncle|grandmother|grandfather|cousin|teacher|neighbour|friend"
THINGS = "hat|book|bag|umbrella|phone|scarf|ticket|map|pencil"
TOLD = {  # how a fact is told, and how it is asked for; the answer must hold what was told
    rf"my ({PETS}) is called (\w+)": r"what is my {0} called|name of my {0}\b|what's my {0}'s name",
    rf"my ({PEOPLE}) is called (\w+)[.]?$": r"what is my {0} called|my {0}'s name|name of my {0}\b",
    rf"my ({PEOPLE}) (?:is|works as) an? (\w+)[.]?$": r"what does my {0} do|what is my {0}'s job",
    r"my favourite (colour|food|number) is ([\w ]+?)[.]?$": r"my favourite {0}\b.*\?|which {0} do i like best",
    rf"my ({THINGS}) is ((?:in|on|under|behind|next to|by) [\w ]+?)[.]?$": r"where is my {0}|where (did i|my {0})",
    r"(\bmy name) is (\w+)[.]?$": r"what is my name|what's my name|my name\?",
}


@pytest.mark.parametrize("told", list(TOLD))
def test_facts_asked_for_later_are_those_told(told):
    checked = 0
    for pairs in ALL:
        for i, (user, _) in enumerate(pairs):
            match = re.search(told, user, re.IGNORECASE)
            if not match or "?" in user:
                continue
            question = TOLD[told].format(match[1].lower())
            for later, answer in pairs[i + 1 :]:
                if re.search(question, later, re.IGNORECASE):
                    expected = match[2].lower().replace("my ", "your ")
                    assert expected in answer.lower(), (user, later, answer)
                    checked += 1
    assert checked > 3


def test_a_story_has_what_was_asked_for():
    checked = 0
    for match, answer in matching(
        r"story about an? (?:little )?([a-z]+(?: bear)?)(?: called (\w+))?[.!,]?(?: please[.]?)?$"
    ):
        if len(answer.split()) < 40 or match[1].split()[0] in ("lost", "new", "secret", "noise", "song"):
            continue
        kind = match[1] if match[1] != "polar" else "polar bear"
        told = answer.lower()
        if kind in told:
            checked += 1
        if match[2]:
            assert match[2].lower() in told
    assert checked > 100


def test_conversations_are_different():
    assert len(set(SAMPLE)) > 0.97 * len(SAMPLE)


def test_the_same_chance_says_the_same():
    assert [dialogue(Random(f"s{i}")).text for i in range(50)] == [dialogue(Random(f"s{i}")).text for i in range(50)]
