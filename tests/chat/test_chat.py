"""Conversations: what is said, what is kept, and that the state is always that of the tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rookery
from rookery import Chat, Sampler
from rookery.chat.chat import SNAPSHOTS
from rookery.errors import FormatError, RookeryError, SettingsError, StateError, TokenError
from rookery.model import Model
from rookery.tokenizer import Tokenizer

Cold = Callable[[Chat], bool]
Scripted = Callable[[str], Model]


def say(chat: Chat, text: str) -> str:
    return "".join(piece.text for piece in chat.ask(text) if not piece.thinking)


def text_of(chat: Chat) -> str:
    return chat.model.tokenizer.decode(chat.tokens)


def test_turns_continue_the_state(scripted: Scripted, cold: Cold) -> None:
    chat = Chat(scripted(" One.\n\nNo. Two.\n\n Three."), "Be brief.", format="world")
    assert say(chat, "1?\r\n\r\nyes") == "One."
    chat.model.executor.script = list(b" Two\n")
    assert say(chat, "2?") == "Two\n"
    assert text_of(chat) == "System: Be brief.\n\nUser: 1?\nyes\n\nAssistant: One.\n\nUser: 2?\n\nAssistant: Two\n"
    assert [(t.user, t.answer, t.finish) for t in chat.turns] == [
        ("1?\r\n\r\nyes", "One.", "stop"),
        ("2?", "Two", "stop"),
    ]
    assert chat.turns[0].state_after is chat.turns[1].state_before
    assert cold(chat)


def test_only_new_tokens_are_read(scripted: Scripted) -> None:
    chat = Chat(scripted(" One.\n\n"), format="world")
    say(chat, "1?")
    before = chat.stats.prompt
    assert before == len("User: 1?\n\nAssistant:")
    chat.model.executor.script = list(b" Two.\n\n")
    say(chat, "2?")
    assert chat.stats.prompt - before == len("\n\nUser: 2?\n\nAssistant:")
    assert chat.stats.generated == len(" One.\n\n") * 2
    assert chat.stats.reread == 0


def test_a_format_without_roles_counts_what_it_reads(scripted: Scripted) -> None:
    chat = Chat(scripted("One."), format="plain")
    say(chat, "Once upon")
    assert chat.stats.prompt == len("Once upon")
    assert chat.stats.prompt_s > 0


@pytest.mark.parametrize("format", ["world", "plain"])
def test_reading_is_reported_and_counted_until_it_is_cancelled(scripted: Scripted, format: str) -> None:
    chat = Chat(scripted("One."), format=format)
    seen: list[tuple[int, int]] = []
    chat.progress = lambda done, total: (seen.append((done, total)), chat.cancel())
    say(chat, "x" * 1000)
    assert [done for done, _ in seen] == [256]
    assert seen[0][1] >= 1000
    assert chat.stats.prompt == 256


@pytest.mark.parametrize(("think", "suffix"), [("on", ""), ("low", " (think a bit)")])
def test_reasoning_is_shown_and_forgotten(scripted: Scripted, cold: Cold, think: str, suffix: str) -> None:
    chat = Chat(scripted(">\nFirst,\n\nsecond.</think>\nYes, 4.\n\nUser: no"), format="g1", think=think)
    pieces = list(chat.ask("2+2?"))
    assert "".join(p.text for p in pieces if p.thinking) == "First,\n\nsecond."
    assert "".join(p.text for p in pieces if not p.thinking) == "Yes, 4."
    assert pieces[-1].finish == "stop"
    assert chat.turns[0].thinking == "First,\n\nsecond."
    assert text_of(chat) == "User: 2+2?\n\nAssistant: Yes, 4."
    assert cold(chat)
    reread = len("Assistant: Yes, 4.") + (len("User: 2+2?\n\n") if suffix else 0)
    assert chat.stats.reread == reread


def test_what_the_model_sees_while_thinking(scripted: Scripted, model: Model) -> None:
    seen: list[int] = []
    quiet = scripted(">a</think>b\n\n")
    run = quiet.executor.run
    quiet.executor.run = lambda tokens, *rest: (seen.extend(tokens.tolist()), run(tokens, *rest))[1]
    chat = Chat(quiet, format="g1", think="high")
    say(chat, "Q")
    text = model.tokenizer.decode(seen)
    assert text.startswith("User: Q (think a lot)\n\nAssistant: <think>a</think>b\n")


def test_silent_thinking(scripted: Scripted, cold: Cold) -> None:
    chat = Chat(scripted(">\nYes.\n\n"), format="g1")
    assert say(chat, "Q") == "Yes."
    assert chat.turns[0].thinking == ""
    assert text_of(chat) == "User: Q\n\nAssistant: Yes."
    assert cold(chat)


@pytest.mark.parametrize("think", ["on", "off", "none"])
def test_a_blank_line_before_the_answer_does_not_end_it(scripted: Scripted, cold: Cold, think: str) -> None:
    script = {"on": ">a</think>", "off": ">", "none": ""}[think] + "\n\nYes.\n\nMore"
    chat = Chat(scripted(script), format="g1", think=think)
    assert say(chat, "Q") == "Yes."
    assert cold(chat)
    assert text_of(chat).startswith("User: Q\n\nAssistant:")
    assert text_of(chat).endswith("Yes.")


def test_only_one_blank_line_is_passed_over(scripted: Scripted, cold: Cold) -> None:
    chat = Chat(scripted("\n\n\n\nYes."), format="world")
    assert say(chat, "Q") == ""
    assert chat.turns[0].finish == "stop"
    assert cold(chat)


def test_the_length_is_that_of_the_whole_reply(scripted: Scripted, cold: Cold) -> None:
    chat = Chat(scripted("\n\nabcdef"), format="world", max_tokens=5)
    assert say(chat, "Q") == "abc"
    assert chat.turns[0].finish == "length"
    assert cold(chat)


def test_undo_retry_and_fork(model: Model, cold: Cold) -> None:
    chat = Chat(model, format="world", sampler=Sampler(seed=5, top_p=1.0), max_tokens=8)
    say(chat, "1")
    one = chat.state
    say(chat, "2")
    fork = chat.fork()
    two = chat.turns[1]
    assert chat.undo().user == "2"
    assert chat.state is one
    assert len(fork.turns) == 2
    say(chat, "2")
    assert chat.turns[1].answer == two.answer
    assert chat.state == fork.state
    list(chat.retry())
    assert chat.turns[1].user == "2"
    assert (chat.turns[1].answer, chat.turns[1].attempt) != (two.answer, 0)
    assert fork.turns[1] is two
    assert cold(chat)
    assert cold(fork)


def test_undo_beyond_the_snapshots(model: Model, cold: Cold) -> None:
    chat = Chat(model, format="world", max_tokens=1)
    states = [chat.state]
    for i in range(SNAPSHOTS + 3):
        say(chat, str(i))
        states.append(chat.state)
    assert [turn.state_after is None for turn in chat.turns] == [True] * 3 + [False] * SNAPSHOTS
    while chat.turns:
        assert chat.state == states.pop()
        chat.undo()
    assert chat.state == model.initial


def test_cancel_keeps_what_was_said(scripted: Scripted, cold: Cold) -> None:
    quiet = scripted(" One two three")
    chat = Chat(quiet, format="world")
    quiet.executor.after = lambda left: chat.cancel() if left == len(" three") else None
    pieces = list(chat.ask("Q"))
    assert pieces[-1].finish == "cancelled"
    assert chat.turns[0].answer == "One two"
    assert text_of(chat) == "User: Q\n\nAssistant: One two"
    assert cold(chat)


def test_cancel_while_reading_takes_the_question_back(scripted: Scripted) -> None:
    quiet = scripted(" One")
    chat = Chat(quiet, format="world")
    quiet.executor.before = lambda left: chat.cancel()
    pieces = list(chat.ask("Q" * 600))
    assert [p.finish for p in pieces] == ["cancelled"]
    assert chat.turns == []
    assert chat.state == quiet.initial


def test_leaving_the_iteration_keeps_what_was_said(scripted: Scripted, cold: Cold) -> None:
    chat = Chat(scripted(" One two\n"), format="world")
    pieces = chat.ask("Q")
    said = [next(pieces).text for _ in range(4)]
    pieces.close()
    assert "".join(said).strip() == chat.turns[0].answer == "One"
    assert chat.turns[0].finish == "cancelled"
    assert cold(chat)


@pytest.mark.parametrize("form", ["world", "g1", "plain"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_in_the_middle_of_a_step(scripted: Scripted, cold: Cold, when: str, form: str) -> None:
    def interrupt(left: int) -> None:
        if left == len(" three") + (when == "before"):
            setattr(quiet.executor, when, lambda left: None)
            raise KeyboardInterrupt

    quiet = scripted((">" if form == "g1" else " ") + "One two three")
    setattr(quiet.executor, when, interrupt)
    chat = Chat(quiet, format=form)
    with pytest.raises(KeyboardInterrupt):
        list(chat.ask("Q"))
    assert chat.turns[0].answer == "One tw"
    assert cold(chat)
    say(chat, "And?")
    assert cold(chat)


def test_a_failure_changes_nothing(scripted: Scripted, cold: Cold) -> None:
    def fail(left: int) -> None:
        raise RookeryError("broken")

    quiet = scripted(" One\n\n Two three")
    chat = Chat(quiet, format="world")
    say(chat, "1")
    state = chat.state
    quiet.executor.before = fail
    for ask in (lambda: chat.ask("2"), chat.retry):
        with pytest.raises(RookeryError, match="broken"):
            list(ask())
        assert len(chat.turns) == 1
        assert chat.turns[0].answer == "One"
        assert chat.state is state


def test_save_and_load(model: Model, cold: Cold, tmp_path: Path) -> None:
    path = tmp_path / "talk.state"
    chat = Chat(model, "Be brief.", format="g1", think="on", max_tokens=9, sampler=Sampler(seed=1))
    say(chat, "1")
    say(chat, "Ünï\x00code")
    chat.save(path)
    back = Chat.load(path, model, max_tokens=9, sampler=Sampler(seed=1))
    assert back.state == chat.state
    assert (back.system, back.think, back.format) == (chat.system, chat.think, chat.format)
    assert [(t.user, t.thinking, t.answer, t.tokens) for t in back.turns] == [
        (t.user, t.thinking, t.answer, t.tokens) for t in chat.turns
    ]
    assert say(back, "3") == say(chat, "3")
    assert back.state == chat.state
    back.undo()
    back.undo()
    assert back.state == chat.turns[0].state_after
    assert cold(back)
    assert rookery.State.load(path).count == len(Chat.load(path, model).tokens)


def test_an_empty_chat_is_saved_too(model: Model, tmp_path: Path) -> None:
    Chat(model, "S").save(tmp_path / "a")
    back = Chat.load(tmp_path / "a", model)
    assert (back.turns, back.system, back.state) == ([], "S", model.initial)


def test_load_refuses(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    model.forward([1, 2])[1].save(path)
    with pytest.raises(StateError, match="a state without a conversation"):
        Chat.load(path, model)
    turn = {"user": "", "thinking": "", "answer": "", "finish": "", "tokens": [1], "attempt": 0}
    model.initial.save(path, {"chat": {"system": None, "think": None, "format": "g1", "turns": [turn]}})
    assert len(Chat.load(path, model).turns) == 1
    for damage in (
        {"turns": [{}]},
        {"turns": 3},
        {},
        {"turns": [turn | {"user": 1}]},
        {"turns": [turn | {"tokens": [-1]}]},
        {"turns": [turn | {"tokens": [1 << 40]}]},
        {"turns": [turn | {"attempt": float("inf")}]},
        {"turns": [], "think": ["on"]},
    ):
        model.initial.save(path, {"chat": {"system": None, "think": None, "format": "g1"} | damage})
        with pytest.raises(StateError, match="is damaged"):
            Chat.load(path, model)
    path.write_bytes(b"nonsense")
    with pytest.raises(FormatError):
        Chat.load(path, model)


def test_a_tuned_start(model: Model, tmp_path: Path) -> None:
    """It is not in the file: the last turns can be undone, the beginning cannot be reached."""
    tuned = rookery.State.from_rwkv(
        model.layout, [np.full_like(a, 0.5) for a in model.initial.to_rwkv()], model.fingerprint, ""
    )
    chat = Chat(model, "Sys", format="world", state=tuned, max_tokens=3)
    say(chat, "1")
    assert text_of(chat).startswith("System: Sys\n\nUser: 1")
    assert model.forward(chat.tokens, tuned)[1] == chat.state
    chat.save(tmp_path / "a")
    back = Chat.load(tmp_path / "a", model)
    say(back, "2")
    back.undo()
    with pytest.raises(StateError, match="not known"):
        back.undo()
    assert len(back.turns) == 1


def test_going_on_from_a_text(model: Model) -> None:
    state = model.forward(list(b"Once."))[1]
    chat = Chat(model, format="world", state=state, max_tokens=2)
    say(chat, "1")
    assert text_of(chat).startswith("\n\nUser: 1\n\nAssistant:")


def test_with_an_engine(model: Model, cold: Cold) -> None:
    sampler = Sampler(seed=9, top_p=1.0)
    alone = Chat(model, format="g1", think="on", sampler=sampler, max_tokens=12)
    with rookery.Engine(model) as engine:
        chats = [Chat(model, format="g1", think="on", sampler=sampler, max_tokens=12, engine=engine) for _ in range(2)]
        for text in ("1", "2"):
            say(alone, text)
            for _ in zip(*(chat.ask(text) for chat in chats), strict=False):
                pass
    assert all(len(chat.turns) == 2 for chat in chats)
    assert chats[0].state == chats[1].state
    assert all(cold(chat) for chat in chats)
    assert cold(alone)


def test_plain_text_goes_on(scripted: Scripted, cold: Cold) -> None:
    chat = Chat(scripted(" upon a\n\ntime"), format="plain")
    assert say(chat, "Once") == "upon a\n\ntime"
    assert text_of(chat) == "Once upon a\n\ntime"
    assert cold(chat)


def test_misuse(model: Model) -> None:
    chat = Chat(model, format="world", max_tokens=3)
    with pytest.raises(SettingsError, match="empty"):
        list(chat.ask(" \n"))
    for action in (chat.undo, chat.retry):
        with pytest.raises(SettingsError, match="nothing to"):
            action()
    pieces = chat.ask("Q")
    next(pieces)
    with pytest.raises(SettingsError, match="under way"):
        list(chat.ask("R"))
    with pytest.raises(SettingsError, match="under way"):
        chat.undo()
    pieces.close()
    assert len(chat.turns) == 1
    chat.reset()
    assert chat.state == model.initial
    with pytest.raises(SettingsError, match="think='on'"):
        Chat(model, format="world", think="on")


def test_a_message_that_cannot_be_read_leaves_the_chat_as_it_was(scripted: Scripted, cold: Cold) -> None:
    model = scripted("One.\n\n")
    chat = Chat(replace(model, tokenizer=Lacking(model.tokenizer)), format="world")
    with pytest.raises(TokenError):
        say(chat, "a Z")
    assert say(chat, "a") == "One."
    assert len(chat.turns) == 1
    assert cold(chat)


class Lacking:
    """A vocabulary without the letter Z."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._whole = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def encode(self, text: str) -> list[int]:
        if "Z" in text:
            raise TokenError("no token for Z")
        return self._whole.encode(text)
