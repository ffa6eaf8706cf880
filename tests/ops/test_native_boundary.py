"""
The native call itself: what it refuses, that it touches nothing else, and that it may be used from many threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from models_at_hand import random_small

from rookery import _native
from rookery.errors import SettingsError
from rookery.ops.native import NativeExecutor, default_threads

SMALL = random_small("7")
SENTINEL = np.float32(-777.125)


@pytest.fixture(scope="module")
def native() -> NativeExecutor:
    return SMALL.native(threads=2)


def call() -> dict[str, Any]:
    """Good arguments for `run`."""
    return {
        "tokens": np.array([1, 2, 3, 4], np.int32),
        "lengths": [1, 3],
        "states": [SMALL.layout.zeros(), SMALL.layout.zeros()],
        "wanted": np.array([0, 3], np.int32),
    }


def changed(**changes: Any) -> dict[str, Any]:
    return {**call(), **changes}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a token below 0": ({"tokens": np.array([1, -1, 3, 4], np.int32)}, "outside the vocabulary"),
    "a token too large": ({"tokens": np.array([1, 2, 3, 53], np.int32)}, "outside the vocabulary"),
    "the largest token": ({"tokens": np.array([1, 2, 3, 2**31 - 1], np.int32)}, "outside the vocabulary"),
    "lengths too short": ({"lengths": [1, 2]}, "do not add up"),
    "lengths too long": ({"lengths": [2, 3]}, "do not add up"),
    "an empty segment": ({"lengths": [0, 4]}, "empty"),
    "a negative segment": ({"lengths": [-1, 5]}, "empty"),
    "lengths that overflow": ({"lengths": [2**31 - 1, 2**31 - 1]}, "do not add up"),
    "a state too few": ({"states": [SMALL.layout.zeros()]}, "one state per segment"),
    "a state too short": ({"states": [SMALL.layout.zeros(), SMALL.layout.zeros()[:-1]]}, "too short"),
    "a wanted row below 0": ({"wanted": np.array([-1, 3], np.int32)}, "wanted rows"),
    "a wanted row too far": ({"wanted": np.array([0, 4], np.int32)}, "wanted rows"),
    "wanted rows out of order": ({"wanted": np.array([3, 0], np.int32)}, "wanted rows"),
    "a row wanted twice": ({"wanted": np.array([3, 3], np.int32)}, "wanted rows"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_calls_are_refused_before_anything_is_touched(native, what):
    changes, message = BAD[what]
    arguments = changed(**changes)
    before = [state.copy() for state in arguments["states"]]
    with pytest.raises(ValueError, match=message):
        native.run(**arguments)
    for state, kept in zip(arguments["states"], before, strict=True):
        np.testing.assert_array_equal(state, kept)


def read_only() -> np.ndarray:
    state = SMALL.layout.zeros()
    state.flags.writeable = False
    return state


@pytest.mark.parametrize(
    "make",
    [
        lambda: SMALL.layout.zeros().astype(np.float64),
        lambda: np.repeat(SMALL.layout.zeros(), 2)[::2],
        lambda: SMALL.layout.zeros(1),
        read_only,
    ],
    ids=["float64", "strided", "two dimensions", "read only"],
)
def test_a_state_that_cannot_be_written_in_place_is_refused(native, make: Callable[[], np.ndarray]):
    """A silent copy would take the results with it."""
    with pytest.raises(TypeError):
        native.run(**changed(states=[SMALL.layout.zeros(), make()]))


def test_nothing_around_states_and_logits_is_written():
    size, vocab = SMALL.layout.size, SMALL.config.vocab
    pool = np.full((5, size + 64), SENTINEL, np.float32)
    states = [pool[i, 32 : 32 + size] for i in (3, 1)]
    for state in states:
        state[...] = 0
    logits = np.full((4, vocab), SENTINEL, np.float32)
    arguments = changed(states=states)
    SMALL.native(threads=3, block_rows=2)._runner.run(
        arguments["tokens"], arguments["lengths"], states, arguments["wanted"], logits[1:3]
    )
    assert (pool[[0, 2, 4]] == SENTINEL).all()
    assert (pool[:, :32] == SENTINEL).all()
    assert (pool[:, 32 + size :] == SENTINEL).all()
    assert (logits[[0, 3]] == SENTINEL).all()
    assert not (logits[1:3] == SENTINEL).any()


def test_no_rows_is_no_work(native):
    none = np.zeros(0, np.int32)
    assert native.run(none, [], [], none).shape == (0, SMALL.config.vocab)


def test_many_callers_at_once(native):
    """Calls wait for one another; each gets its own result."""
    texts = [SMALL.tokens(17, seed) for seed in range(8)]
    wanted = np.array([16], np.int32)
    want = [native.run(text, [17], [SMALL.layout.zeros()], wanted) for text in texts]
    got: dict[int, list[np.ndarray]] = {i: [] for i in range(len(texts))}

    def work(i: int) -> None:
        for _ in range(5):
            got[i].append(native.run(texts[i], [17], [SMALL.layout.zeros()], wanted))

    callers = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for i, results in got.items():
        assert len(results) == 5
        for result in results:
            np.testing.assert_array_equal(result, want[i])


def test_values_of_a_call_can_be_looked_at():
    loose = SMALL.native(pack=False)
    loose.run(**call())
    program = loose.program
    assert {loose.value(op.out).shape for op in program.ops[:5]} == {(4, SMALL.config.width)}
    head = program.ops[-1]
    assert head.out == program.result
    assert loose.value(head.inputs[0]).shape == (2, SMALL.config.width)  # wanted rows only
    for id in (-1, len(program.widths), program.result):
        with pytest.raises(ValueError, match="no such value"):
            loose.value(id)


def test_settings(monkeypatch):
    assert SMALL.native().threads == default_threads() >= 1
    with pytest.raises(SettingsError, match="threads=-1"):
        SMALL.native(threads=-1)
    monkeypatch.setenv("ROOKERY_CPU", "abacus")
    with pytest.raises(SettingsError, match=r"ROOKERY_CPU='abacus': this processor runs .*portable"):
        SMALL.native()


def test_the_best_table_is_the_default(monkeypatch):
    monkeypatch.delenv("ROOKERY_CPU", raising=False)
    assert SMALL.native().table == _native.kernel_tables()[0]
    assert _native.kernel_tables()[-1] == "portable"
