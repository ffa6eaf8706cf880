"""
The oracle's ops against scalar loops written from the papers' formulas, and against published vectors.

Everything is float64 and tiny; the tolerance 1e-13 is a few hundred roundings.  The wkv ops are also compared with
their chunked forms, which share no line with the recurrences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rookery.ops.numpy import NumpyOps

TIGHT = {"rtol": 1e-13, "atol": 1e-13}
T, H, N = 7, 3, 5
C = H * N
LENGTHS = [1, 4, 2]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ops(rows: int = T, lengths: list[int] | None = None) -> NumpyOps:
    return NumpyOps(np.zeros(rows, np.int32), lengths or [rows], np.arange(rows))


def by_head(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1, N)


def test_embed_and_take_pick_rows():
    w, x = rng().normal(size=(9, 4)), rng(1).normal(size=(3, 4))
    o = NumpyOps(np.array([8, 0, 8]), [3], np.array([0, 2]))
    np.testing.assert_array_equal(o.embed(w), [w[8], w[0], w[8]])
    np.testing.assert_array_equal(o.take(x), [x[0], x[2]])


def test_linear():
    x, w = rng().normal(size=(3, 4)), rng(1).normal(size=(5, 4))
    want = [[sum(x[t][k] * w[n][k] for k in range(4)) for n in range(5)] for t in range(3)]
    np.testing.assert_allclose(ops().linear(x, w), want, **TIGHT)


SCALARS: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "tanh": lambda x: (math.exp(2 * x) - 1) / (math.exp(2 * x) + 1),
    "sigmoid": lambda x: math.exp(x) / (math.exp(x) + 1),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "relu2": lambda x: x * x if x > 0 else 0.0,
}


@pytest.mark.parametrize("name", SCALARS)
def test_elementwise(name):
    x = rng().normal(size=(4, 6)) * 3
    want = [[SCALARS[name](float(v)) for v in row] for row in x]
    np.testing.assert_allclose(getattr(ops(), name)(x), want, **TIGHT)


def normalised(row: list[float], eps: float) -> list[float]:
    mean = math.fsum(row) / len(row)
    var = math.fsum((v - mean) ** 2 for v in row) / len(row)
    return [(v - mean) / math.sqrt(var + eps) for v in row]


def test_layer_norm():
    x, n = rng().normal(1, 2, (T, C)), SimpleNamespace(weight=rng(1).normal(size=C), bias=rng(2).normal(size=C))
    want = [[y * w + b for y, w, b in zip(normalised(list(row), 1e-5), n.weight, n.bias, strict=True)] for row in x]
    np.testing.assert_allclose(ops().layer_norm(x, n), want, **TIGHT)


@pytest.mark.parametrize("eps", [1e-5, 64e-5, 0.5])
def test_group_norm(eps):
    x, n = rng().normal(1, 2, (T, C)), SimpleNamespace(weight=rng(1).normal(size=C), bias=rng(2).normal(size=C))
    heads = [np.concatenate([normalised(list(head), eps) for head in row]) for row in by_head(x)]
    np.testing.assert_allclose(ops().group_norm(x, n, H, eps), np.array(heads) * n.weight + n.bias, **TIGHT)


def test_l2norm_divides_by_the_norm_but_not_by_zero():
    x = rng().normal(size=(T, C))
    x[1] = 0
    x[2] = 1e-20
    want = [[v / max(math.hypot(*head), 1e-12) for head in row for v in head] for row in by_head(x)]
    np.testing.assert_allclose(ops().l2norm(x, H), want, rtol=1e-13, atol=0)


def test_head_sum():
    x = rng().normal(size=(T, C))
    want = [[math.fsum(head) for head in row for _ in head] for row in by_head(x)]
    np.testing.assert_allclose(ops().head_sum(x, H), want, **TIGHT)


def test_shift_stays_inside_its_segment():
    x, last = rng().normal(size=(T, 2)), rng(1).normal(size=(3, 2))
    y, after = ops(lengths=LENGTHS).shift(x, last)
    np.testing.assert_array_equal(y, [last[0], last[1], x[1], x[2], x[3], last[2], x[5]])
    np.testing.assert_array_equal(after, [x[0], x[4], x[6]])


def wkv4_sums(w: float, u: float, k: list[float], v: list[float], state: list[float]) -> tuple[list[float], Any]:
    """One channel by its definition: plain sums of exponentials, no care for overflow."""
    a, b = (state[i] * math.exp(state[2]) for i in (0, 1))
    y = []
    for kt, vt in zip(k, v, strict=True):
        y.append((a + math.exp(u + kt) * vt) / (b + math.exp(u + kt)))
        a, b = math.exp(w) * a + math.exp(kt) * vt, math.exp(w) * b + math.exp(kt)
    return y, (a, b)


def test_wkv4():
    k, v = rng().normal(size=(T, C)), rng(1).normal(size=(T, C))
    w, u = -np.exp(rng(2).normal(size=C)), rng(3).normal(size=C)
    state = np.stack([rng(4).normal(size=C), rng(5).uniform(0.1, 1, C), rng(6).normal(size=C)])[None].repeat(3, 0)
    y, after = ops(lengths=LENGTHS).wkv4(w, u, k, v, state)
    for i, s in enumerate(ops(lengths=LENGTHS).segments):
        for c in range(C):
            want, (a, b) = wkv4_sums(w[c], u[c], list(k[s, c]), list(v[s, c]), list(state[i, :, c]))
            np.testing.assert_allclose(y[s, c], want, rtol=1e-12)
            np.testing.assert_allclose(after[i, :2, c] * np.exp(after[i, 2, c]), [a, b], rtol=1e-12)


def test_wkv4_begins_with_nothing_and_does_not_overflow():
    k = np.array([[500.0], [-500.0], [1000.0]])
    v = np.array([[1.0], [2.0], [3.0]])
    empty = np.array([[[0.0], [0.0], [-1e30]]])
    y, _ = ops(3).wkv4(np.array([-0.1]), np.array([0.5]), k, v, empty)
    np.testing.assert_allclose(y[:, 0], [1, 1, 3], rtol=1e-13)


def wkv6_loop(r: Any, w: Any, k: Any, v: Any, u: Any, s: Any) -> tuple[Any, Any]:
    """One head; r, w, k: [t][key lane], v: [t][value lane], s: [key lane][value lane]."""
    n, y = len(s), []
    for t in range(len(r)):
        y.append([sum(r[t][i] * (s[i][j] + u[i] * k[t][i] * v[t][j]) for i in range(n)) for j in range(n)])
        s = [[w[t][i] * s[i][j] + k[t][i] * v[t][j] for j in range(n)] for i in range(n)]
    return y, s


def wkv7_loop(r: Any, w: Any, k: Any, v: Any, a: Any, b: Any, s: Any) -> tuple[Any, Any]:
    n, y = len(s), []
    for t in range(len(r)):
        read = [sum(a[t][m] * s[m][j] for m in range(n)) for j in range(n)]
        s = [[w[t][i] * s[i][j] + b[t][i] * read[j] + k[t][i] * v[t][j] for j in range(n)] for i in range(n)]
        y.append([sum(r[t][i] * s[i][j] for i in range(n)) for j in range(n)])
    return y, s


def wkv6_chunk(r: Any, w: Any, k: Any, v: Any, u: Any, s: Any) -> tuple[Any, Any]:
    """All tokens of one head at once, with decays from prefix sums of their logarithms."""
    total = np.cumsum(np.log(w), axis=0)
    before = total - np.log(w)
    earlier = np.tril(np.ones((len(r), len(r)), bool), -1)[:, :, None]
    gap = np.where(earlier, before[:, None] - total[None], -np.inf)
    scores = np.einsum("ti,si,tsi->ts", r, k, np.exp(gap)) + np.diag((r * u * k).sum(-1))
    y = scores @ v + (r * np.exp(before)) @ s
    return y, np.exp(total[-1])[:, None] * s + (k * np.exp(total[-1] - total)).T @ v


def wkv7_chunk(r: Any, w: Any, k: Any, v: Any, a: Any, b: Any, s: Any) -> tuple[Any, Any]:
    """All tokens of one head at once: what each token reads solves a triangular system."""
    total = np.cumsum(np.log(w), axis=0)
    a, r = a * np.exp(total - np.log(w)), r * np.exp(total)
    b, k = b * np.exp(-total), k * np.exp(-total)
    read = np.linalg.solve(np.eye(len(r)) - np.tril(a @ b.T, -1), np.tril(a @ k.T, -1) @ v + a @ s)
    y = np.tril(r @ k.T) @ v + np.tril(r @ b.T) @ read + r @ s
    return y, np.exp(total[-1])[:, None] * (s + b.T @ read + k.T @ v)


def random_wkv(inputs: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    values = {name: rng(i).normal(size=(T, C)) for i, name in enumerate(inputs)}
    values["w"] = np.exp(-np.exp(values["w"] / 2 - 1))
    return values, rng(99).normal(size=(len(LENGTHS), H, N, N))


@pytest.mark.parametrize("form", [wkv6_loop, wkv6_chunk])
def test_wkv6(form):
    values, state = random_wkv("rwkv")
    u = rng(7).normal(size=C)
    y, after = ops(lengths=LENGTHS).wkv6(**values, u=u, state=state)
    for i, s in enumerate(ops(lengths=LENGTHS).segments):
        for h in range(H):
            head = {name: by_head(x)[s, h] for name, x in values.items()}
            want, end = form(**head, u=u.reshape(H, N)[h], s=state[i, h])
            np.testing.assert_allclose(by_head(y)[s, h], want, **TIGHT)
            np.testing.assert_allclose(after[i, h], end, **TIGHT)


def test_wkv6_takes_a_decay_that_is_constant_in_time():
    values, state = random_wkv("rwkv")
    values["w"] = values["w"][0]
    y, after = ops(lengths=LENGTHS).wkv6(**values, u=np.ones(C), state=state)
    values["w"] = np.tile(values["w"], (T, 1))
    want, end = ops(lengths=LENGTHS).wkv6(**values, u=np.ones(C), state=state)
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(after, end)


@pytest.mark.parametrize("form", [wkv7_loop, wkv7_chunk])
def test_wkv7(form):
    values, state = random_wkv("rwkvab")
    y, after = ops(lengths=LENGTHS).wkv7(**values, state=state)
    for i, s in enumerate(ops(lengths=LENGTHS).segments):
        for h in range(H):
            want, end = form(**{name: by_head(x)[s, h] for name, x in values.items()}, s=state[i, h])
            np.testing.assert_allclose(by_head(y)[s, h], want, rtol=1e-11, atol=1e-11)
            np.testing.assert_allclose(after[i, h], end, rtol=1e-11, atol=1e-11)


def test_wkv7_with_a_repeated_key():
    """A run of one token: the case in which short cuts of the triangular system lose all digits."""
    rows, key = 64, rng().normal(size=N)
    key /= np.linalg.norm(key)
    k, ones = np.tile(key, (rows, 1)), np.ones((rows, N))
    values = {"r": k, "w": 0.99 * ones, "k": k, "v": ones, "a": -k, "b": 0.9 * k}
    y, after = ops(rows).wkv7(**values, state=np.zeros((1, 1, N, N)))
    want, end = wkv7_chunk(**values, s=np.zeros((N, N)))
    np.testing.assert_allclose(y, want, rtol=1e-11)
    np.testing.assert_allclose(after[0, 0], end, rtol=1e-11, atol=1e-12)


@pytest.fixture
def vectors(shared, request) -> dict[str, np.ndarray]:
    with np.load(shared / f"fixtures/official_vectors/{request.param}.npz") as file:
        return dict(file)


def flat(x: np.ndarray) -> np.ndarray:
    """(batch, time, heads, lanes) as rows."""
    return x.reshape(x.shape[0] * x.shape[1], -1)


def batch_ops(z: dict[str, np.ndarray]) -> NumpyOps:
    batch, time = z["k"].shape[:2]
    return NumpyOps(np.zeros(batch * time, np.int32), [time] * batch, np.arange(1))


@pytest.mark.shared
@pytest.mark.parametrize("vectors", ["wkv4"], indirect=True)
def test_published_wkv4(vectors):
    z = vectors
    state = np.zeros((2, 3, 8))
    state[:, 2] = -1e30
    y, _ = batch_ops(z).wkv4(-np.exp(z["theta"]), z["u"], flat(z["k"]), flat(z["v"]), state)
    np.testing.assert_allclose(y, flat(z["y"]), **TIGHT)


@pytest.mark.shared
@pytest.mark.parametrize("vectors", ["wkv6"], indirect=True)
def test_published_wkv6(vectors):
    z = vectors
    w = np.exp(-np.exp(flat(z["p"])))
    y, after = batch_ops(z).wkv6(flat(z["r"]), w, flat(z["k"]), flat(z["v"]), z["u"].reshape(-1), z["S0"])
    np.testing.assert_allclose(y, flat(z["y"]), **TIGHT)
    np.testing.assert_allclose(after, z["ST"], **TIGHT)


@pytest.mark.shared
@pytest.mark.parametrize("vectors", ["wkv7"], indirect=True)
def test_published_wkv7(vectors):
    """The published states are (value lane, key lane), ours (key lane, value lane)."""
    z = vectors
    w = np.exp(-math.exp(-0.5) / (1 + np.exp(-flat(z["p"]))))
    r, k, v, a, b = (flat(z[name]) for name in ("r", "k", "v", "alpha", "beta"))
    y, after = batch_ops(z).wkv7(r, w, k, v, a, b, z["S0"].swapaxes(-1, -2))
    np.testing.assert_allclose(y, flat(z["y"]), **TIGHT)
    np.testing.assert_allclose(after.swapaxes(-1, -2), z["ST"], **TIGHT)
