"""The formulas themselves: autograd over them against differences, and against the numpy oracle that serves."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from wkv_cases import NAMES, Case, draw  # noqa: E402

from rookery.ops.wkv import reference  # noqa: E402


@pytest.mark.parametrize("version", sorted(NAMES))
def test_autograd_agrees_with_differences(version):
    inputs = draw(Case(version, 1, 3, (4, 1)))
    function = getattr(reference, f"wkv{version}")
    operands = [x.clone().requires_grad_() for x in inputs.operands.values()]
    assert torch.autograd.gradcheck(lambda *x: function(*x, inputs.offsets), operands)
