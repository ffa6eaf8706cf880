"""`rookery run`: continue a text, or chat."""

from __future__ import annotations

import codecs
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rookery.builtin import GOSLING
from rookery.cli.common import json_option, load_model, model_options
from rookery.cli.sampler_options import sampler_of, sampler_options
from rookery.errors import FormatError, SettingsError
from rookery.prompts import FORMATS

if TYPE_CHECKING:
    from rookery.chat import Chat
    from rookery.model import Model
    from rookery.state import State

__all__ = ["command"]


@click.command("run")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.argument("prompt", required=False)
@click.option("-n", "--max-tokens", type=click.IntRange(0), help="Default: 256 for a text, 1024 for a reply.")
@click.option("--stop", multiple=True, help="Ends the text, and is not part of it.  May be repeated.")
@click.option("--chat/--no-chat", default=None, help="Answer in the model's prompt format, or continue the text.")
@click.option("--system", help="What stands before the conversation.  Implies --chat, as do the next three.")
@click.option("--think/--no-think", default=None, help="Whether to reason before answering; default: the format's.")
@click.option("--effort", type=click.Choice(["low", "medium", "high"]), help="How long to reason.")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="Prompt format; default: by model.")
@click.option("--state", type=click.Path(path_type=Path), help="Begin from a saved state, chat or tuned state.")
@click.option("--save-state", type=click.Path(path_type=Path), help="Write the state, or chat, at the end.")
@click.option("--echo", is_flag=True, help="Print the prompt too.")
@click.option("--stats", is_flag=True, help="Print counts and speeds on stderr.")
@sampler_options
@model_options
@json_option
def command(model: Path | None, prompt: str | None, **options: Any) -> None:
    """Continue PROMPT (or what comes on stdin) with MODEL; without either, chat.

    Without MODEL, or with MODEL gosling, it is the small model that comes with rookery.  With --chat, PROMPT is a
    message and gets an answer, and the lines on stdin are messages.
    """
    chatting = _chatting(prompt, options)
    if not chatting and prompt is None:
        prompt = _piped()
    sampler = sampler_of(options)
    run = {name: options.pop(name) for name in _OWN}
    _check(run, chatting, prompt)
    loaded = load_model(str(model or GOSLING), **options)
    code = _chat(loaded, prompt, sampler, run) if chatting else _complete(loaded, prompt or "", sampler, run)
    if code:
        raise SystemExit(code)


_CHUNK = 1 << 16  # bytes of stdin read at a time
_CHAT_ONLY = ("system", "think", "effort", "form")
_OWN = (*_CHAT_ONLY, "max_tokens", "stop", "state", "save_state", "echo", "stats", "as_json")


def _chatting(prompt: str | None, options: dict[str, Any]) -> bool:
    """Whether to chat: as asked for, else where an option implies it or nothing else is given on a terminal."""
    chosen: bool | None = options.pop("chat")
    implied = any(options[name] is not None for name in _CHAT_ONLY)
    if chosen is False and implied:
        raise SettingsError("--no-chat excludes --system, --think, --effort and --format; leave one out")
    if chosen is None:
        return implied or (prompt is None and sys.stdin.isatty())
    return chosen


def _check(run: dict[str, Any], chatting: bool, prompt: str | None) -> None:
    if run["save_state"] is not None:
        from rookery import statefile

        statefile.check_target(run["save_state"])
    if run["think"] is False and run["effort"]:
        raise SettingsError("--no-think excludes --effort; leave one out")
    if chatting and (run["echo"] or run["stop"]):
        raise SettingsError(
            "--echo and --stop are for texts, a chat ends by its format; leave them out or add --no-chat"
        )
    if "" in run["stop"]:
        raise SettingsError("--stop is empty; give the text that ends the reply, or leave it out")
    if chatting and prompt is None and run["as_json"]:
        raise SettingsError("--json needs a PROMPT; a conversation is not one object")


def _piped() -> str:
    """What comes on stdin, without the line end that shells add.  Nothing is read beyond the first invalid byte."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    text, count, more = io.StringIO(), 0, True
    while more:
        begun = len(decoder.getstate()[0])  # bytes of an unfinished character
        chunk = sys.stdin.buffer.read(_CHUNK)
        more = bool(chunk)
        try:
            text.write(decoder.decode(chunk, final=not more))
        except UnicodeDecodeError as error:
            raise FormatError(f"stdin: not UTF-8 at byte {count - begun + error.start}; convert it") from None
        count += len(chunk)
    return text.getvalue().removesuffix("\n")


def _complete(model: Model, prompt: str, sampler: Any, run: dict[str, Any]) -> int:
    from rookery.cli.complete import Output, complete
    from rookery.generation import Request

    most = 256 if run["max_tokens"] is None else run["max_tokens"]
    state = _state(model, run["state"]) if run["state"] else None
    request = Request(prompt, sampler, most, run["stop"], state=state)
    return complete(model, request, Output(run["echo"], run["as_json"], run["stats"], run["save_state"]))


def _chat(model: Model, prompt: str | None, sampler: Any, run: dict[str, Any]) -> int:
    from rookery.cli.complete import Output, answer

    try:
        chat = _chat_of(model, sampler, run)
    except SettingsError as error:
        raise SettingsError(_as_typed(str(error), run)) from None
    if prompt is not None:
        return answer(chat, prompt, Output(False, run["as_json"], run["stats"], run["save_state"]))
    _converse(chat, run)
    return 0


def _chat_of(model: Model, sampler: Any, run: dict[str, Any]) -> Chat:
    from rookery import statefile
    from rookery.chat import Chat

    options = {"system": run["system"], "think": run["effort"] or run["think"], "format": run["form"]}
    given = {name: value for name, value in options.items() if value is not None}
    most = 1024 if run["max_tokens"] is None else run["max_tokens"]
    path = run["state"]
    if path is None:
        return Chat(model, sampler=sampler, max_tokens=most, **given)
    state = _state(model, path)
    if state.count and "chat" in (statefile.note(path) or {}):
        if run["system"] is not None:
            raise SettingsError(f"{path} holds a conversation, which has its system text; leave --system out")
        return Chat.load(path, model, sampler=sampler, max_tokens=most, **given)
    return Chat(model, sampler=sampler, max_tokens=most, state=state, **given)


def _as_typed(sentence: str, run: dict[str, Any]) -> str:
    """What `Chat` says about its arguments, as about options."""
    think = run["effort"] or run["think"]
    typed = f"--effort {think}" if run["effort"] else "--think"
    return sentence.replace(f"think={think!r}", typed).replace('format="g1"', "--format g1")


def _converse(chat: Chat, run: dict[str, Any]) -> None:
    from rookery.cli.conversation import Conversation
    from rookery.cli.lines import Lines, PipedLines, TerminalLines
    from rookery.cli.screen import Screen

    talk = Conversation(chat, Screen())
    lines: Lines
    if sys.stdin.isatty():
        import platformdirs

        talk.screen.say(f"{chat.model}, prompt format {chat.format.name}; /help lists the commands")
        lines = TerminalLines(platformdirs.user_data_path("rookery") / "history")
    else:
        lines = PipedLines(sys.stdin)
    talk.run(lines)
    if run["save_state"] is not None:
        talk.chat.save(run["save_state"])
    if run["stats"]:
        click.echo(f"{chat.stats.generated} generated, {chat.stats.tokens_per_s:.1f} tokens/s", err=True)


def _state(model: Model, path: Path) -> State:
    """A saved state, or a tuned one: whichever the file is."""
    from rookery.state import State

    try:
        saved = State.load(path)
    except FormatError as error:
        try:
            return model.tuned(path)
        except FormatError:
            raise error from None
    return model.check_state(saved)
