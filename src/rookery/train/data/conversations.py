"""
Conversations as documents: the text that a prompt format makes of them, and which of it the model learns to say.

The pieces are cut, and later encoded, where `rookery.chat` cuts them: what a person says, the assistant's word, and the
reply, so that training reads exactly the tokens that chatting reads.  A reply is learned with the blank line that ends
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rookery.errors import FormatError, SettingsError
from rookery.prompts import PromptFormat, clean, format_named
from rookery.tokenizer.base import utf8
from rookery.train.data.sources.base import Options, Piece

__all__ = ["ROLES", "conversation_pieces"]

# Names that data sets give to the roles, in lower case.
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "tool": "tool",
}
TARGETS = ("assistant", "all")


def conversation_pieces(messages: Sequence[object], options: Options, where: str) -> list[Piece]:
    """The pieces of a conversation.

    messages: {"role", "content"}, {"from", "value"} or [role, text].
    FormatError, with `where`, for an unknown role or a message that is none.
    """
    if options.targets not in TARGETS:
        raise SettingsError(f"targets is {options.targets!r}, expected one of {', '.join(TARGETS)}")
    format = format_named(options.format)
    given = [_message(message, f"{where}, message {i}") for i, message in enumerate(messages)]
    pieces = _rendered(given, format, where)
    if not any(piece.target for piece in pieces):
        raise FormatError(f"{where}: the assistant says nothing in it, so there is nothing to learn; leave it out")
    return [Piece(piece.text, True) for piece in pieces] if options.targets == "all" else pieces


def _message(message: object, where: str) -> tuple[str, str]:
    role: object = None
    content: object = None
    if isinstance(message, Mapping):
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
    elif isinstance(message, Sequence) and not isinstance(message, str) and len(message) == 2:
        role, content = message
    if not isinstance(role, str) or not isinstance(content, str):
        raise FormatError(f'{where}: expected {{"role": ..., "content": ...}} or [role, text], both of them texts')
    if role.lower() not in ROLES:
        raise FormatError(f"{where}: unknown role {role[:40]!r}; known: {', '.join(ROLES)}")
    return ROLES[role.lower()], content


def _rendered(messages: Sequence[tuple[str, str]], format: PromptFormat, where: str) -> list[Piece]:
    count = next((i for i, (role, _) in enumerate(messages) if role != "system"), len(messages))
    lead = format.system_turn("\n".join(content for _, content in messages[:count]))
    pieces: list[Piece] = []
    for i, (role, content) in enumerate(messages[count:], count):
        if role == "user":
            lead += format.user_turn(content, "none")
        elif role == "tool":
            lead += format.tool_turn(content)
        elif role == "assistant":
            pieces += _said(lead, content, format)
            lead = ""
        else:
            raise FormatError(f"{where}, message {i}: a system message stands only in front")
    return [*pieces, *_plain(lead)]


def _said(lead: str, content: str, format: PromptFormat) -> list[Piece]:
    """What comes before a reply, what it goes on from, and the reply with its end."""
    text = _answer(content, format)
    opening = max((m.opening for m in format.modes.values() if text.startswith(m.opening)), key=len, default="")
    given, said = format.assistant, format.gap + text + format.separator
    if opening:  # written in the model's place, as when chatting
        given, said = given + format.gap + opening, text[len(opening) :] + format.separator
    target = [Piece(utf8(said), bool(text))] if said else []
    return [*_plain(lead), *_plain(given), *target]


def _answer(content: str, format: PromptFormat) -> str:
    """A reply without blank lines, which would end it; in reasoning they may stand."""
    if not format.cleans:
        return content
    text = content.replace("\r\n", "\n").strip()
    if format.open and text.startswith(format.open):
        reasoning, tag, answer = text.partition(format.close)
        return reasoning + tag + answer[: len(answer) - len(answer.lstrip())] + clean(answer)
    return clean(text)


def _plain(text: str) -> list[Piece]:
    return [Piece(utf8(text), False)] if text else []
