"""The removal term in training is that of inference, fused or op by op, and its gradient is the formula's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery.config import REMOVALS  # noqa: E402
from rookery.formats import open_checkpoint  # noqa: E402
from rookery.formats.check import checked  # noqa: E402
from rookery.initialise import make_config, random_model  # noqa: E402
from rookery.layout import StateLayout  # noqa: E402
from rookery.ops.oracle import NumpyExecutor  # noqa: E402
from rookery.parameters import parameters  # noqa: E402
from rookery.train.export import export  # noqa: E402
from rookery.train.model import TrainedModel  # noqa: E402

LENGTHS = [5, 1, 30]
TOKENS = np.random.default_rng(0).integers(0, 53, sum(LENGTHS))


def drawn(removal: str):
    config = make_config("7", layers=2, width=64, vocab=53, head_size=16)
    return checked(random_model(replace(config, removal=removal), seed=1))


@pytest.mark.parametrize("removal", REMOVALS)
def test_logits_are_the_oracles(removal):
    checkpoint = drawn(removal)
    layout = StateLayout(checkpoint.config)
    oracle = NumpyExecutor(layout, parameters(checkpoint.config, checkpoint.tensors, np.float64))
    rows = np.arange(len(TOKENS), dtype=np.int32)
    want = oracle.run(TOKENS.astype(np.int32), LENGTHS, [layout.zeros() for _ in LENGTHS], rows)
    for fused in (True, False):
        model = TrainedModel.of(checkpoint, fused=fused)
        got = model.logits(model(torch.from_numpy(TOKENS), LENGTHS)[0]).detach().numpy()
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("removal", REMOVALS)
def test_gradients_are_those_of_float64(removal):
    gradients = []
    for how in ({"dtype": torch.float64}, {"fused": False}, {"fused": True}):
        model = TrainedModel.of(drawn(removal), **how)
        model(torch.from_numpy(TOKENS), LENGTHS)[0].square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    exact, *others = gradients
    for other in others:
        assert set(other) == set(exact)
        for name, wanted in exact.items():
            error = (other[name].double() - wanted).norm() / wanted.norm().clamp(min=1e-12)
            assert error < 1e-4, name


def test_it_is_exported(tmp_path: Path):
    export(TrainedModel.of(drawn("1+w")), tmp_path / "m.rookery")
    assert open_checkpoint(tmp_path / "m.rookery").config.removal == "1+w"
