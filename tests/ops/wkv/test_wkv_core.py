"""The core's recurrences by themselves, on numpy arrays: nothing is written beyond its place, and forks may go on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from rookery import _native

SENTINEL = np.float32(-12345.678)
FENCE = 67


class Fenced:
    """Arrays with sentinels before and behind them."""

    def __init__(self) -> None:
        self.all: list[np.ndarray] = []

    def __call__(self, *shape: int) -> np.ndarray:
        whole = np.full(int(np.prod(shape)) + 2 * FENCE, SENTINEL, np.float32)
        self.all.append(whole)
        return whole[FENCE:-FENCE].reshape(shape)

    def check(self) -> None:
        for whole in self.all:
            assert (whole[:FENCE] == SENTINEL).all()
            assert (whole[-FENCE:] == SENTINEL).all()
            assert not (whole[FENCE:-FENCE] == SENTINEL).any()  # and everything inside has been


@pytest.mark.parametrize("table", _native.kernel_tables())
@pytest.mark.parametrize(("heads", "lanes"), [(3, 5), (1, 16), (2, 48), (1, 130)])
@pytest.mark.parametrize("version", [4, 6, 7])
def test_nothing_is_written_beyond_its_place(version, heads, lanes, table):
    rng, fenced, offsets = np.random.default_rng(0), Fenced(), np.array([0, 64, 192])
    rows, segments, width = 192, 2, heads * lanes
    core = _native.Wkv(table, 2, offsets, rows, version, heads, lanes)
    states = (segments, 3, width) if version == 4 else (segments, heads, lanes, lanes)

    def given(*shape: int) -> np.ndarray:
        return rng.uniform(0.1, 0.9, shape).astype(np.float32)

    operands = [given(rows, width) for _ in range({4: 2, 6: 4, 7: 6}[version])]
    u, w = given(width) if version != 7 else None, given(width) if version == 4 else None
    kept = fenced(core.kept)
    core.forward(operands, u, w, given(*states), fenced(rows, width), fenced(*states), kept)
    du, dw = (None if x is None else fenced(width) for x in (u, w))
    dx = [fenced(rows, width) for _ in operands]
    core.backward([*operands, given(rows, width)], u, w, kept, given(*states), dx, du, dw, fenced(*states))
    fenced.check()


FORK = """
import os, sys
import numpy as np
from rookery import _native

def outputs():
    x = [np.full((70, 64), 0.1 * i, np.float32) for i in range(6)]
    y, state = np.empty((70, 64), np.float32), np.ones((1, 4, 16, 16), np.float32)
    _native.Wkv("", 3, np.array([0, 70]), 70, 7, 4, 16).forward(x, None, None, state, y, np.empty_like(state), None)
    return y

before = outputs()
if (child := os.fork()) == 0:
    os._exit(0 if (outputs() == before).all() else 3)
assert (outputs() == before).all()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_the_child_of_a_fork_has_threads_of_its_own():
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
