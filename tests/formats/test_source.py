"""What is no file: refused in one sentence, without waiting and without reading for ever."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import CONFIGS, checkpoint

from rookery.errors import FormatError
from rookery.formats import open_checkpoint, read_tensors, save_checkpoint
from rookery.statefile import load as load_state

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

PATIENCE_S = 10  # far more than a refusal needs


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    """A test that waits for a pipe fails instead of hanging."""

    def fail(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("read", [open_checkpoint, read_tensors, load_state])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: object) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(FormatError, match=r"\(a pipe or a device\); expected a file"):
        read(tmp_path / "x")  # type: ignore[operator]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "directory"])
def test_nor_inside_a_directory(tmp_path: Path, name: str, kind: str) -> None:
    save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / "model")
    path = tmp_path / "model" / name
    path.unlink(missing_ok=True)
    {"pipe": os.mkfifo, "endless": lambda p: p.symlink_to("/dev/zero"), "directory": os.mkdir}[kind](path)
    with pytest.raises(FormatError, match=f"{name}: .*; expected a file"):
        open_checkpoint(tmp_path / "model")


def test_a_directory_is_no_state(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"\(a directory\); expected a file"):
        load_state(tmp_path)


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FormatError, match="cannot be opened"):
        open_checkpoint(tmp_path / "loop")
