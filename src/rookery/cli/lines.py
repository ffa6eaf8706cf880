"""Where the user's messages come from: a terminal or a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TextIO

__all__ = ["Lines", "PipedLines", "TerminalLines", "read_message"]

FENCE = '"""'


class Lines(Protocol):
    """A source of lines."""

    def read(self, prompt: str) -> str | None:
        """The next line without its end; None when there are no more.  KeyboardInterrupt for Ctrl-C."""


class PipedLines:
    """The lines of a file or pipe."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def read(self, prompt: str) -> str | None:
        line = self._file.readline()
        return line.rstrip("\r\n") if line else None


class TerminalLines:
    """A terminal, with a history that lasts, and Alt-Enter for a new line.

    history: its file; None keeps it in memory.  more: passed to prompt_toolkit (`input`, `output` in tests).
    """

    def __init__(self, history: Path | None = None, **more: Any) -> None:
        from prompt_toolkit import PromptSession

        self._session: PromptSession[str] = PromptSession(history=_history(history), key_bindings=_keys(), **more)

    def read(self, prompt: str) -> str | None:
        try:
            return self._session.prompt(prompt)
        except EOFError:
            return None


def read_message(lines: Lines) -> str | None:
    """A whole message; None when there are no more.

    A backslash at the end of a line, or triple quotes around the message, make it go on over several lines.
    """
    text = lines.read(">>> ")
    if text is None:
        return None
    if text.startswith(FENCE):
        return _fenced(lines, text[len(FENCE) :])
    while text.endswith("\\"):
        more = lines.read("... ")
        text = text[:-1] + ("" if more is None else "\n" + more)
    return text


def _fenced(lines: Lines, text: str) -> str:
    while not text.endswith(FENCE):
        more = lines.read("... ")
        if more is None:
            return text
        text += "\n" + more
    return text.removesuffix(FENCE).strip("\n")


def _history(path: Path | None) -> Any:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    if path is None:
        return InMemoryHistory()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()  # a read-only home is no reason not to chat
    return FileHistory(str(path))


def _keys() -> Any:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    return keys
