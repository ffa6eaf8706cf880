"""The interactive chat: messages, and commands that begin with a slash."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rookery.chat import Chat, ChatPiece
from rookery.cli.common import progress
from rookery.cli.interrupts import cancelled_by_interrupt
from rookery.cli.lines import Lines, read_message
from rookery.cli.sampler_options import changed, described
from rookery.cli.screen import Screen
from rookery.cli.tables import counted
from rookery.errors import RookeryError, SettingsError

__all__ = ["Conversation"]

MAIN = "main"
SWITCHES = ("think", "nothink", "fold", "unfold")


class Conversation:
    """A chat and its forks, on a screen."""

    def __init__(self, chat: Chat, screen: Screen) -> None:
        self.chats = {MAIN: chat}
        self.name = MAIN
        self.screen = screen
        self.over = False

    @property
    def chat(self) -> Chat:
        """The one that is talked to."""
        return self.chats[self.name]

    def run(self, lines: Lines) -> None:
        """Until the lines end, /quit, or Ctrl-C twice."""
        warned = False
        while not self.over:
            try:
                text = read_message(lines)
            except KeyboardInterrupt:
                if warned:
                    return
                warned = True
                self.screen.say("(Ctrl-C again, Ctrl-D or /quit to leave)")
                continue
            if text is None:
                return
            warned = False
            self.take(text)

    def take(self, text: str) -> None:
        """A message or a command.  What goes wrong is told, and the conversation goes on."""
        try:
            if text.startswith("/") and not text.startswith("//"):
                self._command(text)
            elif text.strip():
                self._ask(text.removeprefix("/") if text.startswith("//") else text)
        except (RookeryError, OSError) as error:
            self.screen.complain(error)
        except KeyboardInterrupt:
            self.screen.say("(interrupted)")

    def _ask(self, text: str) -> None:
        count = len(self.chat.turns)
        self._reply(self.chat.ask(text))
        if len(self.chat.turns) == count:
            self.screen.say("(the message had not been read to the end, it is taken back)")

    def _reply(self, pieces: Iterable[ChatPiece]) -> None:
        with progress("Reading") as self.chat.progress, cancelled_by_interrupt(self.chat.cancel):
            self.screen.reply(pieces)

    def _command(self, text: str) -> None:
        name, _, rest = text[1:].partition(" ")
        if name not in COMMANDS:
            raise SettingsError(f"no command /{name}; /help lists them, // sends a message that begins with /")
        if rest.strip() and not COMMANDS[name][1]:
            raise SettingsError(f"/{name} takes nothing after it, got {rest.strip()[:60]!r}")
        COMMANDS[name][0](self, rest.strip())

    # ------------------------------------------------------------ commands

    def help(self, _: str) -> None:
        for name, (_method, arguments, text) in COMMANDS.items():
            self.screen.say(f"/{name} {arguments}".ljust(24) + text)
        self.screen.say('Alt-Enter or a final \\ goes on in a new line; """ begins and ends a longer text.')
        self.screen.say("//text sends a message that begins with a slash.")

    def set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        key, value = name.removeprefix("--").replace("-", "_"), value.strip()
        if key in SWITCHES:
            key = self._switch(key, value)
        elif value:
            self._change(key, value)
        settings = self._settings()
        if key and key not in settings:
            raise _unknown(name, self)
        for known in [key] if key else settings:
            self.screen.say(f"{known:<20}{settings[known]}")

    def _switch(self, key: str, value: str) -> str:
        """Turn something on or off; returns the setting that says so."""
        if value and key != "think":
            raise SettingsError(f"/set {key} takes nothing after it, got {value[:60]!r}")
        if key in ("fold", "unfold"):
            self.screen.folded = key == "fold"
            return "fold"
        think = False if key == "nothink" else value or True
        self.chat.format.mode(think)
        self.chat.think = think
        return "think"

    def _change(self, key: str, value: str) -> None:
        chat = self.chat
        if key == "max_tokens":
            chat.max_tokens = _count(key, value)
        elif key in dict(described(chat.sampler)):
            chat.sampler = changed(chat.sampler, key, value)
        elif key == "format":
            raise SettingsError("the format is chosen at the start: rookery run MODEL --format NAME")

    def _settings(self) -> dict[str, Any]:
        """Every setting by name, as it is."""
        chat = self.chat
        think = chat.format.default if chat.think is None else chat.think
        said = ("on" if think else "off") if isinstance(think, bool) else think
        ours = {"format": chat.format.name, "think": said, "fold": "on" if self.screen.folded else "off"}
        return {**ours, "max_tokens": chat.max_tokens, **dict(described(chat.sampler))}

    def save(self, rest: str) -> None:
        self.chat.save(_given("/save", "FILE", rest))
        self.screen.say(f"saved: {rest} ({self.chat.state.data.nbytes / 2**20:.1f} MiB of state)")

    def load(self, rest: str) -> None:
        old = self.chat
        options = {"sampler": old.sampler, "max_tokens": old.max_tokens, "engine": old.engine}
        self.chats[self.name] = Chat.load(_given("/load", "FILE", rest), old.model, **options)
        self.screen.say(f"loaded: {rest}, {counted(len(self.chat.turns), 'turn')}")

    def fork(self, rest: str) -> None:
        name = rest or next(str(i) for i in range(1, len(self.chats) + 2) if str(i) not in self.chats)
        if name in self.chats:
            raise SettingsError(f"there is a conversation {name!r} already; /switch to it or take another name")
        self.chats[name] = self.chat.fork()
        self.name = name
        self.screen.say(f"now in {name}; /switch {MAIN} goes back")

    def switch(self, rest: str) -> None:
        if rest and rest not in self.chats:
            raise SettingsError(f"no conversation {rest!r}; there are {', '.join(self.chats)}")
        self.name = rest or self.name
        for name, chat in self.chats.items():
            self.screen.say(f"{'*' if name == self.name else ' '} {name:<12}{counted(len(chat.turns), 'turn')}")

    def undo(self, _: str) -> None:
        turn = self.chat.undo()
        self.screen.say(f"taken back: {turn.user.splitlines()[0][:60]}")

    def retry(self, _: str) -> None:
        self._reply(self.chat.retry())

    def stats(self, _: str) -> None:
        stats, state = self.chat.stats, self.chat.state
        size = state.data.nbytes / 2**20
        turns, tokens = counted(len(self.chat.turns), "turn"), counted(state.count, "token")
        self.screen.say(f"{turns}, {tokens} in {size:.2f} MiB of state")
        self.screen.say(
            f"read {counted(stats.prompt, 'token')} in {stats.prompt_s:.2f} s, reread {stats.reread}; "
            f"generated {stats.generated} in {stats.generated_s:.2f} s ({stats.tokens_per_s:.1f} tokens/s)"
        )

    def system(self, rest: str) -> None:
        self.chat.reset()
        self.chat.system = rest or None
        self.screen.say(f"a new conversation {'with this' if rest else 'without'} system text")

    def reset(self, _: str) -> None:
        self.chat.reset()
        self.screen.say("a new conversation")

    def quit(self, _: str) -> None:
        self.over = True


Command = tuple[Callable[[Conversation, str], None], str, str]
# name: (what it does, its arguments, help)
COMMANDS: dict[str, Command] = {
    "help": (Conversation.help, "", "this list"),
    "set": (
        Conversation.set,
        "[NAME [VALUE]]",
        "think [low|medium|high], nothink, fold, unfold, max_tokens 99, temperature 0.5 ...; alone: show all",
    ),
    "system": (Conversation.system, "[TEXT]", "begin again with a system text"),
    "undo": (Conversation.undo, "", "take back the last turn"),
    "retry": (Conversation.retry, "", "another answer to the last message"),
    "fork": (Conversation.fork, "[NAME]", "go on in a copy of the conversation"),
    "switch": (Conversation.switch, "[NAME]", "go to another copy; alone: list them"),
    "save": (Conversation.save, "FILE", "write the conversation and its state"),
    "load": (Conversation.load, "FILE", "read them"),
    "stats": (Conversation.stats, "", "tokens, times, size of the state"),
    "reset": (Conversation.reset, "", "begin again"),
    "quit": (Conversation.quit, "", "leave; so does Ctrl-D"),
}


def _unknown(name: str, talk: Conversation) -> SettingsError:
    sampling = ", ".join(known for known, _ in described(talk.chat.sampler))
    return SettingsError(f"no setting {name!r}; known: {sampling}, max_tokens, {', '.join(SWITCHES)}")


def _given(command: str, what: str, text: str) -> str:
    if not text:
        raise SettingsError(f"{command} needs a {what}")
    return text


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{name} is {text!r}, expected a positive number")
    return int(text)
