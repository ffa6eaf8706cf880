"""Every row-wise op fused, alone and together, against float64 op by op: results and all gradients."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from rookery import _native  # noqa: E402
from rookery.ops.fused.call import Call  # noqa: E402
from rookery.ops.torch import TorchOps  # noqa: E402

TABLES = _native.kernel_tables()
LENGTHS = [5, 1, 140, 9, 128]
HEADS = 3


def norm(p: Any) -> Any:
    return SimpleNamespace(weight=p.scale, bias=p.bias)


DEFINITIONS = {
    "add": lambda o, p, x, y: x + y,
    "sub": lambda o, p, x, y: x - y,
    "mul": lambda o, p, x, y: x * y,
    "square": lambda o, p, x, y: x * x + x,
    "add vector": lambda o, p, x, y: p.bias + x,
    "sub vector": lambda o, p, x, y: (x - p.bias) * (p.scale - y),
    "mul vector": lambda o, p, x, y: x * p.scale,
    "numbers": lambda o, p, x, y: 1.0 - (2.0 * x - 0.5) + (-y - 3.0) * 0.25,
    "exp": lambda o, p, x, y: o.exp(x),
    "tanh": lambda o, p, x, y: o.tanh(x),
    "sigmoid": lambda o, p, x, y: o.sigmoid(x),
    "silu": lambda o, p, x, y: o.silu(x),
    "relu2": lambda o, p, x, y: o.relu2(x),
    "layer_norm": lambda o, p, x, y: o.layer_norm(x, norm(p)),
    "group_norm": lambda o, p, x, y: o.group_norm(x, norm(p), HEADS, 64e-5),
    "l2norm": lambda o, p, x, y: o.l2norm(x, HEADS),
    "head_sum": lambda o, p, x, y: o.head_sum(x, HEADS),
    "of parameters": lambda o, p, x, y: x * o.exp(-o.exp(p.scale)) + o.sigmoid(p.bias) * o.tanh(p.bias),
    "together": lambda o, p, x, y: o.layer_norm(o.l2norm(x, HEADS) * o.sigmoid(y) + p.bias, norm(p)) * o.silu(x - y),
}
SHIFTS = {
    "shift": lambda o, p, x, y, s: shifted(o, x, s),
    "shift and itself": lambda o, p, x, y, s: mixed(o, x, s, p),
    "shift of a result": lambda o, p, x, y, s: mixed(o, o.tanh(x) * y, s, p),
    "shift into a product": lambda o, p, x, y, s: product(o, x, s, p),
}


def shifted(o: Any, x: Any, s: Any) -> Any:
    y, after = o.shift(x, s)
    return [y, after]


def mixed(o: Any, x: Any, s: Any, p: Any) -> Any:
    before, after = o.shift(x, s)
    return [x + (before - x) * p.scale, before * p.bias, after]


def product(o: Any, x: Any, s: Any, p: Any) -> Any:
    before, after = o.shift(x, s)
    return [o.relu2(o.linear(before, p.matrix)) * o.linear(o.sigmoid(x), p.matrix), after]


def random(columns: int, seed: int = 0) -> tuple[Any, list[Any]]:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Any:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    p = SimpleNamespace(scale=1 + 0.3 * draw(columns), bias=draw(columns), matrix=draw(columns, columns) / columns**0.5)
    rows = sum(LENGTHS)
    return p, [draw(rows, columns), draw(rows, columns), draw(len(LENGTHS), columns)]


def gradients(run: Any, p: Any, given: list[Any], dtype: Any) -> tuple[list[Any], list[Any]]:
    """What `run` gives and the gradients of a random sum of it."""
    p = SimpleNamespace(**{name: x.to(dtype).requires_grad_() for name, x in vars(p).items()})
    given = [x.to(dtype).requires_grad_() for x in given]
    outputs = run(p, given)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    g = torch.Generator().manual_seed(9)
    loss = sum((x * torch.randn(x.shape, generator=g, dtype=torch.float64).to(dtype)).sum() for x in outputs)
    leaves = [*vars(p).values(), *given]
    return [x.detach() for x in outputs], list(torch.autograd.grad(loss, leaves, allow_unused=True))


def compare(define: Any, columns: int, arguments: int) -> None:
    p, given = random(columns)
    given = given[:arguments]
    ops = TorchOps(torch.zeros(sum(LENGTHS), dtype=torch.int64), LENGTHS)
    want = gradients(lambda p, given: define(ops, p, *given), p, given, torch.float64)

    def listed(*inputs: Any) -> list[Any]:
        found = define(*inputs)
        return found if isinstance(found, list) else [found]

    call = Call(listed, p, [columns, columns, 0][:arguments])
    got = gradients(lambda p, given: call(ops, p, *given), p, given, torch.float32)
    for mine, theirs in zip([*got[0], *got[1]], [*want[0], *want[1]], strict=True):
        assert (mine is None) == (theirs is None)
        if theirs is not None:
            error = (mine.double() - theirs).norm() / theirs.norm().clamp_min(1e-3)
            assert error < 2e-6  # some 16 roundings of 2^-24; sums over rows are of random signs


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("columns", [12, 51, 96])
@pytest.mark.parametrize("name", DEFINITIONS)
def test_an_op_and_its_derivatives(name, columns, table, monkeypatch):
    monkeypatch.setenv("ROOKERY_CPU", table)
    compare(DEFINITIONS[name], columns, 2)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("columns", [12, 51, 600])
@pytest.mark.parametrize("name", SHIFTS)
def test_shifts_over_segments(name, columns, table, monkeypatch):
    monkeypatch.setenv("ROOKERY_CPU", table)
    compare(SHIFTS[name], columns, 3)


@pytest.mark.parametrize("columns", [51, 600])
def test_threads_change_no_bit(columns):
    p, given = random(columns)
    ops = TorchOps(torch.zeros(sum(LENGTHS), dtype=torch.int64), LENGTHS)
    call = Call(lambda o, p, x, y, s: mixed(o, o.layer_norm(x, norm(p)) * y, s, p), p, [columns, columns, 0])
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 7):
            torch.set_num_threads(threads)
            outputs, grads = gradients(lambda p, given: call(ops, p, *given), p, given, torch.float32)
            found.append([x for x in [*outputs, *grads] if x is not None])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_what_is_not_asked_for_is_not_computed():
    p, given = random(12)
    p = SimpleNamespace(**{name: x.float() for name, x in vars(p).items()})
    x, y, s = (x.float() for x in given)
    y.requires_grad_()
    ops = TorchOps(torch.zeros(sum(LENGTHS), dtype=torch.int64), LENGTHS)
    call = Call(lambda o, p, x, y, s: mixed(o, x * y, s, p), p, [12, 12, 0])
    first, _, _ = call(ops, p, x, y, s)
    first.sum().backward()
    assert x.grad is None
    z = (x * y.detach()).requires_grad_()
    mixed(ops, z, s, p)[0].sum().backward()
    torch.testing.assert_close(y.grad, z.grad * x)
    with torch.no_grad():
        assert not call(ops, p, x, y, s)[0].requires_grad


def test_a_zero_row_has_a_gradient():
    x = torch.zeros(3, 12, requires_grad=True)
    ops = TorchOps(torch.zeros(3, dtype=torch.int64), [3])
    p = SimpleNamespace(scale=torch.ones(12), bias=torch.ones(12))
    call = Call(lambda o, p, x: [o.l2norm(x, 3), o.layer_norm(x, norm(p))], p, [12])
    sum(y.sum() for y in call(ops, p, x)).backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("table", TABLES)
def test_rounding_to_bfloat16_is_torchs(table):
    x = torch.cat([torch.randn(500), torch.tensor([0.0, -0.0, 1e-40, 3.4e38, -3.4e38, 1.00390625, torch.inf])])
    group = _native.FusedGroup(13, [(0, -1)], 0, [("scale", [0], 1.0, 1)], [1])
    x = x.reshape(-1, 13)
    y, z = torch.empty(x.shape, dtype=torch.bfloat16), torch.empty(x.shape)
    offsets = torch.tensor([0, len(x)])
    group.forward(table, 1, offsets, ([x], [], []), [y])
    group.forward(table, 1, offsets, ([y], [], []), [z])
    assert torch.equal(y, x.bfloat16())
    assert torch.equal(z, x.bfloat16().float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ops": [("shout", [0], 0.0, 1)]}, "cannot be fused"),
        ({"ops": [("exp", [1], 0.0, 1)]}, "not there yet"),
        ({"ops": [("add", [0], 0.0, 1)]}, "wrong number of operands"),
        ({"ops": [("l2norm", [0], 0.0, 5)]}, "heads do not divide"),
        ({"outputs": [0]}, "no op's result"),
        ({"inputs": []}, "columns and inputs"),
        ({"columns": 0}, "columns and inputs"),
    ],
)
def test_an_impossible_group_is_refused(change, message):
    group = {"columns": 12, "inputs": [(0, -1)], "vectors": 0, "ops": [("exp", [0], 0.0, 1)], "outputs": [1]} | change
    with pytest.raises(ValueError, match=message):
        _native.FusedGroup(**group)


def test_a_call_is_checked_before_memory_is_touched():
    group = _native.FusedGroup(12, [(0, -1), (0, 0)], 1, [("add", [0, 1], 0.0, 1)], [3])
    x, s, v, offsets = torch.zeros(4, 12), torch.zeros(1, 12), torch.zeros(12), torch.tensor([0, 4])
    group.forward("", 1, offsets, ([x], [s], [v]), [torch.empty(4, 12)])
    for arrays, outputs, message in (
        (([x[:3]], [s], [v]), [x], "wrong size"),
        (([x], [s[:, :5].contiguous()], [v]), [x], "wrong size"),
        (([x], [s], []), [x], "number of arrays"),
        (([x], [None], [v]), [x], "missing"),
        (([x], [s], [v]), [None], "missing"),
        (([x.double()], [s], [v]), [x], "neither float32 nor bfloat16"),
        (([x.bfloat16()], [s], [v]), [x], "must be float32"),
    ):
        with pytest.raises(ValueError, match=message):
            group.forward("", 1, offsets, arrays, outputs)
    with pytest.raises(ValueError, match="must not fall"):
        group.forward("", 1, torch.tensor([0, 5, 4]), ([x], [s], [v]), [x])
