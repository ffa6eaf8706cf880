"""`rookery train --control` and `--removal`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery.formats import open_checkpoint

SIZES = ("--size", "smoke", "--layers", 1, "--width", 32, "--vocab", 300, "--context", 32, "--tokens-per-batch", 128)


def train(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    text = folder / "text.txt"
    text.write_text("\n\n".join(f"The rook number {i} flies to tree {i * 7 % 11}." for i in range(200)))
    call = [
        sys.executable,
        "-m",
        "rookery",
        "train",
        text,
        "-o",
        folder / "run",
        *SIZES,
        "--steps",
        3,
        "--threads",
        1,
        *arguments,
    ]
    return subprocess.run(list(map(str, call)), capture_output=True, text=True, check=False)


def test_the_control_is_trained_on_the_same(tmp_path: Path) -> None:
    run = train(tmp_path, "--control")
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith("Transformer beside RWKV-7, 1 layers of 32, vocabulary ")
    assert "step 3/3  loss " in run.stderr
    assert run.stdout == f"done: rookery plot {tmp_path / 'run'}\n"
    assert not (tmp_path / "run" / "model.rookery").exists()
    again = train(tmp_path)
    assert again.returncode == 1
    assert "was begun with" in again.stderr


@pytest.mark.parametrize(("option", "value"), [("--from", "model.pth"), ("--sample", "The")])
def test_what_a_control_cannot(tmp_path: Path, option: str, value: str) -> None:
    run = train(tmp_path, "--control", option, value)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == f"rookery: {option} needs a model that rookery runs; leave it out, or --control\n"
    assert not (tmp_path / "run").exists()


def test_the_removal_is_trained_and_written(tmp_path: Path) -> None:
    assert train(tmp_path, "--removal", "1+w").returncode == 0
    config = open_checkpoint(tmp_path / "run" / "model.rookery").config
    assert config is not None
    assert config.removal == "1+w"


def test_the_removal_is_checked(tmp_path: Path) -> None:
    for arguments in (("--removal", "3"), ("--removal", "2", "--version", "6")):
        run = train(tmp_path, *arguments)
        assert run.returncode == 1
        assert "removal='" in run.stderr
        assert run.stderr.splitlines()[-1].startswith("rookery: --removal='")
