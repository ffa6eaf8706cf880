"""The commands that the pages on training show, in their order, at toy size."""

from __future__ import annotations

import json
import lzma
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pages import snippets

pytest.importorskip("torch", reason="needs the extra rookery[train]")
pytest.importorskip("matplotlib", reason="needs the extra rookery[plot]")

PAGES = ["README.md", "docs/training.md", "docs/tuning.md", "docs/training-scale.md"]
SMALLER = {"65536": "512", "131072": "1024", "8192": "128", "--steps 60": "--steps 3"}
TRAINS = re.compile(r"rookery (train|tune) ")
TALE = "Once upon a time a small bird sat in a tree. It sang all day. Then it flew home.\n\n"


@pytest.fixture(scope="module")
def workshop(desk: Path) -> Path:
    """The desk, with the data that the pages speak of."""
    tale = {"text": TALE * 3}
    chat = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello, small bird!"}]}
    for name in ("stories.txt", "tales.txt", "books.txt", "test.txt"):
        (desk / name).write_text(TALE * 40)
    (desk / "tales.jsonl").write_text((json.dumps(tale) + "\n") * 30)
    (desk / "chats.jsonl").write_text((json.dumps(chat) + "\n") * 30)
    (desk / "books").mkdir()
    (desk / "books" / "one.txt.xz").write_bytes(lzma.compress(TALE.encode() * 40))
    torchrun = desk / "bin" / "torchrun"
    torchrun.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torch.distributed.run "$@"\n')
    torchrun.chmod(0o755)
    return desk


def commands(page: str) -> list[str]:
    lines = [line for block in snippets(Path(page), "sh") for line in block.splitlines() if line.strip()]
    wanted = [line for line in lines if page != "README.md" or TRAINS.search(line)]
    return [_smaller(line) for line in wanted if "gosling" not in line]


def _smaller(command: str) -> str:
    command = re.sub(r"\s+#.*", "", command)
    for number, small in SMALLER.items():
        command = command.replace(number, small)
    if not TRAINS.search(command):
        return command
    few = " --validation-tokens 256 --threads 1" + ("" if "--steps" in command else " --steps 2")
    return command + few + ("" if "--tokens-per-batch" in command else " --tokens-per-batch 512")


@pytest.mark.parametrize("page", PAGES)
def test_commands_run(page: str, workshop: Path, environment: Mapping[str, str]) -> None:
    typed = commands(page)
    assert typed
    for command in typed:
        done = subprocess.run(
            ["sh", "-ec", command.replace(" -o ", f" -o {Path(page).stem}-") if page == "README.md" else command],
            cwd=workshop,
            env=environment | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
