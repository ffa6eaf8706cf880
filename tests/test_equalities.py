"""
The same text gives the same bits, however it is computed.

sequence == token by token == any chunking == any place in any batch == any number of threads == any block of rows ==
with and without the recorder's passes, for logits and states, every version, kernel table and weight format.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models_at_hand import VERSIONS, Small, random_small

from rookery import _native

TABLES = _native.kernel_tables()
FORMATS = ["F32", "F16", "Q8_0"]
LENGTH = 23

Result = tuple[np.ndarray, np.ndarray]  # logits of every row, state


@cache
def small(version: str, format: str = "F32") -> Small:
    return random_small(version, format)


@lru_cache(maxsize=8)  # each has threads of its own
def executor(version: str, table: str, format: str = "F32", **options: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROOKERY_CPU", table)
        return small(version, format).native(**options)


def text(version: str, seed: int = 0, length: int = LENGTH) -> np.ndarray:
    return small(version).tokens(length, seed)


def in_chunks(runs: Any, tokens: np.ndarray, cuts: Sequence[int]) -> Result:
    """One sequence in calls of these lengths."""
    state, logits = runs.layout.zeros(), []
    for chunk in np.split(tokens, np.cumsum(cuts)[:-1]):
        logits.append(runs.run(chunk, [len(chunk)], [state], np.arange(len(chunk), dtype=np.int32)))
    return np.concatenate(logits), state


def whole(runs: Any, tokens: np.ndarray) -> Result:
    return in_chunks(runs, tokens, [len(tokens)])


@cache
def expected(version: str, table: str, format: str, seed: int = 0, length: int = LENGTH) -> Result:
    """Token by token, on one thread: what everything is compared with."""
    return in_chunks(executor(version, table, format, threads=1), text(version, seed, length), [1] * length)


def assert_same(got: Result, want: Result) -> None:
    np.testing.assert_array_equal(got[0].view(np.uint32), want[0].view(np.uint32), err_msg="logits")
    np.testing.assert_array_equal(got[1].view(np.uint32), want[1].view(np.uint32), err_msg="state")


kinds = pytest.mark.parametrize(
    ("version", "table", "format"), [(v, t, f) for v in VERSIONS for t in TABLES for f in FORMATS]
)


@kinds
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_a_sequence_on_any_number_of_threads(version, table, format, threads):
    runs = executor(version, table, format, threads=threads)
    assert (runs.threads, runs.table) == (threads, table)
    assert_same(whole(runs, text(version)), expected(version, table, format))


@kinds
@pytest.mark.parametrize("block_rows", [1, 3, 128])
def test_any_block_of_rows(version, table, format, block_rows):
    runs = executor(version, table, format, threads=2, block_rows=block_rows)
    assert_same(whole(runs, text(version)), expected(version, table, format))


@kinds
@pytest.mark.parametrize(("stage", "pack"), [(True, False), (False, True), (False, False)])
def test_without_the_recorders_passes(version, table, format, stage, pack):
    runs = executor(version, table, format, threads=3, stage=stage, pack=pack)
    assert_same(whole(runs, text(version)), expected(version, table, format))


@kinds
def test_more_rows_than_a_block(version, table, format):
    runs = executor(version, table, format, threads=2)
    assert_same(whole(runs, text(version, 5, 131)), expected(version, table, format, 5, 131))


def cut(data: st.DataObject, length: int) -> list[int]:
    """`length` as a sum of positive numbers."""
    places = data.draw(st.sets(st.integers(1, length - 1)), label="cuts")
    return np.diff([0, *sorted(places), length]).tolist()


@kinds
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_any_chunking(version, table, format, data):
    runs = executor(version, table, format, threads=2)
    assert_same(in_chunks(runs, text(version), cut(data, LENGTH)), expected(version, table, format))


def in_company(runs: Any, texts: list[np.ndarray], schedule: list[list[int]]) -> list[Result]:
    """Sequences travelling together: in each round, each reads so many tokens (0: it sits out)."""
    states = [runs.layout.zeros() for _ in texts]
    logits: list[list[np.ndarray]] = [[] for _ in texts]
    done = [0] * len(texts)
    for round in schedule:
        riders = [i for i, n in enumerate(round) if n]
        if not riders:
            continue
        rows = np.concatenate([texts[i][done[i] : done[i] + round[i]] for i in riders])
        lengths = [round[i] for i in riders]
        out = runs.run(rows, lengths, [states[i] for i in riders], np.arange(len(rows), dtype=np.int32))
        for i, part in zip(riders, np.split(out, np.cumsum(lengths)[:-1]), strict=True):
            logits[i].append(part)
            done[i] += round[i]
    return [(np.concatenate(parts), state) for parts, state in zip(logits, states, strict=True)]


@kinds
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_any_place_in_any_batch(version, table, format, data):
    runs = executor(version, table, format, threads=data.draw(st.sampled_from([1, 2, 3])))
    count = data.draw(st.integers(1, 6), label="sequences")
    seeds = [i % 3 for i in range(count)]
    plans = [cut(data, LENGTH) for _ in seeds]
    waits = [data.draw(st.integers(0, 4), label="wait") for _ in seeds]
    rounds = max(w + len(p) for w, p in zip(waits, plans, strict=True))
    padded = [[0] * w + p + [0] * (rounds - w - len(p)) for w, p in zip(waits, plans, strict=True)]
    results = in_company(runs, [text(version, seed) for seed in seeds], [list(r) for r in zip(*padded, strict=True)])
    for seed, result in zip(seeds, results, strict=True):
        assert_same(result, expected(version, table, format, seed))


@kinds
def test_asking_for_fewer_logits(version, table, format):
    runs = executor(version, table, format, threads=2, block_rows=5)
    want, _ = expected(version, table, format)
    for wanted in ([], [0], [LENGTH - 1], [4, 5, 9], [0, 11, 12, 22]):
        state = runs.layout.zeros()
        got = runs.run(text(version), [LENGTH], [state], np.asarray(wanted, np.int32))
        np.testing.assert_array_equal(got, want[wanted])
        np.testing.assert_array_equal(state, expected(version, table, format)[1])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("head_size", [8, 16, 32, 48, 64, 80, 128])
@pytest.mark.parametrize("version", ["5.1", "5.2", "6", "7"])
def test_any_head_size(version, head_size, table, monkeypatch):
    """Heads of other sizes than the matrices' groups of 32, dealt to more threads than there are heads."""
    monkeypatch.setenv("ROOKERY_CPU", table)
    model = random_small(version, width=2 * head_size if head_size > 16 else 6 * head_size, head_size=head_size, ffn=33)
    tokens = model.tokens(11)
    alone = in_chunks(model.native(threads=1), tokens, [1] * 11)
    assert_same(whole(model.native(threads=3), tokens), alone)
    state = model.layout.zeros()
    want = model.oracle().run(tokens, [11], [state], np.arange(11, dtype=np.int32))
    np.testing.assert_allclose(alone[0], want, rtol=5e-5, atol=5e-5 * np.abs(want).max())
    np.testing.assert_allclose(alone[1], state, rtol=5e-5, atol=5e-5 * np.abs(state[state > -1e29]).max())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_oracle_agrees_with_itself_to_rounding(version):
    """Its matrix products are a library's, whose order of additions depends on the shape."""
    runs = small(version).oracle()
    want, end = in_chunks(runs, text(version), [LENGTH])
    got, state = in_chunks(runs, text(version), [1] * 3 + [LENGTH - 3])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)  # states are float32 between calls
    np.testing.assert_allclose(state, end, rtol=1e-5, atol=1e-5)
