"""Whole models with fused blocks against the same op by op, in float64: all versions, states in and out."""

from __future__ import annotations

from typing import Any

import pytest
from models_at_hand import VERSIONS, random_small

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery import _native  # noqa: E402
from rookery.ops import fused  # noqa: E402
from rookery.ops.fused.plan import Group  # noqa: E402
from rookery.train.model import TrainedModel  # noqa: E402

LENGTHS = [5, 1, 140, 9]
ROWS = sum(LENGTHS)
# Of a whole model's gradients in float32 against float64: they are sums over rows and channels that cancel, by a factor
# of up to some hundreds.  Where op by op it is more, as for the decays of heads in 5.0 and 5.1, it may be more here.
BOUND = 1e-5


def run(version: str, states: bool = True, **settings: Any) -> dict[str, Any]:
    """Everything that a model computes, and the gradients of a random sum of it."""
    small, g = random_small(version), torch.Generator().manual_seed(1)
    model = TrainedModel.of(small.checkpoint, **settings)
    dtype = next(model.parameters()).dtype

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.1 * draw(*parameter.shape)).to(dtype)
    before = [
        tuple((x + 0.1 * draw(*x.shape)).to(dtype).requires_grad_() for x in triple)
        for triple in model.fresh(len(LENGTHS))
    ]
    hidden, after = model(torch.from_numpy(small.tokens(ROWS)).long(), LENGTHS, before if states else None)
    loss = (hidden * draw(*hidden.shape)).sum()
    for triple in after if states else []:
        loss = loss + sum((x * draw(*x.shape)).clamp(-1e9, 1e9).sum() for x in triple)
    loss.backward()
    found = {"hidden": hidden.detach()} | {name: p.grad for name, p in model.named_parameters()}
    for i in range(len(after) if states else 0):
        found |= {f"before {i} {j}": x.grad for j, x in enumerate(before[i])}
        found |= {f"after {i} {j}": x.detach() for j, x in enumerate(after[i])}
    return found


def errors(got: dict[str, Any], want: dict[str, Any]) -> dict[str, float]:
    assert got.keys() == want.keys()
    assert {name for name, x in got.items() if x is None} == {name for name, x in want.items() if x is None}
    return {
        name: float((got[name].double() - x).norm() / x.norm().clamp_min(1e-6))
        for name, x in want.items()
        if x is not None
    }


@pytest.mark.parametrize("table", _native.kernel_tables())
@pytest.mark.parametrize("version", VERSIONS)
def test_fused_blocks_are_the_blocks(version, table, monkeypatch):
    want = run(version, dtype=torch.float64)
    monkeypatch.setenv("ROOKERY_CPU", table)
    fused_error, eager_error = (errors(run(version, fused=way), want) for way in (True, False))
    for name, error in fused_error.items():
        assert error < max(BOUND, 4 * eager_error[name]), name


@pytest.mark.parametrize("version", VERSIONS)
def test_without_states_and_recomputed(version):
    want = run(version, states=False, recompute=False)
    got = run(version, states=False, recompute=True)
    for name, x in want.items():
        assert (got[name] is None) == (x is None)
        assert x is None or torch.equal(got[name], x), name


@pytest.mark.parametrize("version", VERSIONS)
def test_products_in_bfloat16(version):
    want = run(version, states=False, dtype=torch.float64)
    fused_error, eager_error = (
        errors(run(version, states=False, half=torch.bfloat16, fused=way), want) for way in (True, False)
    )
    for name, error in fused_error.items():
        assert error < max(0.01, 1.5 * eager_error[name]), name


@pytest.mark.parametrize("version", VERSIONS)
def test_plans_keep_little(version):
    """What lies between two products or recurrences is one group, and only what they read is in memory."""
    small = random_small(version)
    fused._calls.clear()
    model = TrainedModel.of(small.checkpoint)
    model(torch.zeros(3, dtype=torch.int64), [3])
    for call in fused._calls.values():
        nodes = call.plan.nodes
        read = {
            i for node in nodes if node.name in ("linear", "shift", "last", "wkv4", "wkv6", "wkv7") for i in node.inputs
        }
        kept = {i for step in call.plan.steps if isinstance(step, Group) for i in step.outputs}
        extra = kept - read - set(call.plan.outputs)
        assert len(extra) <= 2, [nodes[i] for i in extra]  # x after the time mix; RWKV-7's bonus


def test_other_types_are_computed_op_by_op():
    fused._calls.clear()
    small = random_small("7")
    TrainedModel.of(small.checkpoint, dtype=torch.float64)(torch.zeros(3, dtype=torch.int64), [3])
    TrainedModel.of(small.checkpoint, fused=False)(torch.zeros(3, dtype=torch.int64), [3])
    assert fused._calls == {}
