"""What the pages show runs, on toy models."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pages import PAGES, snippets

import rookery

WITH_PYTHON = [page for page in PAGES if snippets(page, "python")]
NOT_RUN = re.compile(r"-m venv|pip install|-m pytest|rookery (train|tune)")  # installs, this very test, needs torch


@pytest.fixture(scope="module")
def names(desk: Path) -> dict[str, Any]:
    """What pages other than the README take as given."""
    model = rookery.load(desk / "g1.pth", threads=1)
    text = "It is a truth universally acknowledged"
    tokens = model.tokenizer.encode(text)
    return {"rookery": rookery, "model": model, "text": text, "tokens": tokens, "state": model.forward(tokens)[1]}


def run(command: list[str], desk: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command, cwd=desk, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


@pytest.mark.parametrize("page", WITH_PYTHON, ids=str)
def test_python(page: Path, desk: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's snippets run one after the other, in one namespace."""
    monkeypatch.chdir(desk)
    space = {} if page.name == "README.md" else dict(names)
    for code in snippets(page, "python"):
        exec(compile(code, str(page), "exec"), space)


def test_the_readmes_python_says_something(desk: Path, environment: Mapping[str, str]) -> None:
    (code,) = snippets(Path("README.md"), "python")
    done = run([sys.executable, "-W", "error", "-c", code], desk, environment)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode("utf-8").rstrip().endswith("]")  # the list of three texts, which are random


def commands() -> list[str]:
    """The README's commands one by one, as somebody types them whose PATH has the environment they made."""
    lines = [part for block in snippets(Path("README.md"), "sh") for part in re.split(r"\n| && ", block)]
    return [line.replace(".venv/bin/", "").strip() for line in lines if line.strip() and not NOT_RUN.search(line)]


def test_the_readme_has_commands():
    assert [line.split()[1] for line in commands()][:3] == ["run", "show", "run"]
    assert len(commands()) >= 7


def test_the_readmes_commands_run(desk: Path, environment: Mapping[str, str]) -> None:
    """In their order: a later one may need what an earlier one wrote."""
    for command in commands():
        if " convert " in command:
            (desk / "model.gguf").unlink()  # it was there to be shown; converting replaces nothing unasked
        done = run(["sh", "-ec", command], desk, environment)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
