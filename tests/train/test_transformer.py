"""The control: what it may see, how large it is, and that the loop trains it."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from toy import VOCAB, Counting, toy_trainer  # noqa: E402

from rookery.config import canonical_shapes, optional  # noqa: E402
from rookery.errors import SettingsError  # noqa: E402
from rookery.initialise import make_config  # noqa: E402
from rookery.train.run import Run  # noqa: E402
from rookery.train.trainer import Trainer  # noqa: E402
from rookery.train.transformer import Transformer, TransformerConfig  # noqa: E402

LENGTHS = [5, 1, 33, 16, 4, 31]
ROWS = sum(LENGTHS)
SMALL = TransformerConfig(layers=2, width=32, vocab=VOCAB, ffn=48, head_size=8)


def lively(config: TransformerConfig = SMALL, **more: object) -> Transformer:
    """With weights so large that every path matters."""
    model = Transformer(config, seed=3, dtype=torch.float64, **more)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 8 if parameter.dim() > 1 else 1
    return model


def some_tokens(rows: int = ROWS, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, VOCAB, rows))


def by_the_formula(model: Transformer, tokens: torch.Tensor) -> torch.Tensor:
    """One segment, attention written out, positions as complex numbers that turn."""
    config, p = model.config, dict(model.named_parameters())
    rows, lanes = len(tokens), config.head_size
    rates = 10000.0 ** (-torch.arange(lanes // 2, dtype=torch.float64) / (lanes // 2))
    turn = torch.polar(torch.ones(rows, lanes // 2).double(), torch.arange(rows)[:, None] * rates)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        return x * p[f"{name}.weight"] + p[f"{name}.bias"]

    def turned(x: torch.Tensor) -> torch.Tensor:
        z = torch.complex(x[:, : lanes // 2], x[:, lanes // 2 :]) * turn
        return torch.cat([z.real, z.imag], -1)

    x = p["emb.weight"][tokens]
    for i in range(config.layers):
        b = f"blocks.{i}."
        h, outputs = norm(x, b + "ln1"), []
        q, k, v = ((h @ p[f"{b}att.{name}.weight"].T) for name in ("query", "key", "value"))
        for head in range(config.heads):
            own = slice(head * lanes, (head + 1) * lanes)
            scores = turned(q[:, own]) @ turned(k[:, own]).T / math.sqrt(lanes)
            scores = scores.masked_fill(torch.ones(rows, rows).triu(1).bool(), -math.inf)
            outputs.append(scores.softmax(-1) @ v[:, own])
        x = x + torch.cat(outputs, -1) @ p[b + "att.output.weight"].T
        h = (norm(x, b + "ln2") @ p[b + "ffn.key.weight"].T).clamp(min=0) ** 2
        x = x + h @ p[b + "ffn.value.weight"].T
    return norm(x, "ln_out")


def test_it_is_the_formula_and_segments_do_not_see_each_other():
    model, tokens = lively(), some_tokens()
    hidden, _ = model(tokens, LENGTHS)
    wanted = torch.cat([by_the_formula(model, part) for part in tokens.split(LENGTHS)])
    torch.testing.assert_close(hidden, wanted, rtol=1e-9, atol=1e-9)


def test_nothing_looks_ahead():
    model, tokens = lively(), some_tokens(33)
    before, _ = model(tokens, [33])
    tokens[20] = (tokens[20] + 1) % VOCAB
    after, _ = model(tokens, [33])
    assert torch.equal(before[:20], after[:20])
    assert not torch.isclose(before[20:], after[20:]).all(-1).any()


@pytest.mark.parametrize("cut", [1, 4, 15])
def test_a_segment_may_be_cut_anywhere(cut):
    model, lengths = lively(), [16, 20]
    tokens = some_tokens(36)
    whole, _ = model(tokens, lengths)
    a, b = tokens.split(lengths)
    first, states = model(torch.cat([a[:cut], b[:4]]), [cut, 4])
    second, states = model(torch.cat([a[cut:], b[4:]]), [16 - cut, 16], states)
    torch.testing.assert_close(torch.cat([first[:cut], second[: 16 - cut], first[cut:], second[16 - cut :]]), whole)
    assert [past.lengths for past in states] == [lengths] * 2


def test_recomputing_changes_no_gradient():
    gradients = []
    for recompute in (False, True):
        model = lively(recompute=recompute)
        model(some_tokens(), LENGTHS)[0].square().sum().backward()
        gradients.append([p.grad for name, p in model.named_parameters() if name != "head.weight"])
    assert all(map(torch.equal, *gradients))


def test_half_is_near():
    model = Transformer(SMALL, half=torch.bfloat16)
    exact = Transformer(SMALL)
    got, wanted = (m(some_tokens(), LENGTHS)[0] for m in (model, exact))
    assert got.dtype == torch.float32
    assert 0 < (got - wanted).abs().max() < 0.1


@pytest.mark.parametrize("version", ["4", "5.2", "6", "7"])
@pytest.mark.parametrize(("layers", "width", "vocab"), [(1, 64, 20), (2, 64, 256), (6, 256, 4096), (12, 768, 65536)])
def test_it_has_as_many_parameters_as_the_model_it_stands_beside(version, layers, width, vocab):
    config = make_config(version, layers=layers, width=width, vocab=vocab)
    wanted = sum(math.prod(s) for name, s in canonical_shapes(config).items() if not optional(name))
    found = TransformerConfig.equal_to(config)
    assert found.parameters == pytest.approx(wanted, rel=0.01)
    assert (found.layers, found.width, found.vocab) == (layers, width, vocab)


def test_the_count_is_of_what_is_there():
    model = Transformer(SMALL)
    assert sum(p.numel() for p in model.parameters()) == SMALL.parameters
    assert set(model.state_dict()) == set(SMALL.shapes())


def test_heads_must_fit():
    for head_size in (5, 64, 16 + 1):
        with pytest.raises(SettingsError, match=rf"^head_size={head_size}: expected an even divisor of the width, 32$"):
            TransformerConfig(1, 32, VOCAB, 32, head_size)


def test_new_parameters_follow_from_the_seed():
    a, b, c = (Transformer(SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])
    assert a["blocks.0.att.query.weight"].std() == pytest.approx(0.02, rel=0.1)
    assert a["blocks.0.ffn.value.weight"].std() == pytest.approx(0.01, rel=0.1)


def trainer(steps: int) -> Trainer:
    like = toy_trainer(steps=steps)
    return Trainer(Transformer(TransformerConfig.equal_to(like.model.config)), Counting(), like.settings)


def test_it_learns_to_count():
    losses = [report.loss for report in trainer(60).reports()]
    assert losses[0] == pytest.approx(math.log(VOCAB), rel=0.1)
    assert losses[-1] < 0.8


def test_a_run_of_it_resumes(tmp_path):
    whole = [report.loss for report in trainer(12).reports()]
    (tmp_path / "run").mkdir()
    first = Run(trainer(12), tmp_path / "run", "counting")
    for _ in range(4):
        first.trainer.advance()
    first.save()
    second = Run(trainer(12), tmp_path / "run", "counting")
    losses = []
    second.watcher.step = lambda report: losses.append(report.loss)
    assert second.go()
    assert losses == whole[4:]
