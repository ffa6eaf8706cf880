"""
Each native op, under every kernel table this processor runs, against the oracle's formula in float64.

Tolerances are in units of EPS, the spacing of float32 at 1 (1.19e-7), times the size of what is added up.  A sum of
n rounded terms is off by about sqrt(n) EPS times the sum of their magnitudes at most; every bound below says what
its factor stands for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_programs import EPS, FORMS, TABLES, Setup, agree, norm, parts, reference, run

HEADS = [1, 5, 8, 16, 32, 33, 48, 64, 80, 128]
TINIEST = float(np.finfo(np.float32).tiny)
FLOAT_MAX_LOG = 88.72  # the kernels' e^x is infinite above; the true limit is 88.7228

pytestmark = pytest.mark.parametrize("table", TABLES)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return rng(seed).normal(size=shape).astype(np.float32)


def same_however_it_runs(build: Any, x: np.ndarray, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The result and the states, bit by bit the same for any number of threads and rows at a time."""
    results = []
    for setup.threads, setup.block_rows in FORMS:
        results.append(run(build, x, setup))
    for result in results[1:]:
        np.testing.assert_array_equal(result[0], results[0][0])
        np.testing.assert_array_equal(result[1], results[0][1])
    return results[0]


# ---------------------------------------------------------------- elementwise


def one(name: str) -> Any:
    return lambda o, x: getattr(o, name)(x)


def everywhere(limit: float) -> np.ndarray:
    """Numbers of all magnitudes, evenly spaced ones, and their neighbours; an odd count of columns."""
    spaced = np.linspace(-limit, limit, 20001)
    scales = np.geomspace(1e-40, limit, 5001)
    return np.concatenate([spaced, scales, -scales]).astype(np.float32)[:29997].reshape(-1, 303)


@pytest.mark.parametrize(
    ("name", "limit", "ulps"),
    # exp: half for the polynomial, half for the rounding; the others add and divide after it.
    [("exp", 87.3, 1), ("exp", 1.0, 1), ("sigmoid", 87.3, 2), ("tanh", 87.3, 2), ("tanh", 1.0, 2), ("silu", 87.3, 2)],
)
def test_transcendentals_are_accurate_everywhere(table, name, limit, ulps):
    x = everywhere(limit)
    got, _ = run(one(name), x, Setup(table))
    want, _ = reference(one(name), x, Setup(table))
    agree(got, want, ulps * EPS * np.abs(want) + 2 * TINIEST)  # below 2^-125 the result may be zero


def test_relu2_is_exact(table):
    x = everywhere(1e19)
    got, _ = run(one("relu2"), x, Setup(table))
    np.testing.assert_array_equal(got, np.maximum(x, 0) ** 2)


SPECIAL = np.array([-np.inf, -1e30, -104, -88.73, -0.0, 0.0, 1e-45, -1e-45, 88.75, 1e30, np.inf, np.nan], np.float32)
LIMITS = {
    "exp": [0, 0, 0, 0, 1, 1, 1, 1, np.inf, np.inf, np.inf, np.nan],
    "sigmoid": [0, 0, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1, 1, np.nan],
    "tanh": [-1, -1, -1, -1, 0, 0, 0, 0, 1, 1, 1, np.nan],
    # -inf * 0 is NaN, in the formula as here
    "silu": [np.nan, 0, 0, 0, 0, 0, 0, 0, 88.75, 1e30, np.inf, np.nan],
    "relu2": [0, 0, 0, 0, 0, 0, 0, 0, 88.75**2, np.inf, np.inf, np.nan],
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("columns", [1, 12, 37])
def test_limits(table, name, columns):
    """The same wherever in a vector or its tail the number stands."""
    x = np.repeat(SPECIAL[:, None], columns, axis=1)
    got, _ = run(one(name), x, Setup(table))
    want = np.repeat(np.array(LIMITS[name], np.float32)[:, None], columns, axis=1)
    np.testing.assert_allclose(got, want, rtol=2 * EPS, atol=1e-37)
    first = np.repeat(got[:, :1], columns, axis=1)
    np.testing.assert_array_equal(got.view(np.uint32), first.view(np.uint32))


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "silu", "relu2"])
@pytest.mark.parametrize("columns", [1, 31, 33, 97])
def test_elementwise_does_not_depend_on_its_place(table, name, columns):
    same_however_it_runs(one(name), floats(5, columns), Setup(table))


OPERATORS = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("columns", [1, 7, 32, 33, 131])
def test_operators_are_exact(table, name, columns):
    f, x, vector = OPERATORS[name], floats(5, 2 * columns), floats(columns, seed=1)
    a, b = x[:, :columns], x[:, columns:]

    def values(o: Any, x: Any) -> Any:
        return f(*parts(o, x, [columns, columns]))

    got, _ = same_however_it_runs(values, x, Setup(table))
    np.testing.assert_array_equal(got, f(a, b))
    got, _ = same_however_it_runs(lambda o, x: f(x, vector), a, Setup(table))
    np.testing.assert_array_equal(got, f(a, vector))
    got, _ = same_however_it_runs(lambda o, x: f(x, -1.7), a, Setup(table))
    np.testing.assert_array_equal(got, f(a, np.float32(-1.7)))


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("lengths", [[1], [7], [1, 1, 1], [3, 1, 9], [64, 65, 1]])
@pytest.mark.parametrize("columns", [1, 33, 64])
def test_shift(table, lengths, columns):
    x = floats(sum(lengths), columns)
    setup = Setup(table, lengths, state=floats(len(lengths), columns, seed=1))
    y, after = same_however_it_runs(lambda o, x, s: o.shift(x, s), x, setup)
    want, end = reference(lambda o, x, s: o.shift(x, s), x, setup)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(after, end)


@pytest.mark.parametrize("wanted", [[], [0], [129], [2, 3, 127, 128], range(130)])
def test_take(table, wanted):
    x = floats(130, 33)
    got, _ = same_however_it_runs(lambda o, x: o.exp(o.take(x)), x, Setup(table, wanted=list(wanted)))
    all_rows, _ = run(one("exp"), x, Setup(table))
    np.testing.assert_array_equal(got, all_rows[list(wanted)])


# ---------------------------------------------------------------- norms


@pytest.mark.parametrize("columns", [2, 31, 64, 65, 768])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_layer_norm(table, columns, offset):
    x, n = floats(4, columns) + np.float32(offset), norm(floats(columns, seed=1), floats(columns, seed=2))
    got, _ = same_however_it_runs(lambda o, x: o.layer_norm(x, n), x, Setup(table))
    want, _ = reference(lambda o, x: o.layer_norm(x, n), x, Setup(table))
    # rounding x's mean moves every number by EPS |x|; 4: mean, difference, scale, weight
    size = 4 * np.abs(x).max(-1, keepdims=True) / x.std(-1, keepdims=True, dtype=np.float64) + 4
    agree(got, want, EPS * (size * np.abs(n.weight) + np.abs(n.bias)))


@pytest.mark.parametrize("lanes", HEADS)
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("eps", [1e-5, 64e-5])
def test_group_norm(table, lanes, heads, eps):
    columns = lanes * heads
    x, n = floats(4, columns), norm(floats(columns, seed=1), floats(columns, seed=2))
    got, _ = same_however_it_runs(lambda o, x: o.group_norm(x, n, heads, eps), x, Setup(table, lanes=lanes))
    want, _ = reference(lambda o, x: o.group_norm(x, n, heads, np.float32(eps)), x, Setup(table))
    spread = x.reshape(4, heads, lanes).std(-1, dtype=np.float64)
    size = 8 + 8 * np.repeat(1 / np.sqrt(spread**2 + eps), lanes, axis=1) * np.abs(x).max()
    agree(got, want, EPS * (size * np.abs(n.weight) + np.abs(n.bias)))


@pytest.mark.parametrize("lanes", HEADS)
@pytest.mark.parametrize("heads", [1, 3])
def test_l2norm_and_head_sum(table, lanes, heads):
    x = floats(4, lanes * heads)
    x[1] = 0
    x[2] *= np.float32(1e-14)  # under the least norm
    setup = Setup(table, lanes=lanes)
    got, _ = same_however_it_runs(lambda o, x: o.l2norm(x, heads), x, setup)
    want, _ = reference(lambda o, x: o.l2norm(x, heads), x, setup)
    agree(got, want, 4 * EPS * np.abs(want) + 1e-30)
    got, _ = same_however_it_runs(lambda o, x: o.head_sum(x, heads), x, setup)
    want, _ = reference(lambda o, x: o.head_sum(x, heads), x, setup)
    magnitude, _ = reference(lambda o, x: o.head_sum(np.abs(x), heads), x, setup)
    agree(got, want, EPS * np.sqrt(lanes) * magnitude + 1e-30)


# ---------------------------------------------------------------- wkv

RAGGED = [[1], [2, 1, 17], [5]]


@pytest.mark.parametrize("columns", [1, 15, 16, 33, 96])
@pytest.mark.parametrize("lengths", RAGGED)
def test_wkv4(table, columns, lengths):
    x = floats(sum(lengths), 2 * columns) * np.float32(2)
    w, u = -np.exp(floats(columns, seed=1)), floats(columns, seed=2)
    state = floats(len(lengths), 3, columns, seed=3)
    state[:, 1] = np.abs(state[:, 1]) + 1
    state[0] = [[0.0], [0.0], [-1e30]]
    setup = Setup(table, lengths, state=state)

    def build(o: Any, x: Any, s: Any) -> Any:
        return o.wkv4(w, u, *parts(o, x, [columns, columns]), s)

    y, after = same_however_it_runs(build, x, setup)
    want, end = reference(build, x, setup)
    # 16: two exponentials of exponents rounded at size 8, and their sums
    agree(y, want, 16 * EPS * (1 + np.abs(want).max()))
    agree(after, end, 16 * EPS * (1 + np.abs(end)) * (1 + np.sqrt(max(lengths))))


def wkv(name: str, lanes: int, heads: int) -> Any:
    c = lanes * heads
    decay = np.exp(-np.exp(floats(c, seed=5) - 1))

    def build(o: Any, x: Any, s: Any) -> Any:
        if name == "wkv7":
            r, w, k, v, a, b = parts(o, x, [c] * 6)
            a = o.l2norm(a, heads)
            return o.wkv7(r, o.exp(o.sigmoid(w) * -0.6), k, v, a, a * o.sigmoid(b) * -1.0, s)
        r, w, k, v = parts(o, x, [c] * 4)
        w = o.exp(o.exp(w) * -0.5) if name == "wkv6" else decay
        return o.wkv6(r, w, k, v, floats(c, seed=6), s)

    return build


@pytest.mark.parametrize("lanes", HEADS)
@pytest.mark.parametrize("name", ["wkv5", "wkv6", "wkv7"])
@pytest.mark.parametrize(("heads", "lengths"), [(1, [7]), (3, [2, 1, 5])])
def test_wkv_of_heads(table, name, lanes, heads, lengths):
    rows = sum(lengths)
    x = floats(rows, (6 if name == "wkv7" else 4) * lanes * heads)
    setup = Setup(table, lengths, lanes=lanes, state=floats(len(lengths), heads, lanes, lanes, seed=9))
    y, after = same_however_it_runs(wkv(name, lanes, heads), x, setup)
    want, end = reference(wkv(name, lanes, heads), x, setup)
    # a read-out adds `lanes` products; every token adds its own rounding to the state
    steps = 2 + np.sqrt(lanes) + max(lengths)
    agree(y, want, EPS * steps * np.abs(want).max())
    agree(after, end, EPS * steps * np.abs(end).max())
