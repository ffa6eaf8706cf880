"""The model in training is the model that is served: the torch executor against the float64 oracle."""

from __future__ import annotations

import numpy as np
import pytest
from models_at_hand import VERSIONS, random_small

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery.train.loss import cross_entropy  # noqa: E402
from rookery.train.model import TrainedModel  # noqa: E402

LENGTHS = [5, 1, 70, 9]
ROWS = sum(LENGTHS)


@pytest.mark.parametrize("version", VERSIONS)
def test_logits_and_states_are_the_oracles(version):
    small = random_small(version)
    tokens = small.tokens(ROWS)
    states = [small.layout.zeros() for _ in LENGTHS]
    want = small.oracle().run(tokens, LENGTHS, states, np.arange(ROWS, dtype=np.int32))
    model = TrainedModel.of(small.checkpoint, dtype=torch.float64)
    hidden, after = model(torch.from_numpy(tokens).long(), LENGTHS)
    np.testing.assert_allclose(model.logits(hidden).detach().numpy(), want, rtol=1e-10, atol=1e-10)
    for layer, triple in zip(small.layout.layers, after, strict=True):
        for field, got in zip(vars(layer).values(), triple, strict=True):
            wanted = np.stack([field.of(state) for state in states])
            np.testing.assert_allclose(got.detach().numpy(), wanted, rtol=1e-6, atol=1e-6)  # they are float32


@pytest.mark.parametrize("version", VERSIONS)
def test_a_segment_may_be_cut_anywhere(version):
    small = random_small(version)
    model = TrainedModel.of(small.checkpoint, dtype=torch.float64)
    tokens = torch.from_numpy(small.tokens(30)).long()
    whole, _ = model(tokens, [30])
    first, states = model(tokens[:11], [11])
    second, _ = model(tokens[11:], [19], states)
    torch.testing.assert_close(torch.cat([first, second]), whole)


@pytest.mark.parametrize("version", VERSIONS)
def test_recomputing_changes_no_gradient(version):
    small = random_small(version)
    tokens = torch.from_numpy(small.tokens(ROWS)).long()
    gradients = []
    for recompute in (False, True):
        model = TrainedModel.of(small.checkpoint, recompute=recompute)
        model(tokens, LENGTHS)[0].square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert set(gradients[0]) == set(small.checkpoint.tensors)
    for name, gradient in gradients[0].items():
        assert (gradient is None) == (gradients[1][name] is None)
        if gradient is not None:
            assert torch.equal(gradient, gradients[1][name]), name


@pytest.mark.parametrize("rows", [1, 7, 600, 1024])
def test_the_loss_in_chunks_is_the_loss(rows):
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(50, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 50, (rows,), generator=generator)
    weights = torch.rand(rows, generator=generator, dtype=torch.float64) * (torch.arange(rows) % 3 > 0)
    want = (torch.nn.functional.cross_entropy(hidden @ head.T, targets, reduction="none") * weights).sum()
    expected = torch.autograd.grad(want, (hidden, head))
    got = cross_entropy(hidden, head, targets, weights)
    torch.testing.assert_close(got, want)
    for mine, theirs in zip(torch.autograd.grad(3 * got, (hidden, head)), expected, strict=True):
        torch.testing.assert_close(mine, 3 * theirs)


def test_flattening_pulls_at_the_largest_logit_alone():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(9, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    head = torch.randn(50, 16, generator=generator, dtype=torch.float64)
    targets, weights = torch.arange(9), torch.rand(9, generator=generator, dtype=torch.float64)
    logits = hidden @ head.T
    loss = (torch.nn.functional.cross_entropy(logits, targets, reduction="none") * weights).sum()
    expected = torch.autograd.grad(loss + 0.01 / 2 * (logits.max(-1).values.square() * weights).sum(), hidden)[0]
    got = cross_entropy(hidden, head, targets, weights, flatten=0.01)
    torch.testing.assert_close(got, loss)
    torch.testing.assert_close(torch.autograd.grad(got, hidden)[0], expected)
