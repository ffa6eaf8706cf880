"""A desk for the snippets: the files they speak of, with toy models of the World vocabulary."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import rookery
from rookery.initialise import make_config, random_model


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with model.pth, model.gguf, small.pth, g1.pth (which may think), book.txt, and `rookery` in bin/."""
    folder = tmp_path_factory.mktemp("desk")
    toy = random_model(make_config("7", layers=2, width=32, vocab=65536, head_size=16), seed=1, dtype="F16")
    for name in ("model.pth", "small.pth", "g1.pth", "model.gguf"):
        rookery.save_checkpoint(toy, folder / name)
    (folder / "book.txt").write_text("It is a truth universally acknowledged.\n" * 3, encoding="utf-8")
    command = folder / "bin" / "rookery"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rookery "$@"\n')
    command.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def environment(desk: Path) -> Mapping[str, str]:
    """Of a fresh process that runs this checkout's package, installed or not."""
    path = os.pathsep.join((str(desk / "bin"), os.environ["PATH"]))
    return os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "utf-8"}
