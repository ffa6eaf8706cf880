"""The bytes of every prompt format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rookery.errors import SettingsError
from rookery.prompts import FORMATS, clean, format_for, format_named
from rookery.tokenizer import load_tokenizer

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Why?\n\n\n    x = 1\n"},
]

GOLDEN = {
    ("g1", None): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\n"
    "User: Why?\n    x = 1\n\nAssistant: <think>\n</think",
    ("g1", "none"): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: Why?\n    x = 1\n\nAssistant:",
    ("g1", "on"): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: Why?\n    x = 1\n\nAssistant: <think",
    ("g1", "low"): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\n"
    "User: Why?\n    x = 1 (think a bit)\n\nAssistant: <think",
    ("g1", "medium"): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\n"
    "User: Why?\n    x = 1 (think)\n\nAssistant: <think",
    ("g1", "high"): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\n"
    "User: Why?\n    x = 1 (think a lot)\n\nAssistant: <think",
    ("world", None): "System: Be brief.\n\nUser: Hi\n\nAssistant: Hello.\n\nUser: Why?\n    x = 1\n\nAssistant:",
    ("world-instruct", None): "Be brief.\n\nInstruction: Hi\n\nResponse: Hello.\n\n"
    "Instruction: Why?\n    x = 1\n\nResponse:",
    ("world-qa", None): "Be brief.\n\nQuestion: Hi\n\nAnswer: Hello.\n\nQuestion: Why?\n    x = 1\n\nAnswer:",
    ("raven", None): "Be brief.\n\nBob: Hi\n\nAlice: Hello.\n\nBob: Why?\n    x = 1\n\nAlice:",
    ("raven-instruct", None): "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\nBe brief.\n\n# Instruction:\nHi\n\n# Response:\nHello.\n\n"
    "# Instruction:\nWhy?\n    x = 1\n\n# Response:\n",
    ("plain", None): "Be brief.HiHello.Why?\n\n\n    x = 1\n",
}


@pytest.mark.parametrize(("name", "think"), GOLDEN)
def test_golden_bytes(name: str, think: str | None) -> None:
    assert format_named(name).render(TALK, think) == GOLDEN[name, think]


def test_every_format_has_a_golden() -> None:
    assert {name for name, _ in GOLDEN} == set(FORMATS)
    assert {think for name, think in GOLDEN if name == "g1"} - {None} == set(FORMATS["g1"].modes) - {"off"}


def test_tools() -> None:
    result = [{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": '```json\n{"name": "add"}\n```'}]
    text = FORMATS["g1"].render([*result, {"role": "tool", "content": '{"sum": 4}'}], "none")
    assert text == (
        'User: 2+2?\n\nAssistant: ```json\n{"name": "add"}\n```\n\nUser: Function output:\n{"sum": 4}\n\nAssistant:'
    )


def test_a_reply_begun_is_continued() -> None:
    assert FORMATS["g1"].render([TALK[1], {"role": "assistant", "content": "Sure, "}]) == "User: Hi\n\nAssistant: Sure,"


@pytest.mark.parametrize("name", set(FORMATS) - {"plain"})
def test_prompts_never_end_in_a_space(name: str) -> None:
    assert all(not FORMATS[name].reply(mode).endswith(" ") for mode in FORMATS[name].modes)


def test_hygiene() -> None:
    assert clean("\r\n\r\n  a\r\n\r\n\r\n    b\tc\r\n") == "a\n    b\tc"
    assert clean("a\n\n\n\nUser: b") == "a\nUser: b"


def test_braces_in_texts_are_text() -> None:
    assert FORMATS["g1"].user_turn("{} {0} {text}", "none") == "User: {} {0} {text}\n\n"


def test_history_keeps_what_follows_the_reasoning() -> None:
    g1 = FORMATS["g1"]
    assert g1.kept("<think>\nlong\n\nthought</think>\n\nYes.") == "Yes."
    assert g1.kept("<think>never closed") == ""
    assert g1.kept(" Yes <think>") == "Yes <think>"
    assert FORMATS["world"].kept("<think>a</think> b") == "<think>a</think> b"


def test_stops() -> None:
    g1 = FORMATS["g1"]
    assert g1.stops("on") == (("\n\nUser:", "\n\nSystem:"), ("\n\n",), "</think>")
    assert g1.stops("off") == (("\n\nUser:", "\n\nSystem:", "\n\n"), (), None)
    assert FORMATS["plain"].stops() == ((), (), None)


def test_modes() -> None:
    g1, world = FORMATS["g1"], FORMATS["world"]
    assert g1.mode(True) is g1.modes["on"]
    assert g1.mode(False) is g1.mode(None) is g1.modes["off"]
    assert world.mode(False) is world.mode("none")
    with pytest.raises(SettingsError, match="think=True: the prompt format 'world' knows none"):
        world.mode(True)
    with pytest.raises(SettingsError, match="'loud'"):
        g1.mode("loud")


def test_unknown_names() -> None:
    with pytest.raises(SettingsError, match="no prompt format 'chatml'; known: g1, world"):
        format_named("chatml")
    with pytest.raises(SettingsError, match="message 1 has role 'system'"):
        FORMATS["g1"].render([TALK[1], TALK[0]])


@pytest.mark.parametrize("name", ["g1", "world", "world-instruct", "world-qa"])
def test_turns_may_be_encoded_apart(name: str) -> None:
    """The chat reads a user's turn and the assistant's word in two calls: the World vocabulary sees no difference."""
    world, form = load_tokenizer("world"), FORMATS[name]
    for text in ("Hi", "Ende.", "你好。", "def f():\n    return 1\n", "a: "):
        for mode in form.modes:
            user, reply = form.user_turn(text, mode), form.reply(mode)
            assert world.encode(user) + world.encode(reply) == world.encode(user + reply)


def fake(version: str, vocabulary: str, file: str, **metadata: str) -> SimpleNamespace:
    return SimpleNamespace(
        config=SimpleNamespace(version=version, vocab={"world": 65536, "pile": 50277, "bytes": 256}[vocabulary]),
        checkpoint=SimpleNamespace(path=Path("/models/g1/") / file, metadata=metadata),
    )


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (fake("7", "world", "rwkv7-g1c-1.5b-20251231-ctx8192.pth"), "g1"),
        (fake("7", "world", "RWKV7-G0a3-13.3B.pth"), "g1"),
        (fake("7", "world", "rwkv7_g1_0.4b.gguf"), "g1"),
        (fake("7", "world", "model.gguf", **{"general.name": "RWKV7 G1 0.4B"}), "g1"),
        (fake("7", "world", "model.gguf", **{"tokenizer.chat_template": "... Assistant: <think"}), "g1"),
        (fake("7", "world", "RWKV-x070-World-0.1B-v2.8-20241210-ctx4096.pth"), "world"),
        (fake("7", "world", "big1.pth"), "world"),
        (fake("6", "world", "RWKV-x060-World-g1.pth"), "world"),
        (fake("4", "pile", "RWKV-4-Raven-7B-v12.pth"), "raven"),
        (fake("4", "pile", "RWKV-4-Pile-430M.pth"), "plain"),
        (fake("7", "bytes", "tiny.bin"), "plain"),
    ],
)
def test_format_for(model: SimpleNamespace, name: str) -> None:
    assert format_for(model).name == name


def test_formats_are_data() -> None:
    own = replace(FORMATS["world"], name="own", user="Q: {}", assistant="A:")
    assert own.render([TALK[1]]) == "Q: Hi\n\nA:"
