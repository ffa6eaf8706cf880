"""The frame: a lazy table of commands, light to start, errors in one sentence, documentation that is complete."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rookery.cli import COMMANDS, main
from rookery.cli.evaluate import STUDIES

DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
EVERY = COMMANDS | {f"evaluate {name}": entry for name, entry in STUDIES.items()}
HEAVY = {"numpy", "rich", "torch", "prompt_toolkit", "platformdirs", "rookery._native", "rookery.model"}


@pytest.mark.parametrize("code", ["import rookery", "from rookery.cli import main; main()"])
def test_starts_light(code):
    script = f"import sys; sys.argv = ['rookery', '--help']\ntry:\n    {code}\nexcept SystemExit: pass\n"
    script += f"print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", EVERY)
def test_help_of_a_command_is_light(name):
    script = f"import sys; sys.argv = ['rookery', *{name.split()!r}, '--help']\nfrom rookery.cli import main\n"
    script += f"try:\n    main()\nexcept SystemExit: pass\nprint(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Usage:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_every_command(rookery):
    out = rookery("--help").out
    for name, (_, line) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(line)}$", out, re.MULTILINE)


@pytest.mark.parametrize("name", EVERY)
def test_every_option_is_documented(name):
    command: click.Command = importlib.import_module(EVERY[name][0]).command
    text = DOCS.read_text()
    section = re.search(rf"^## rookery {name}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/cli.md has no section '## rookery {name}'"
    for parameter in command.params:
        names = parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(_context(command))]
        for option in names:
            assert f"`{option}" in section[1], f"docs/cli.md: {name} lacks {option}"


@pytest.mark.parametrize("name", EVERY)
def test_no_documented_option_is_invented(name):
    command: click.Command = importlib.import_module(EVERY[name][0]).command
    section = re.search(rf"^## rookery {name}$(.*?)(?=^## |\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert section
    documented = set(re.findall(r"^\| `(--[a-z-]+)", section[1], re.MULTILINE))
    assert documented == {
        o for p in command.params if isinstance(p, click.Option) for o in p.opts if o.startswith("--")
    }


def _context(command: click.Command) -> click.Context:
    return click.Context(command)


def test_a_wrong_option_is_named(rookery, small):
    run = rookery("show", small, "--colour")
    assert run.code == 2
    assert "--colour" in run.err
    assert "Traceback" not in run.err


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(28, "No space left on device", "/x/m.pth"), "rookery: /x/m.pth: No space left on device\n"),
        (MemoryError(), "rookery: not enough memory; close other programs, or use a smaller model\n"),
    ],
)
def test_errors_of_the_system_are_sentences(monkeypatch, capsys, error, sentence):
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("rookery.cli.cli.main", broken)
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 1
    assert capsys.readouterr().err == sentence


def test_ctrl_c_ends_any_command_with_130(monkeypatch, rookery, small):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rookery.cli.perplexity.load_model", lambda *_, **__: interrupted())
    run = rookery("perplexity", small, stdin=b"text")
    assert (run.code, run.out, run.err) == (130, "", "rookery: interrupted\n")


def test_a_missing_text_is_an_error_like_any_other(rookery, small, tmp_path):
    for arguments in (("perplexity", small), ("quantize", small, tmp_path / "out.gguf", "--text")):
        rookery(*arguments, tmp_path / "absent").failed("absent: cannot be read (No such file", "give the path")


MAIN = "import sys; from rookery.cli import main; main()"


def test_characters_that_stdout_lacks_are_escaped():
    command = [sys.executable, "-c", MAIN, "tokenize", "日本"]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=True, timeout=60
    )
    assert rb"\u65e5" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_like_no_terminal(small, closed):
    command = f'"{sys.executable}" -c "{MAIN}" run "{small}" hi -n 2 --temperature 0 {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_may_be_switched_off(monkeypatch, rookery, small, variables, coloured):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("click._compat._default_text_stdout", lambda: sys.stdout)
    monkeypatch.setattr("click._compat.isatty", lambda _: True)
    assert ("\x1b[" in rookery("show", small).out) == coloured


def test_only_the_wrong_option_is_named(rookery, small):
    for option, value in (("--context", 1), ("--chunk", 0), ("--start-token", 256)):
        run = rookery("perplexity", small, option, value, stdin=b"text")
        run.failed(f"rookery: {option} is {value}, expected")
