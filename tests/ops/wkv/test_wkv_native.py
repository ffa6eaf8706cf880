"""
The recurrences of the C++ core, forward and backward, under every kernel table that this processor runs.

The oracle is autograd over the formula in float64; a figure is the relative Frobenius norm of the difference.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rookery[train]")

from wkv_cases import NAMES, Case, draw, errors, results, truth  # noqa: E402

from rookery import _native  # noqa: E402
from rookery.errors import SettingsError  # noqa: E402
from rookery.ops.wkv import native, reference, wkv7  # noqa: E402

LIMIT = 1e-6
# Where RWKV-4's key never changes, e^w is rounded the same way in every row, and a sum over n rows is off by n halves
# of a unit in the last place.
SAME_ROUNDING = 5e-6
LENGTHS = [(1,), (2,), (31,), (64,), (65,), (200,), (33, 1, 64, 7, 129)]
KINDS = ["repeated key", "least decay", "no decay", "zero key"]
VERSIONS = sorted(NAMES)


@pytest.fixture(params=_native.kernel_tables())
def table(request, monkeypatch) -> str:
    monkeypatch.setenv("ROOKERY_CPU", request.param)
    return request.param


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def check(case: Case, final: bool = True) -> None:
    found = errors(results(native, case, torch.float32, final), truth(case, final))
    same = case.version == 4 and case.kind in ("repeated key", "zero key")
    assert max(found.values()) < (SAME_ROUNDING if same else LIMIT), found


@pytest.mark.parametrize("lanes", [16, 32, 64, 128, 5])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_head_size(version, lanes, table):
    check(Case(version, 2, lanes, (67, 3)))


@pytest.mark.parametrize("lanes", [48, 130, 144])
def test_head_sizes_that_no_kernel_is_made_for(lanes, table):
    check(Case(7, 1, lanes, (9,)))
    check(Case(6, 1, lanes, (9,)))


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_length(version, lengths, table):
    check(Case(version, 3, 16, lengths))


@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_states_may_be_empty_and_final_ones_unused(version, initial, final, table):
    check(Case(version, 2, 16, (70, 5), initial=initial), final)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("version", VERSIONS)
def test_what_breaks_other_schemes(version, kind, table):
    """A division by the decay fails at the least decay, powers of a matrix where a key repeats."""
    for lengths in ((64,), (200, 3)):
        check(Case(version, 1, 64, lengths, kind))


def test_a_decay_to_nothing(table):
    """RWKV-6's decay may be so strong that it rounds to zero, which nothing could divide by."""
    assert bool((draw(Case(6, 1, 16, (200,), "fast decay")).operands["w"] < 1e-60).all())
    check(Case(6, 1, 16, (200,), "fast decay"))
    check(Case(4, 1, 16, (200,), "fast decay"))


@pytest.mark.parametrize("version", VERSIONS)
def test_threads_change_no_bit(version, table):
    case = Case(version, 3, 40, (65, 1, 64, 7, 130))
    found = []
    for count in (1, 2, 7):
        torch.set_num_threads(count)
        found.append(results(native, case, torch.float32))
    for other in found[1:]:
        assert all(torch.equal(other[name], x) for name, x in found[0].items())


@pytest.mark.parametrize("version", VERSIONS)
def test_segments_know_nothing_of_one_another(version):
    """Together or alone: the same bits, but for the gradients of what all rows share."""
    together = results(native, case := Case(version, 2, 20, (65, 3, 64)), torch.float32)
    inputs = draw(case)
    for i, (begin, end) in enumerate([(0, 65), (65, 68), (68, 132)]):
        operands = {
            name: (x[begin:end] if x.shape[0] == 132 else x[i : i + 1] if name == "state" else x).float()
            for name, x in inputs.operands.items()
        }
        for x in operands.values():
            x.requires_grad_()
        y, final = getattr(native, f"wkv{version}")(*operands.values(), torch.tensor([0, end - begin]))
        loss = (y * inputs.dy[begin:end].float()).sum() + (final * inputs.dfinal[i : i + 1].float()).sum()
        loss.backward()
        assert torch.equal(y, together["y"][begin:end])
        assert torch.equal(final, together["final"][i : i + 1])
        assert torch.equal(operands["k"].grad, together["dk"][begin:end])
        assert torch.equal(operands["state"].grad, together["dstate"][i : i + 1])


@pytest.mark.parametrize("version", VERSIONS)
def test_states_carry_gradients_from_call_to_call(version, table):
    """Three calls that hand their states on have the gradients of one: RWKV-4's exponent among them."""
    case = Case(version, 1, 32, (150,))
    inputs = draw(case)
    operands = {name: x.float().requires_grad_() for name, x in inputs.operands.items()}
    state, ys = operands["state"], []
    for begin, end in ((0, 64), (64, 101), (101, 150)):
        part = [state if name == "state" else x[begin:end] if len(x) == 150 else x for name, x in operands.items()]
        y, state = getattr(native, f"wkv{version}")(*part, torch.tensor([0, end - begin]))
        ys.append(y)
    loss = (torch.cat(ys) * inputs.dy.float()).sum() + (state * inputs.dfinal.float()).sum()
    gradients = torch.autograd.grad(loss, list(operands.values()))
    found = {f"d{name}": x for name, x in zip(operands, gradients, strict=True)}
    right = {name: x for name, x in truth(case).items() if name in found}
    assert max(errors(found, right).values()) < LIMIT


def test_the_exponent_of_rwkv4_matters_to_no_average(table):
    """
    A function of averages a / b and weights b e^p alone: moving p and dividing a and b by the same changes nothing, so
    the gradients along that direction cancel.
    """
    inputs = draw(Case(4, 1, 48, (90,)))
    operands = {name: x.float().requires_grad_() for name, x in inputs.operands.items()}
    y, final = native.wkv4(*operands.values(), inputs.offsets)
    a, b, p = final[0]
    loss = (y * inputs.dy.float()).sum() + (a / b).square().sum() + (torch.log(b) + p).sum()
    (gradient,) = torch.autograd.grad(loss, [operands["state"]])
    da, db, dp = gradient[0]
    a, b, _ = operands["state"][0].detach()
    assert float((dp - a * da - b * db).norm() / dp.norm()) < LIMIT


@pytest.mark.parametrize("version", VERSIONS)
def test_a_segment_without_rows(version):
    check(Case(version, 2, 16, (3, 0, 66, 0)))


@pytest.mark.parametrize("version", VERSIONS)
def test_strided_operands(version):
    """Columns of a wider matrix, as a fused projection gives them."""
    inputs = draw(Case(version, 2, 16, (40,)))
    operands = [x.float() for x in inputs.operands.values()]
    wide = [x.repeat_interleave(2, -1)[..., ::2] for x in operands]
    function = getattr(native, f"wkv{version}")
    assert all(
        torch.equal(x, y)
        for x, y in zip(function(*operands, inputs.offsets), function(*wide, inputs.offsets), strict=True)
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_only_what_needs_a_gradient(version):
    case = Case(version, 1, 16, (70,))
    inputs, all_of_them = draw(case), results(native, case, torch.float32)
    function = getattr(native, f"wkv{version}")
    assert not function(*(x.float() for x in inputs.operands.values()), inputs.offsets)[0].requires_grad
    for name in inputs.operands:
        operands = {n: x.float().requires_grad_(n == name) for n, x in inputs.operands.items()}
        y, final = function(*operands.values(), inputs.offsets)
        torch.autograd.backward([y, final], [inputs.dy.float(), inputs.dfinal.float()])
        assert torch.equal(operands[name].grad, all_of_them[f"d{name}"])
        assert [n for n, x in operands.items() if x.grad is not None] == [name]


def test_only_the_final_states_matter():
    case = Case(7, 2, 16, (70,))
    inputs = draw(case)
    found = []
    for backend, dtype in ((native, torch.float32), (reference, torch.float64)):
        operands = [x.to(dtype).requires_grad_() for x in inputs.operands.values()]
        final = backend.wkv7(*operands, inputs.offsets)[1]
        gradients = torch.autograd.grad(final, operands[1:], inputs.dfinal.to(dtype))  # r has none
        found.append(dict(zip(NAMES[7][1:], gradients, strict=True)))
    assert max(errors(*found).values()) < LIMIT


def test_there_is_no_second_derivative():
    """Said, not silently left out."""
    inputs = draw(Case(7, 1, 16, (3,)))
    operands = [x.float().requires_grad_() for x in inputs.operands.values()]
    dy = inputs.dy.float().requires_grad_()
    y = native.wkv7(*operands, inputs.offsets)[0]
    (dk,) = torch.autograd.grad(y, operands[2:3], dy, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        dk.sum().backward()


def test_what_the_core_cannot_take(monkeypatch):
    inputs = draw(Case(7, 1, 16, (3,)))
    monkeypatch.setenv("ROOKERY_WKV", "native")
    with pytest.raises(SettingsError, match="float32"):
        wkv7(*inputs.operands.values(), inputs.offsets)
    wide = draw(Case(7, 1, 520, (1,)))
    with pytest.raises(SettingsError, match=r"520 lanes.*reference"):
        wkv7(*(x.float() for x in wide.operands.values()), wide.offsets)
    monkeypatch.setenv("ROOKERY_CPU", "abacus")
    with pytest.raises(SettingsError, match="abacus"):
        wkv7(*(x.float() for x in inputs.operands.values()), inputs.offsets)


@pytest.mark.parametrize(
    ("offsets", "message"),
    [([0, 2], "number of rows"), ([1, 3], "begin with 0"), ([0, 5, 3], "must not fall"), ([3], "begin with 0")],
)
def test_offsets_that_do_not_fit(offsets, message):
    inputs = draw(Case(7, 1, 16, (3,)))
    with pytest.raises(ValueError, match=message):
        native.wkv7(*(x.float() for x in inputs.operands.values()), torch.tensor(offsets))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["k", "v", "state"])
def test_operands_of_the_wrong_size(version, name):
    inputs = draw(Case(version, 1, 16, (3,)))
    operands = {n: x.float() for n, x in inputs.operands.items()}
    operands[name] = operands[name][:0]
    with pytest.raises(ValueError, match=r"wrong size|number of rows"):
        getattr(native, f"wkv{version}")(*operands.values(), inputs.offsets)
