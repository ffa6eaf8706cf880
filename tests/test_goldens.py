"""The golden files are whole and say what their README says."""

from __future__ import annotations

import numpy as np
import pytest
from goldens import FOLDER, GOLDENS, load_golden
from safetensors.numpy import load_file

from rookery.config import VERSIONS, Config
from rookery.initialise import random_model


def test_every_version_has_a_golden() -> None:
    assert {load_golden(name).config_hint.version for name in GOLDENS} == set(VERSIONS)


def test_goldens_are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3 << 20


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_is_consistent(name: str) -> None:
    golden = load_golden(name)
    config = golden.config_hint
    weights = load_file(golden.checkpoint_path)
    assert Config.infer({key: value.shape for key, value in weights.items()}, name) == config
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float16)}
    assert weights.keys() == random_model(config).tensors.keys()
    assert golden.logits.shape == (len(golden.tokens), config.vocab)
    assert golden.logits.dtype == np.float32
    assert 0.5 < golden.logits.std() < 5
    assert len(golden.state) == config.layers * (5 if config.version == "4" else 3)
    if config.version != "4":
        assert golden.state[1].shape == (config.heads, config.head_size, config.head_size)


def test_finch_has_a_tuned_state() -> None:
    golden = load_golden("v6")
    assert golden.tuned_logits is not None
    assert set(golden.tuned_state) == {f"blocks.{i}.att.time_state" for i in range(3)}
    assert np.abs(golden.tuned_logits[0] - golden.logits[0]).max() > 0.1
