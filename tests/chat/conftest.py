"""A tiny random model over bytes, and one that says what it is told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rookery
from rookery.initialise import make_config, random_model
from rookery.model import Model


@pytest.fixture(scope="session")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chat") / "tiny.safetensors"
    config = make_config("7", layers=2, width=64, vocab=256, head_size=32)
    rookery.save_checkpoint(random_model(config, seed=3), path)
    return path


@pytest.fixture(scope="session")
def model(model_path: Path) -> Model:
    return rookery.load(model_path, threads=1)


class Scripted:
    """The real executor, with logits that leave one choice: the next byte of a script.  Its states are real."""

    name = "scripted"
    threads = 1

    def __init__(self, model: Model, script: str) -> None:
        self._run = model.executor.run
        self.script = list(script.encode())
        self.before: Callable[[int], None] = lambda left: None
        self.after: Callable[[int], None] = lambda left: None

    def run(self, tokens, lengths, states, wanted):
        self.before(len(self.script))
        logits = self._run(tokens, lengths, states, wanted)
        for row in logits:
            row[:] = -100
            row[self.script.pop(0) if self.script else 0] = 100
        self.after(len(self.script))
        return logits


@pytest.fixture
def scripted(model: Model) -> Callable[[str], Model]:
    """A model that will say this, then end of text."""
    return lambda script: replace(model, executor=Scripted(model, script))


@pytest.fixture
def cold(model: Model) -> Callable[[rookery.Chat], bool]:
    """Whether a chat's state is, bit for bit, that of its tokens read in one call."""

    def check(chat: rookery.Chat) -> bool:
        _, state = model.forward(chat.tokens)
        return state == chat.state and np.array_equal(state.data, chat.state.data)

    return check
