"""
Tells reasoning from answer in a reply that arrives piece by piece.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Part", "ThinkingSplitter"]


class Part(NamedTuple):
    """A stretch of a reply, and whether it is reasoning."""

    text: str
    thinking: bool


class ThinkingSplitter:
    """Cuts a reply `<think>reasoning</think>answer` into its parts; the tags belong to neither.

    open, close: the tags; with an empty `open` everything is answer.
    A reply that does not begin with `open` is all answer; one that never closes it, all reasoning.  Of both,
    the white space in front is dropped, except for the indentation of the answer's first line.  How the reply is
    cut into pieces changes nothing.
    """

    def __init__(self, open: str = "", close: str = "") -> None:
        self._open, self._close = open, close
        self._held = ""
        self._read = self._begin if open else self._answer_begins

    def feed(self, text: str) -> list[Part]:
        """The parts that are certain by now."""
        self._held += text
        parts: list[Part] = []
        reader = None
        while reader != self._read:  # bound methods are equal when they are the same method of the same object
            reader = self._read
            reader(parts)
        return [part for part in parts if part.text]

    def finish(self) -> list[Part]:
        """What is left at the end."""
        held, self._held = self._held, ""
        if self._read == self._thinking:
            return [Part(held, True)] if held else []
        return [Part(_first_line(held), False)] if held.strip() else []

    def _begin(self, parts: list[Part]) -> None:
        text = self._held.lstrip()
        if text.startswith(self._open):
            self._held = text[len(self._open) :]
            self._read = self._thinking_begins
        elif not self._open.startswith(text):
            self._read = self._answer_begins

    def _thinking_begins(self, parts: list[Part]) -> None:
        self._held = self._held.lstrip()
        if self._held:
            self._read = self._thinking

    def _thinking(self, parts: list[Part]) -> None:
        before, tag, after = self._held.partition(self._close)
        if tag:
            parts.append(Part(before, True))
            self._held = after
            self._read = self._answer_begins
            return
        keep = _overlap(self._held, self._close)
        parts.append(Part(self._held[: len(self._held) - keep], True))
        self._held = self._held[len(self._held) - keep :]

    def _answer_begins(self, parts: list[Part]) -> None:
        if self._held.strip():
            self._held = _first_line(self._held)
            self._read = self._answer

    def _answer(self, parts: list[Part]) -> None:
        parts.append(Part(self._held, False))
        self._held = ""


def _first_line(text: str) -> str:
    """Without the line breaks in front and the one space that follows a role's colon."""
    lead = len(text) - len(text.lstrip())
    return text[text.rfind("\n", 0, lead) + 1 :].removeprefix(" ")


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` begin `tag`."""
    return next(n for n in range(min(len(tag) - 1, len(text)), -1, -1) if text.endswith(tag[:n]))
