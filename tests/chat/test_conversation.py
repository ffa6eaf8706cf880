"""The interactive chat: its commands, and a terminal with Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from rookery import Chat
from rookery.cli.conversation import COMMANDS, Conversation
from rookery.cli.lines import TerminalLines, read_message
from rookery.cli.screen import Screen
from rookery.model import Model


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, arguments: list[str], home: Path) -> None:
        self._fd, other = pty.openpty()
        extra = {"HOME": str(home), "XDG_DATA_HOME": str(home), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        command = [sys.executable, "-c", "from rookery.cli import main; main()", *arguments]
        self._process = subprocess.Popen(
            command, env=os.environ | extra, pass_fds=[other], preexec_fn=lambda: os.login_tty(other)
        )
        os.close(other)
        self.seen = ""

    def wait_for(self, pattern: str, seconds: float = 30) -> str:
        """Everything shown since the last call, until the pattern occurs."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen, re.DOTALL)):
            ready, _, _ = select.select([self._fd], [], [], 0.1)
            try:
                if ready:
                    self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", os.read(self._fd, 4096).decode(errors="replace"))
            except OSError:  # the other end is closed
                break
            assert time.monotonic() < end, f"{pattern!r} did not come; saw {self.seen!r}"
        assert found, f"it ended without {pattern!r}: {self.seen!r}"
        text, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return text

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def ended(self) -> int:
        """Its exit code, once its output has been read to the end."""
        while self._process.poll() is None:
            try:
                if select.select([self._fd], [], [], 0.1)[0] and not os.read(self._fd, 4096):
                    break
            except OSError:
                break
        return self._process.wait(10)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal(model_path: Path, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def start(*options: str) -> Terminal:
        opened.append(Terminal(["run", str(model_path), *options], tmp_path))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


# The random model's bytes may be anything; only these letters keep the screen readable.
READABLE = [f"--ban={id}" for id in range(256) if id not in range(97, 107)]


def test_a_session_on_a_terminal(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    screen = terminal("--format", "world", "-n", "100000000", *READABLE)
    screen.wait_for("prompt format world.*>>>")
    screen.type("Hello\r")
    screen.wait_for("[a-j]{20}")
    screen.type("\x03")  # Ctrl-C while it answers: the answer ends, the program does not
    screen.wait_for(r"\(cancelled\).*>>>")
    screen.type("/stats\r")
    screen.wait_for("1 turn, .* tokens.*>>>")
    screen.type(f"/save {tmp_path}/talk\r")
    screen.wait_for("saved: .*>>>")
    screen.type("\x03")
    screen.wait_for("Ctrl-C again.*>>>")
    screen.type("/help\r")
    screen.wait_for("/retry .*>>>")
    screen.type("\x03")
    screen.wait_for("Ctrl-C again.*>>>")
    screen.type("\x03")
    assert screen.ended() == 0
    assert "Hello" in (tmp_path / "rookery" / "history").read_text()


def test_ctrl_d_leaves(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    screen.wait_for("prompt format plain.*>>>")
    screen.type("\x04")
    assert screen.ended() == 0


def test_ctrl_c_ends_a_text_with_130(terminal: Callable[..., Terminal], tmp_path: Path, model: Model) -> None:
    screen = terminal("Once", "-n", "100000000", "--save-state", str(tmp_path / "s"), *READABLE)
    screen.wait_for("[a-j]{20}")
    screen.type("\x03")
    assert screen.ended() == 130
    assert (tmp_path / "s").stat().st_size > model.initial.data.nbytes


@contextmanager
def typed(text: str) -> Iterator[TerminalLines]:
    with create_pipe_input() as keys:
        keys.send_text(text)
        yield TerminalLines(input=keys, output=DummyOutput())


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("one\r", "one"),
        ("one\x1b\rtwo\r", "one\ntwo"),
        ("one\\\rtwo\\\rthree\r", "one\ntwo\nthree"),
        ('"""one\r\rtwo"""\r', "one\n\ntwo"),
        ('"""\r  one\r"""\r', "  one"),
        ("\x1b[200~one\ntwo\x1b[201~\r", "one\ntwo"),
        ("\x04", None),
    ],
)
def test_messages(keys: str, message: str | None) -> None:
    with typed(keys) as lines:
        assert read_message(lines) == message


def test_ctrl_c_at_the_prompt() -> None:
    with typed("half\x03") as lines, pytest.raises(KeyboardInterrupt):
        read_message(lines)


def test_a_history_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with create_pipe_input() as keys:
        keys.send_text("one\r")
        assert TerminalLines(tmp_path / "file" / "history", input=keys, output=DummyOutput()).read("") == "one"


@pytest.fixture
def talk(scripted: Callable[[str], Model]) -> Conversation:
    return Conversation(Chat(scripted(""), format="g1", max_tokens=50), Screen())


def say(talk: Conversation, text: str, answer: str = "") -> None:
    talk.chat.model.executor.script = list(answer.encode())
    talk.take(text)


def test_commands(talk: Conversation, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def shown(text: str, answer: str = "") -> str:
        say(talk, text, answer)
        return "".join(capsys.readouterr())

    assert shown("1?", ">\nOne.\n\n") == "One.\n"
    shown("/set think low")
    assert shown("2?", ">hm</think>Two.\n\n") == "Two.\n"
    assert [(turn.thinking, turn.answer) for turn in talk.chat.turns] == [("", "One."), ("hm", "Two.")]
    shown(f"/save {tmp_path}/talk")
    assert "now in b" in shown("/fork b")
    assert "taken back: 2?" in shown("/undo")
    assert [len(chat.turns) for chat in talk.chats.values()] == [2, 1]
    assert "* main        2 turns\n  b           1 turn\n" in shown("/switch main")
    assert shown("/retry", ">hm</think>Drei.\n\n") == "Drei.\n"
    assert "2 turns" in shown("/stats")
    shown("/system Be brief.")
    shown("/set nothink")
    shown("3?", ">\nThree.\n\n")
    assert talk.chat.model.tokenizer.decode(talk.chat.tokens).startswith("System: Be brief.\n\nUser: 3?")
    assert "loaded" in shown(f"/load {tmp_path}/talk")
    assert [turn.answer for turn in talk.chat.turns] == ["One.", "Two."]
    shown("/reset")
    assert talk.chat.turns == []
    shown("/quit")
    assert talk.over


def test_settings_are_shown_and_confirmed(talk: Conversation, capsys: pytest.CaptureFixture[str]) -> None:
    def shown(text: str) -> list[str]:
        say(talk, text)
        return capsys.readouterr().out.split()

    assert shown("/set top-p") == ["top_p", "0.5"]
    assert shown("/set top-p 0.25") == ["top_p", "0.25"]
    assert shown("/set think low") == ["think", "low"]
    assert shown("/set nothink") == ["think", "off"]
    assert shown("/set fold") == ["fold", "on"]
    assert shown("/set max_tokens") == ["max_tokens", "50"]
    assert {"format", "think", "fold", "max_tokens", "temperature"} <= set(shown("/set"))


def test_two_slashes_send_one(talk: Conversation) -> None:
    say(talk, "//etc/passwd, what is it?", ">\nA file.\n\n")
    assert [(turn.user, turn.answer) for turn in talk.chat.turns] == [("/etc/passwd, what is it?", "A file.")]


def test_settings(talk: Conversation, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("/set temperature 0.5", "/set top-k 7", "/set seed 3", "/set max_tokens 9", "/set order usual"):
        say(talk, line)
    sampler = talk.chat.sampler
    assert (sampler.temperature, sampler.top_k, sampler.seed, sampler.order) == (0.5, 7, 3, "usual")
    assert talk.chat.max_tokens == 9
    say(talk, "/set seed none")
    assert talk.chat.sampler.seed is None
    say(talk, "/set think")
    assert talk.chat.think is True
    capsys.readouterr()
    say(talk, "/set")
    assert re.search(r"temperature +0.5\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/sing", "no command /sing; /help"),
        ("/set warmth 1", "no setting 'warmth'; known: temperature"),
        ("/set warmth", "max_tokens, think, nothink, fold, unfold"),
        ("/set fold twice", "/set fold takes nothing after it, got 'twice'"),
        ("/set format g1", "--format NAME"),
        ("/quit now", "/quit takes nothing after it, got 'now'"),
        ("/retry again", "/retry takes nothing"),
        ("/undo 2", "/undo takes nothing"),
        ("/set temperature hot", "temperature is 'hot', expected a number"),
        ("/set temperature -1", "temperature is -1.0"),
        ("/set think loud", "think='loud'"),
        ("/set max_tokens many", "max_tokens is 'many'"),
        ("/save", "/save needs a FILE"),
        ("/save /dev/null/talk", "Not a directory"),
        ("/load /dev/null/talk", "/dev/null/talk"),
        ("/undo", "nothing to undo"),
        ("/retry", "nothing to retry"),
        ("/switch x", "no conversation 'x'; there are main"),
        ("/fork main", "already"),
    ],
)
def test_errors_do_not_end_it(talk: Conversation, capsys: pytest.CaptureFixture[str], line: str, message: str) -> None:
    say(talk, line)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not talk.over


def test_help_lists_everything(talk: Conversation, capsys: pytest.CaptureFixture[str]) -> None:
    say(talk, "/help")
    out = capsys.readouterr().out
    assert all(f"/{name} " in out for name in COMMANDS)


def test_reasoning_is_dim_or_folded_on_a_terminal(talk: Conversation, capsys: pytest.CaptureFixture[str]) -> None:
    talk.screen.terminal = True
    say(talk, "/set think")
    say(talk, "1?", ">hm</think>Yes.\n\n")
    assert "hm" in capsys.readouterr().out
    say(talk, "/set fold")
    say(talk, "2?", ">hm</think>Yes.\n\n")
    out = capsys.readouterr().out
    assert "hm" not in out
    assert "(thinking)" in out
    assert "Yes." in out
