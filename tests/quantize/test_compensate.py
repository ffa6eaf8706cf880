"""Error compensation against the closed form it stands for."""

import numpy as np
import pytest

from rookery.quant import FORMATS, encode_rows
from rookery.quantize.compensate import DAMPING, Compensation, encode_compensated


def inputs(columns, count=800, seed=0):
    """Correlated inputs, as neighbouring channels of a model are."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((columns, columns)) / np.sqrt(columns) + np.eye(columns)
    return (rng.standard_normal((count, columns)) @ mix).astype(np.float32)


def cost(kind, stored, w, x):
    """Mean square error of the outputs."""
    return float(np.mean(np.square(x @ (kind.decode(stored) - w).T, dtype=np.float64)))


@pytest.mark.parametrize(("name", "columns"), [("Q4_0", 128), ("Q5_1", 96), ("Q4_K", 768), ("Q8_0", 64)])
def test_outputs_on_other_inputs_are_closer(name, columns):
    kind = FORMATS[name]
    w = np.random.default_rng(1).standard_normal((40, columns)).astype(np.float32)
    x = inputs(columns, 4000)
    seen, unseen = x[:2500], x[2500:]
    h = seen.T @ seen / len(seen)
    compensated = encode_compensated(kind, w, Compensation([h], kind.block))
    weighted = encode_rows(kind, w, np.ascontiguousarray(np.diag(h)))
    assert compensated.shape == weighted.shape
    assert cost(kind, compensated, w, unseen) < 0.9 * cost(kind, weighted, w, unseen)


def test_the_pull_of_an_error_is_the_least_squares_answer():
    """After one block is fixed, the others minimise trace(E H ET): solved directly, in float64."""
    x = inputs(96).astype(np.float64)
    h = x.T @ x / len(x)
    blocks = Compensation([h.astype(np.float32)], 32).blocks
    h += DAMPING * np.trace(h) / 96 * np.eye(96)
    error = np.random.default_rng(2).standard_normal((5, 64))
    for block, fixed in ((blocks[1], 32), (blocks[2], 64)):
        want = -np.linalg.solve(h[fixed:, fixed:], h[fixed:, :fixed] @ error[:, :fixed].T).T[:, :32]
        assert (block.before, block.columns) == (slice(0, fixed), slice(fixed, fixed + 32))
        np.testing.assert_allclose(-error[:, :fixed] @ block.pull, want, rtol=1e-3, atol=1e-4)
    schur = h[:32, :32] - h[:32, 32:] @ np.linalg.solve(h[32:, 32:], h[32:, :32])
    np.testing.assert_allclose(blocks[0].importance, np.diag(schur), rtol=1e-3)


def test_independent_inputs_leave_nothing_to_compensate():
    kind, w = FORMATS["Q4_0"], np.random.default_rng(3).standard_normal((9, 128)).astype(np.float32)
    squares = np.linspace(1, 5, 128, dtype=np.float32)
    damped = squares + np.float32(DAMPING) * squares.mean()
    got = encode_compensated(kind, w, Compensation([np.diag(squares)], 32))
    assert cost(kind, got, w, np.diag(np.sqrt(damped))) <= 1.001 * cost(
        kind, encode_rows(kind, w, damped), w, np.diag(np.sqrt(damped))
    )


def test_panels_stand_alone():
    """Two panels are two matrices side by side."""
    kind, w = FORMATS["Q4_1"], np.random.default_rng(4).standard_normal((6, 160)).astype(np.float32)
    panels = [x.T @ x / len(x) for x in (inputs(96), inputs(64, seed=5))]
    both = encode_compensated(kind, w, Compensation(panels, 32))
    parts = [
        encode_compensated(kind, part, Compensation([panel], 32))
        for part, panel in zip((w[:, :96], w[:, 96:]), panels, strict=True)
    ]
    np.testing.assert_array_equal(both, np.concatenate(parts, axis=1))


@pytest.mark.parametrize("h", [np.zeros((64, 64)), np.ones((64, 64)), np.diag(np.r_[1e30, np.zeros(63)])])
def test_inputs_that_say_little_still_give_a_matrix(h):
    """No input at all, one direction only, one channel that drowns all others."""
    kind, w = FORMATS["Q4_0"], np.random.default_rng(6).standard_normal((4, 64)).astype(np.float32)
    back = kind.decode(encode_compensated(kind, w, Compensation([h.astype(np.float32)], 32)))
    assert np.isfinite(back).all()
    assert np.abs(back - w).max() < 2


@pytest.mark.parametrize("name", ["INT8", "C4", "C5"])
def test_a_row_scale_stays_one_for_all_blocks(name):
    kind, w = FORMATS[name], np.random.default_rng(7).standard_normal((9, 128)).astype(np.float32)
    x = inputs(128, 4000)
    h = x[:2500].T @ x[:2500] / 2500
    got = encode_compensated(kind, w, Compensation([h], kind.block))
    plain = encode_rows(kind, w, np.ascontiguousarray(np.diag(h)))
    assert got.shape == plain.shape
    assert cost(kind, got, w, x[2500:]) < 0.9 * cost(kind, plain, w, x[2500:])
