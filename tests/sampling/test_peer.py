"""Against the sampler of the official `rwkv` package: the same tokens survive, with the same probabilities."""

import sys
import types

import numpy as np
import pytest

from rookery.sampling import Sampler

pytestmark = pytest.mark.peer
CASES = [(1.0, 0.85, 0), (1.0, 0.3, 0), (1.0, 0.5, 100), (0.3, 0.3, 0), (2.0, 0.9, 20), (0.7, 0.95, 3), (0.0, 0.5, 0)]


@pytest.fixture(scope="module")
def pipeline():
    """The official pipeline, without the model that its constructor wants."""
    pytest.importorskip("torch")
    # The package's front module compiles extensions; the sampler's file does not need it.
    spec = pytest.importorskip("importlib.util").find_spec("rwkv")
    if spec is None:
        pytest.skip("the rwkv package is absent")
    bare = types.ModuleType("rwkv")
    bare.__path__ = list(spec.submodule_search_locations)
    kept = sys.modules.get("rwkv")
    sys.modules["rwkv"] = bare
    from rwkv.utils import PIPELINE, PIPELINE_ARGS

    yield object.__new__(PIPELINE), PIPELINE_ARGS
    del sys.modules["rwkv"]
    if kept is not None:
        sys.modules["rwkv"] = kept


def official(pipeline, logits, case, monkeypatch) -> np.ndarray:
    """The probabilities that the package hands to numpy's choice."""
    import torch

    seen = []
    monkeypatch.setattr(np.random, "choice", lambda a, p: seen.append(p) or 0)
    temperature, top_p, top_k = case
    pipeline.sample_logits(torch.from_numpy(logits.copy()), temperature, top_p, top_k)
    return seen[0]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("vocab", [50, 65536])
def test_the_distribution_is_the_packages(pipeline, case, vocab, monkeypatch):
    temperature, top_p, top_k = case
    draw = Sampler(temperature=temperature, top_p=top_p, top_k=top_k).start(vocab)
    for seed in range(4):
        logits = (np.random.default_rng(seed).standard_normal(vocab) * (seed + 1)).astype(np.float32)
        want, got = official(pipeline[0], logits, case, monkeypatch), draw.distribution(logits)
        # The package adds up in float32: a token at the very edge of the cut may fall on the other side.
        edge = np.flatnonzero((got > 0) != (want > 0))
        assert len(edge) <= vocab * 1e-4
        np.testing.assert_allclose(np.delete(got, edge), np.delete(want, edge), rtol=2e-3 if len(edge) else 2e-5)


def test_a_whole_reply_with_penalties_is_the_packages(pipeline, monkeypatch):
    import torch

    pipe, make_args = pipeline
    vocab = 40
    text = [chr(ord("0") + i) if i < 10 else chr(ord("a") + i) for i in range(vocab)]
    rows = (np.random.default_rng(3).standard_normal((60, vocab)) * 2).astype(np.float32)
    script = np.random.default_rng(4).integers(0, vocab // 2, 60).tolist()
    seen, step = [], iter(range(60))

    def choice(a, p):
        seen.append(p.copy())
        return script[len(seen) - 1]

    monkeypatch.setattr(np.random, "choice", choice)
    monkeypatch.setattr(pipe, "encode", lambda ctx: [0], raising=False)
    monkeypatch.setattr(pipe, "decode", lambda ids: "".join(text[i] for i in ids), raising=False)
    model = types.SimpleNamespace(forward=lambda ids, state: (torch.from_numpy(rows[next(step)].copy()), state))
    monkeypatch.setattr(pipe, "model", model, raising=False)
    pipe.generate("", 60, make_args(top_p=0.9, alpha_frequency=0.4, alpha_presence=0.3, alpha_decay=0.9, token_ban=[5]))

    settings = Sampler(top_p=0.9, frequency_penalty=0.4, presence_penalty=0.3, penalty_decay=0.9, ban=[5])
    draw = settings.start(vocab, penalty_free=range(10))
    for row, want, token in zip(rows, seen, script, strict=True):
        np.testing.assert_allclose(draw.distribution(row), want, rtol=2e-4, atol=1e-9)
        draw.accept(token)
