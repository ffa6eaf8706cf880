"""Reasoning is told from answer, however the reply is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.chat.thinking import ThinkingSplitter

CASES = [
    ("", "", ""),
    (" Hello.", "", "Hello."),
    ("<think>a</think>b", "a", "b"),
    ("<think>\n a </x </think>\n\n b\n c", "a </x ", "b\n c"),
    (" <think></think>\n    code", "", "   code"),
    ("<think>\n</think>\n\n  \n x", "", "x"),
    ("<thin", "", "<thin"),
    ("<think>open </thi", "open </thi", ""),
    ("so <think>a</think>", "", "so <think>a</think>"),
    ("<think>a<think>b</think>c</think>", "a<think>b", "c</think>"),
    ("  \n", "", ""),
]


def split(pieces: list[str], tags: tuple[str, str]) -> tuple[str, str]:
    splitter = ThinkingSplitter(*tags)
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.finish()
    return "".join(p.text for p in parts if p.thinking), "".join(p.text for p in parts if not p.thinking)


@pytest.mark.parametrize(("text", "thinking", "answer"), CASES)
def test_whole_and_by_character(text: str, thinking: str, answer: str) -> None:
    assert split([text], ("<think>", "</think>")) == (thinking, answer)
    assert split(list(text), ("<think>", "</think>")) == (thinking, answer)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "/th", "ink>", " ", "\n", "a"])), st.data())
def test_cuts_change_nothing(words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert split(pieces, ("<think>", "</think>")) == split([text], ("<think>", "</think>"))


def test_without_tags_all_is_answer() -> None:
    assert split([" <think>", "a"], ("", "")) == ("", "<think>a")
