"""`rookery run` as a user types it, without a terminal."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import rookery
from rookery import Chat, Sampler, builtin
from rookery.cli import main
from rookery.cli.complete import Output, answer, complete
from rookery.cli.embed import command as embed_command
from rookery.cli.run import command
from rookery.embedding import POOLS
from rookery.errors import SettingsError
from rookery.generation import Request
from rookery.model import Model
from rookery.sampling import ORDERS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(model_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Arguments after the model, and stdin, to (exit code, stdout, stderr)."""

    def go(*arguments: str | Path, given: str | io.BufferedIOBase = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rookery", "run", str(model_path), *map(str, arguments)])
        file = io.BytesIO(given.encode()) if isinstance(given, str) else given
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file, "utf-8"))
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return go


def test_a_text_goes_on(run: Run, model: Model) -> None:
    expected = model.generate("Once", Sampler(seed=3, top_p=1.0), max_tokens=20).result()
    options = ("--seed", "3", "--top-p", "1", "-n", "20")
    assert run("Once", *options) == (0, expected.text, "")
    assert run(*options, given="Once\n") == (0, expected.text, "")
    assert run("Once", *options, "--echo") == (0, "Once" + expected.text, "")


def test_json(run: Run, model: Model) -> None:
    expected = model.generate("Once", Sampler.greedy(), max_tokens=7).result()
    code, out, _ = run("Once", "--temperature", "0", "-n", "7", "--json")
    said = json.loads(out)
    assert code == 0
    assert (said["text"], said["tokens"], said["finish"]) == (expected.text, expected.tokens, expected.finish)
    assert (said["prompt_tokens"], said["generated_tokens"]) == (4, len(expected.tokens))
    assert said["timings"].keys() >= {"tokens_per_s", "prompt_tokens_per_s"}
    again = json.loads(run("Once", "-n", "7", "--json", "--seed", str(said["seed"]), "--temperature", "0")[1])
    assert again["tokens"] == said["tokens"]


def test_every_sampler_option_arrives(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import rookery.cli.complete as complete

    seen: list[Sampler] = []
    real = complete.generate
    monkeypatch.setattr(
        complete, "generate", lambda model, request: seen.append(request.sampler) or real(model, request)
    )
    options = (
        "--temperature 0.5 --top-p 0.9 --top-k 8 --min-p 0.1 --typical-p 0.8 --presence-penalty 0.3 "
        "--frequency-penalty 0.2 --penalty-decay 0.9 --repetition-penalty 1.1 --repeat-last-n 9 --seed 4 --order usual "
        "--ban 7 --ban 9 --logit-bias 5=-1.5"
    )
    assert run("a", "-n", "1", *options.split())[0] == 0
    assert seen == [
        Sampler(0.5, 0.9, 8, 0.1, 0.8, 0.3, 0.2, 0.9, 1.1, 9, {5: -1.5}, (7, 9), 4, "usual"),
    ]


def test_stops(run: Run) -> None:
    whole = run("a", "--temperature", "0", "-n", "30")[1]
    stop = whole[3:5]
    assert run("a", "--temperature", "0", "-n", "30", "--stop", stop)[1] == whole[: whole.index(stop)]


def test_states(run: Run, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    run("Once", "-n", "0", "--save-state", path)
    assert rookery.State.load(path) == model.forward(list(b"Once"))[1]
    straight = run("Once upon", "--temperature", "0", "-n", "9")[1]
    assert run(" upon", "--state", path, "--temperature", "0", "-n", "9")[1] == straight


def test_where_a_state_cannot_go_is_said_before_the_work(run: Run, model_path: Path, tmp_path: Path) -> None:
    model = model_path.read_bytes()
    for path, reason in [
        (model_path, "already exists and is not a state file"),
        (tmp_path, "a directory; expected a file"),
        (tmp_path / "no" / "s", "does not exist; create it first"),
    ]:
        code, out, err = run("Once", "-n", "3", "--save-state", path)
        assert (code, out) == (1, "")
        assert err.startswith(f"rookery: {path}: ")
        assert reason in err
    assert model_path.read_bytes() == model


def test_a_model_is_not_a_state(run: Run, model_path: Path) -> None:
    code, out, err = run("Once", "--state", model_path)
    assert (code, out) == (1, "")
    assert "this is a model, not a state" in err


def test_a_tuned_state(run: Run, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "tuned.safetensors"
    random = np.random.default_rng(1)
    shape = (2, 32, 32)
    save_file({f"blocks.{i}.att.time_state": random.standard_normal(shape).astype(np.float32) for i in range(2)}, path)
    expected = model.generate("Once", Sampler.greedy(), max_tokens=9, state=model.tuned(path)).result().text
    assert run("Once", "--state", path, "--temperature", "0", "-n", "9")[1] == expected


def test_stats_go_to_stderr(run: Run) -> None:
    _, _, err = run("Once", "-n", "3", "--stats")
    assert err.startswith("4 prompt tokens, ")
    assert "3 generated" in err


def test_stats_of_an_interrupted_prompt_count_what_was_read(
    scripted: Callable[[str], Model], capsys: pytest.CaptureFixture[str]
) -> None:
    model = scripted("abc")
    model.executor.after = lambda left: signal.raise_signal(signal.SIGINT)
    assert complete(model, Request("x" * 600), Output(as_json=True, stats=True)) == 130
    out, err = capsys.readouterr()
    assert json.loads(out)["prompt_tokens"] == 256
    assert err.startswith("256 prompt tokens, ")


def test_a_message_gets_an_answer(run: Run, model: Model, tmp_path: Path) -> None:
    chat = Chat(model, "Be brief.", format="g1", think="low", sampler=Sampler(seed=1), max_tokens=20)
    pieces = list(chat.ask("Hi"))
    answer = "".join(piece.text for piece in pieces if not piece.thinking)
    path = tmp_path / "talk"
    options = ("--format", "g1", "--effort", "low", "--system", "Be brief.", "--seed", "1", "-n", "20")
    assert run("Hi", *options, "--save-state", path) == (0, answer + "\n", "")
    assert Chat.load(path, model).state == chat.state
    said = json.loads(run("Hi", *options, "--json")[1])
    assert (said["text"], said["thinking"]) == (chat.turns[0].answer, chat.turns[0].thinking)
    list(chat.ask("And?"))
    code, out, _ = run("And?", "--chat", "--state", path, "--seed", "1", "-n", "20", "--json")
    assert code == 0
    assert json.loads(out)["text"] == chat.turns[1].answer


def test_lines_are_messages(run: Run, model: Model) -> None:
    chat = Chat(model, format="world", sampler=Sampler(seed=1), max_tokens=9)
    shown = ""
    for text in ("Hi", "line one\nline two", "fenced\n\ntext"):
        shown += "".join(piece.text for piece in chat.ask(text)) + "\n"
    given = 'Hi\nline one\\\nline two\n"""fenced\n\ntext\n"""\n/quit\nnever read\n'
    assert run("--format", "world", "--seed", "1", "-n", "9", given=given) == (0, shown, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--no-chat", "--system", "S"], "--no-chat excludes"),
        (["a", "--no-think", "--effort", "low"], "--no-think excludes --effort"),
        (["a", "--chat", "--echo"], "--echo and --stop are for texts"),
        (["--chat", "--json"], "--json needs a PROMPT"),
        (["a", "--logit-bias", "x"], "--logit-bias is 'x'"),
        (["a", "--ban", "999"], "999"),
        (["a", "--temperature", "-1"], "--temperature is -1.0"),
        (["a", "--top-p", "2"], "rookery: --top-p is 2.0, expected"),
        (["a", "--threads", "-1"], "rookery: --threads=-1"),
        (["a", "--stop", ""], "--stop is empty"),
        (["a", "--think", "--format", "world"], "--think: the prompt format 'world' knows none; "),
        (["a", "--effort", "low", "--format", "world"], "--effort low: the prompt format 'world' knows none; "),
        (["a", "--think", "--format", "world"], "choose --format g1"),
        (["a", "--state", __file__], "test_run_command.py"),
    ],
)
def test_errors_are_one_sentence(run: Run, arguments: list[str], message: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("rookery: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("at", [0, 5, 65535, 65536, 200001])
def test_stdin_that_is_no_text(run: Run, at: int) -> None:
    class Endless(io.RawIOBase):
        """Like /dev/urandom, with its first invalid byte at `at`."""

        def __init__(self) -> None:
            self.count = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:
            assert self.count <= at + (1 << 17), "it reads on"
            buffer[:] = bytes(255 if i == at else 97 for i in range(self.count, self.count + len(buffer)))
            self.count += len(buffer)
            return len(buffer)

    code, _, err = run(given=io.BufferedReader(Endless()))
    assert (code, err) == (1, f"rookery: stdin: not UTF-8 at byte {at}; convert it\n")


def test_stdin_that_ends_inside_a_character(run: Run) -> None:
    raw = io.BytesIO(b"a" * 65535 + "é".encode() + b"\xe6\x97")
    assert run(given=raw)[2] == "rookery: stdin: not UTF-8 at byte 65537; convert it\n"


def test_an_answer_that_ends_at_once_is_explained(
    scripted: Callable[[str], Model], capsys: pytest.CaptureFixture[str]
) -> None:
    hint = "the model ended the text at once (token 0); --ban 0 forbids that\n"
    assert complete(scripted(""), Request("x"), Output(stats=True)) == 0
    assert capsys.readouterr().err.endswith(hint)
    assert answer(Chat(scripted(""), format="world"), "x", Output(stats=True)) == 0
    assert capsys.readouterr().err.endswith(hint)
    assert answer(Chat(scripted(""), format="world"), "x", Output()) == 0
    assert complete(scripted("a"), Request("x"), Output(stats=True)) == 0
    assert hint not in capsys.readouterr().err


def test_statistics_stand_on_a_line_of_their_own(model_path: Path) -> None:
    code = "import sys; from rookery.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(model_path), "Once", "-n", "3", "--ban", "10", "--stats"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, timeout=60)
    assert done.stdout.splitlines()[-1].startswith(b"4 prompt tokens, ")


@pytest.mark.parametrize("model", [[], ["gosling"]])
def test_without_a_model_the_one_that_comes_with_rookery_talks(
    model: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rookery", "run", *model, "--chat", "-n", "20"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Hello!\n"), "utf-8"))
    with pytest.raises(SystemExit) as end:
        main()
    assert (end.value.code or 0, bool(capsys.readouterr().out.strip())) == (0, True)


def test_an_installation_without_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(builtin.resources, "files", lambda package: tmp_path)
    with pytest.raises(SettingsError, match="no built-in model; give the path"):
        rookery.load("gosling")


def test_a_conversation_keeps_its_system_text(run: Run, model: Model, tmp_path: Path) -> None:
    chat = Chat(model, "S", max_tokens=1)
    list(chat.ask("Hi"))
    chat.save(tmp_path / "talk")
    code, _, err = run("a", "--state", tmp_path / "talk", "--system", "T")
    assert code == 1
    assert "leave --system out" in err


def test_lists_kept_light_agree_with_what_they_name() -> None:
    """The commands repeat some names, so that help need not load numpy."""
    choices = {option.name: list(option.type.choices) for option in command.params if hasattr(option.type, "choices")}
    assert choices["order"] == list(ORDERS)
    pools = next(option for option in embed_command.params if option.name == "pool")
    assert list(pools.type.choices) == list(POOLS)
    fields = {field.name for field in dataclasses.fields(Sampler)}
    assert {option.name for option in command.params} >= fields - {"ban", "logit_bias", "logprobs"}


def test_documented_defaults_are_the_samplers() -> None:
    page = (Path(__file__).parents[2] / "docs/cli.md").read_text()
    for option in command.params:
        default = getattr(Sampler(), str(option.name), None)
        if isinstance(default, float | int):
            row = next(line for line in page.splitlines() if line.startswith(f"| `{option.opts[0]}`"))
            assert f"default {default:g}" in str(option.help)
            assert re.search(rf"default {re.escape(f'{default:g}')}[, ]", row), row
