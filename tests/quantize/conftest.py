"""Small models to quantise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quantize_models import model_of

from rookery.formats import save_checkpoint


@pytest.fixture(scope="session")
def goose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RWKV-7 over bytes, wide enough for blocks of 256."""
    path = tmp_path_factory.mktemp("models") / "goose.pth"
    save_checkpoint(model_of("7"), path)
    return path


@pytest.fixture(scope="session")
def text() -> bytes:
    """Letters that are neither all alike nor evenly spread."""
    letters = np.random.default_rng(0).zipf(1.5, 2000) % 90 + 32
    return bytes(letters.astype(np.uint8))
