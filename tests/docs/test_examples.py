"""Every example runs, is short, and says how to call it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pages import REPOSITORY

EXAMPLES = sorted((REPOSITORY / "examples").glob("*.py"))


def test_there_are_examples():
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_runs(example: Path, desk: Path, environment: Mapping[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(example), str(desk / "model.pth"), "Once upon a time"],
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    assert len(run.stdout.splitlines()) >= 4


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_without_arguments_it_says_how_to_call_it(example: Path, environment: Mapping[str, str]) -> None:
    run = subprocess.run([sys.executable, str(example)], env=environment, capture_output=True, check=False)
    assert run.returncode == 1
    assert run.stderr.decode().startswith(f"usage: python examples/{example.name} MODEL")
    assert run.stderr.count(b"\n") == 1


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_is_short_and_says_how_to_call_it(example: Path) -> None:
    code = example.read_text(encoding="utf-8")
    assert len(code.splitlines()) < 40
    assert f"python examples/{example.name} MODEL" in code
