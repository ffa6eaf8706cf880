"""The cross-entropy and the products of the core's way through a step, against float64."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery import _native  # noqa: E402
from rookery.ops.fused.product import product  # noqa: E402
from rookery.train.loss import cross_entropy  # noqa: E402


@pytest.mark.parametrize("table", _native.kernel_tables())
@pytest.mark.parametrize("flatten", [0.0, 0.01])
@pytest.mark.parametrize("half", [None, torch.bfloat16])
def test_the_native_loss_is_the_loss(half, flatten, table, monkeypatch):
    monkeypatch.setenv("ROOKERY_CPU", table)
    g = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(600, 16, generator=g), torch.randn(53, 16, generator=g)
    targets = torch.randint(0, 53, (600,), generator=g)
    weights = torch.rand(600, generator=g) * (torch.arange(600) % 3 > 0)
    found = []
    for dtype in (torch.float32, torch.float64):
        x, w = (t.to(dtype).requires_grad_() for t in (hidden, head))
        kind = half if dtype == torch.float32 else None
        loss = cross_entropy(x, w, targets, weights.to(dtype), flatten=flatten, half=kind)
        found.append((loss.detach(), *torch.autograd.grad(loss, (x, w))))
    for mine, theirs in zip(*found, strict=True):
        error = (mine.double() - theirs).norm() / theirs.norm()
        assert error < (2e-6 if half is None else 1e-2)


def test_a_target_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match="outside the vocabulary"):
        _native.cross_entropy("", 1, torch.zeros(2, 5), torch.tensor([0, 5]), torch.ones(2), 0.0)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(1, 3, 5), (37, 96, 16), (130, 16, 96)])
def test_products_and_their_derivatives(rows, inputs, outputs, turned):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(rows, inputs, generator=g, requires_grad=True)
    w = torch.randn(*((inputs, outputs) if turned else (outputs, inputs)), generator=g, requires_grad=True)
    dy = torch.randn(rows, outputs, generator=g)
    y = product(x, w.T if turned else w)
    got = (y, *torch.autograd.grad(y, (x, w), dy))
    x64, w64 = (t.detach().double().requires_grad_() for t in (x, w))
    y64 = x64 @ (w64 if turned else w64.T)
    want = (y64, *torch.autograd.grad(y64, (x64, w64), dy.double()))
    for mine, theirs in zip(got, want, strict=True):
        assert (mine.double() - theirs).norm() / theirs.norm() < 1e-6
