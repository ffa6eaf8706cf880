"""
Prompt formats: how a conversation becomes the text a model was trained on.

Each format is data, with a version that changes when its bytes do.  There are no special tokens: roles are words,
and a blank line ends a turn.  docs/prompts.md lists the bytes.  Knows nothing of tokens, models' insides or states.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from rookery.config import PILE_ROWS, WORLD_ROWS
from rookery.errors import SettingsError

if TYPE_CHECKING:
    from rookery.model import Model

__all__ = ["FORMATS", "Mode", "PromptFormat", "Stops", "clean", "format_for", "format_named"]

BLANK = "\n\n"


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to let a model think before it answers.

    suffix:  appended to the user's text.
    opening: begins the reply in the model's place; it belongs to the reply and is parsed with it.
    long:    whether reasoning follows, in which a blank line does not end the turn.
    """

    suffix: str = ""
    opening: str = ""
    long: bool = False


NONE = Mode()


class Stops(NamedTuple):
    """`stop`, `late` and `gate` as a `Request` takes them."""

    stop: tuple[str, ...]
    late: tuple[str, ...] = ()
    gate: str | None = None


@dataclass(frozen=True, slots=True)
class PromptFormat:
    """Where the words of a conversation go.

    name, version: which format; the version changes when any byte below does.
    preamble:  stands before the first turn.
    system, user, tool: a turn, `{}` being its text.
    assistant: what the model goes on from.  gap: what stands between it and a reply.
    separator: between turns.
    modes, default: ways of thinking by name; "none" is the reply without a word about it.
    stop:      strings that end a reply, wherever they occur.
    end:       the string that ends a turn; with reasoning it counts only after `close`.
    open, close: the tags around reasoning; empty where the model knows none.
    cleans:    whether blank lines are taken out of the texts of turns (they would end them).
    call:      opening of a reply that must be a function call.
    """

    name: str
    version: int = 1
    preamble: str = ""
    system: str = "System: {}"
    user: str = "User: {}"
    tool: str = "User: {}"
    assistant: str = "Assistant:"
    gap: str = " "
    separator: str = BLANK
    modes: Mapping[str, Mode] = field(default_factory=lambda: {"none": NONE})
    default: str = "none"
    stop: tuple[str, ...] = ()
    end: str = BLANK
    open: str = ""
    close: str = ""
    cleans: bool = True
    call: str = ""

    def mode(self, think: str | bool | None = None) -> Mode:
        """The mode of this name; True is "on", False "off", None the format's default.

        A format without reasoning is already silent, so "off" and False are its "none"; asking it to think is a
        SettingsError.
        """
        name = self.default if think is None else think
        if isinstance(name, bool):
            name = "on" if name else "off"
        if name == "off" and name not in self.modes:
            name = "none"
        if name not in self.modes:
            known = ", ".join(self.modes)
            remedy = "" if self.open else '; for a model that reasons choose format="g1"'
            raise SettingsError(f"think={think!r}: the prompt format {self.name!r} knows {known}{remedy}")
        return self.modes[name]

    def system_turn(self, text: str | None) -> str:
        """What stands before the first turn of the user: preamble and system text, each with its separator."""
        parts = [self.preamble, self.system.replace("{}", self._clean(text)) if text and text.strip() else ""]
        return "".join(part + self.separator for part in parts if part)

    def user_turn(self, text: str, think: str | bool | None = None) -> str:
        """A turn of the user with its separator: all that precedes the assistant's word."""
        return self.user.replace("{}", self._clean(text) + self.mode(think).suffix) + self.separator

    def tool_turn(self, text: str) -> str:
        """The result of a function call, as a turn."""
        return self.tool.replace("{}", self._clean(text)) + self.separator

    def reply(self, think: str | bool | None = None) -> str:
        """What the model goes on from: the assistant's word and the opening of the mode.  Never ends in a space."""
        opening = self.mode(think).opening
        return self.assistant + (self.gap + opening if opening else "")

    def answered(self, answer: str) -> str:
        """The assistant's turn as history keeps it: without reasoning, and without the separator after it."""
        return self.assistant + (self.gap + answer if answer else "")

    def render(self, messages: Iterable[Mapping[str, str]], think: str | bool | None = None) -> str:
        """A whole conversation as one prompt, ending where the model goes on.

        messages: {"role": "system" | "user" | "assistant" | "tool", "content": text}, the system's only in front.
        Where the last one is the assistant's, the prompt ends with it, to be continued.
        """
        given = list(messages)
        text, start = self._front(given)
        for i, message in enumerate(given[start:], start):
            role, content, last = message.get("role"), message.get("content", ""), i == len(given) - 1
            if role == "user":
                text += self.user_turn(content, think if last else "none")
            elif role == "tool":
                text += self.tool_turn(content)
            elif role == "assistant":
                text += self.answered(self.kept(content)) + ("" if last else self.separator)
            else:
                raise SettingsError(
                    f"message {i} has role {role!r}, expected user, assistant or tool; system only as the first"
                )
        return text if given and given[-1].get("role") == "assistant" else text + self.reply(think)

    def _front(self, messages: list[Mapping[str, str]]) -> tuple[str, int]:
        count = 0
        while count < len(messages) and messages[count].get("role") in ("system", "developer"):
            count += 1
        joined = "\n".join(message.get("content", "") for message in messages[:count])
        return self.system_turn(joined), count

    def kept(self, reply: str) -> str:
        """What history keeps of a reply: all that follows the reasoning, without surrounding white space."""
        text = reply.strip()
        if self.open and text.startswith(self.open):
            text = text.partition(self.close)[2].strip()
        return text

    def stops(self, think: str | bool | None = None) -> Stops:
        """What ends a reply in this mode."""
        end = (self.end,) if self.end else ()
        if end and self.mode(think).long:
            return Stops(self.stop, end, self.close)
        return Stops(self.stop + end)

    def _clean(self, text: str) -> str:
        return clean(text) if self.cleans else text


def clean(text: str) -> str:
    """A text fit to stand inside a turn: line ends are \\n, no blank lines, nothing around it; indentation stays."""
    return re.sub(r"\n{2,}", "\n", text.replace("\r\n", "\n")).strip()


_LONG = "<think"  # without ">": the vocabulary has tokens that begin with it, and the model chooses among them
_G1 = {
    "none": NONE,
    "off": Mode(opening="<think>\n</think"),
    "on": Mode(opening=_LONG, long=True),
    "low": Mode(" (think a bit)", _LONG, long=True),
    "medium": Mode(" (think)", _LONG, long=True),
    "high": Mode(" (think a lot)", _LONG, long=True),
}
_BELOW = "Below is an instruction that describes a task. Write a response that appropriately completes the request."

FORMATS: dict[str, PromptFormat] = {
    f.name: f
    for f in (
        PromptFormat(
            "g1",
            tool="User: Function output:\n{}",
            modes=_G1,
            default="off",
            stop=("\n\nUser:", "\n\nSystem:"),
            open="<think>",
            close="</think>",
            call="```json",
        ),
        PromptFormat("world"),
        PromptFormat("world-instruct", system="{}", user="Instruction: {}", assistant="Response:"),
        PromptFormat("world-qa", system="{}", user="Question: {}", assistant="Answer:"),
        PromptFormat("raven", system="{}", user="Bob: {}", assistant="Alice:"),
        PromptFormat(
            "raven-instruct",
            preamble=_BELOW,
            system="{}",
            user="# Instruction:\n{}",
            assistant="# Response:\n",
            gap="",
        ),
        PromptFormat("plain", system="{}", user="{}", assistant="", gap="", separator="", end="", cleans=False),
    )
}


def format_named(name: str) -> PromptFormat:
    """The format of this name; SettingsError lists them."""
    try:
        return FORMATS[name]
    except KeyError:
        raise SettingsError(f"no prompt format {name!r}; known: {', '.join(FORMATS)}") from None


# In file names and metadata: g0, g1, G1c, g0a3 ... but not part of a longer word.
_REASONS = re.compile(r"(?<![a-z0-9])g[01][a-z]?[0-9]?(?![a-z0-9])|<think", re.IGNORECASE)
FORMAT_KEY = "rookery.prompt_format"  # in the metadata of a model: a key of FORMATS
_HINTS = ("general.name", "general.basename", "tokenizer.chat_template", "chat_template", "_name_or_path")


def format_for(model: Model) -> PromptFormat:
    """The format a model was most likely trained with, from its version, vocabulary, metadata and file name.

    What the file says of itself (metadata `rookery.prompt_format`) comes first.  World vocabulary: "g1" for an RWKV-7
    that calls itself G0 or G1, else "world".  Pile vocabulary: "raven" for a model called Raven.  Everything else, such
    as base models, is "plain".
    """
    checkpoint = model.checkpoint
    said = checkpoint.metadata.get(FORMAT_KEY)
    if isinstance(said, str) and said in FORMATS:
        return FORMATS[said]
    hints = " ".join([checkpoint.path.name, *(str(checkpoint.metadata.get(key, "")) for key in _HINTS)])
    if model.config.vocab in WORLD_ROWS:
        reasons = model.config.version == "7" and _REASONS.search(hints) is not None
        return FORMATS["g1" if reasons else "world"]
    raven = model.config.vocab in PILE_ROWS and "raven" in hints.lower()
    return FORMATS["raven" if raven else "plain"]
