"""Conversations as documents: the bytes of each template, and which are learned.  Golden, written by hand."""

import json

import pytest

from rookery.errors import SettingsError
from rookery.prompts import FORMATS
from rookery.tokenizer import world
from rookery.train.data import Options
from rookery.train.data.conversations import conversation_pieces

TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi\n\nthere "},
    {"role": "assistant", "content": "Hello.\n\nHow are you?"},
    {"role": "user", "content": "Fine."},
    {"role": "assistant", "content": "Good."},
]


def marked(messages, **options):
    """The text, with what is learned between « and »."""
    pieces = conversation_pieces(messages, Options(**options), "here")
    return "".join(f"«{p.text.decode()}»" if p.target else p.text.decode() for p in pieces)


def turns(user, assistant):
    """The two turns after the front, as the simple formats write them."""
    return f"{user}: Hi\nthere\n\n{assistant}:« Hello.\nHow are you?\n\n»{user}: Fine.\n\n{assistant}:« Good.\n\n»"


GOLDEN = {
    "world": "System: Be kind.\n\n" + turns("User", "Assistant"),
    "world-instruct": "Be kind.\n\n" + turns("Instruction", "Response"),
    "world-qa": "Be kind.\n\n" + turns("Question", "Answer"),
    "raven": "Be kind.\n\n" + turns("Bob", "Alice"),
    "raven-instruct": (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "Be kind.\n\n# Instruction:\nHi\nthere\n\n# Response:\n«Hello.\nHow are you?\n\n»"
        "# Instruction:\nFine.\n\n# Response:\n«Good.\n\n»"
    ),
    "plain": "Be kind.Hi\n\nthere «Hello.\n\nHow are you?»Fine.«Good.»",
    "g1": "System: Be kind.\n\n" + turns("User", "Assistant"),
}


@pytest.mark.parametrize("format", FORMATS)
def test_golden(format):
    assert marked(TALK, format=format) == GOLDEN[format]


@pytest.mark.parametrize("format", FORMATS)
def test_the_text_is_the_prompt_that_chatting_reads(format):
    """Up to the last reply, which `render` leaves to the model, and that replies hold no blank lines."""
    kind = FORMATS[format]
    plain = [m | {"content": m["content"].replace("\n\n", "\n")} if m["role"] == "assistant" else m for m in TALK]
    text = marked(plain, format=format).replace("«", "").replace("»", "")
    assert text.startswith(kind.render(plain[:-1], "none"))
    assert text == kind.render(plain, "none") + kind.separator


def test_reasoning_is_learned_after_the_opening_that_the_program_writes():
    talk = [["user", "1+1?"], ["assistant", "<think>One\n\nand one.</think>\n\nTwo\n\nit is."]]
    assert marked(talk, format="g1") == ("User: 1+1?\n\nAssistant: <think«>One\n\nand one.</think>\n\nTwo\nit is.\n\n»")
    silent = [["user", "1+1?"], ["assistant", "<think>\n</think>\nTwo."]]
    assert marked(silent, format="g1") == "User: 1+1?\n\nAssistant: <think>\n</think«>\nTwo.\n\n»"


def test_the_pieces_are_encoded_where_chatting_cuts_them():
    pieces = conversation_pieces(TALK, Options(), "here")
    assert [p.text for p in pieces][:3] == [
        b"System: Be kind.\n\nUser: Hi\nthere\n\n",
        b"Assistant:",
        b" Hello.\nHow are you?\n\n",
    ]
    ids = [world().encode(p.text) for p in pieces]
    assert ids[1] == world().encode("Assistant:")


def test_all_words_may_be_learned():
    assert marked(TALK, targets="all").count("«") == 6
    with pytest.raises(SettingsError, match="targets is 'users', expected one of assistant, all"):
        marked(TALK, targets="users")


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "User", "content": "a"}, {"role": "Assistant", "content": "b"}],
        [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}],
        [["user", "a"], ["assistant", "b"]],
        [("User", "a"), ("Assistant", "b")],
    ],
)
def test_the_ways_data_sets_write_it(messages):
    assert marked(json.loads(json.dumps(messages))) == "User: a\n\nAssistant:« b\n\n»"


def test_tools_and_who_speaks_last():
    talk = [["user", "time?"], ["assistant", "clock()"], ["tool", "noon"], ["assistant", "Noon."], ["user", "Thanks"]]
    assert marked(talk) == (
        "User: time?\n\nAssistant:« clock()\n\n»User: noon\n\nAssistant:« Noon.\n\n»User: Thanks\n\n"
    )


def test_an_empty_reply_is_not_learned():
    assert marked([["user", "a"], ["assistant", "  "], ["user", "b"], ["assistant", "c"]]) == (
        "User: a\n\nAssistant: \n\nUser: b\n\nAssistant:« c\n\n»"
    )
