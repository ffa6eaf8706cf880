"""States as values: forks, equality, belonging, the chain, and the states of others."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from goldens import GOLDENS, load_golden
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import model_of

import rookery
from rookery import State, chain
from rookery.config import Config
from rookery.errors import StateError
from rookery.layout import StateLayout

TOLERANCE = 5e-5  # the official package's own two paths differ by 1e-5


@pytest.mark.parametrize("name", GOLDENS)
def test_size_is_that_of_the_model_whatever_was_read(name: str) -> None:
    model = model_of(name)
    _, short = model.forward([1])
    _, long = model.forward(np.arange(300) % model.config.vocab)
    assert short.data.nbytes == long.data.nbytes == 4 * model.layout.size
    assert (short.count, long.count) == (1, 300)
    assert sum(array.size for array in long.arrays().values()) == model.layout.size


def test_forward_leaves_the_given_state_alone() -> None:
    model = model_of("v7")
    _, state = model.forward([1, 2])
    fork, kept = state.clone(), state.data.copy()
    a, b = model.forward([3], state), model.forward([3], fork)
    assert np.array_equal(state.data, kept)
    assert a[1] == b[1]
    assert a[1] != state
    assert state.clone() == state
    with pytest.raises(ValueError, match="read-only"):
        state.data[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        state.arrays()["blocks.0.wkv"][...] = 0


def test_a_state_keeps_no_hold_on_the_array_it_was_made_from() -> None:
    layout = model_of("v7").layout
    numbers = layout.zeros()
    state = State(layout, numbers, "m")
    numbers += 1
    assert not state.data.any()


@pytest.mark.parametrize("data", [np.zeros(3, np.float32), np.zeros(0, np.float32), None])
def test_numbers_that_do_not_fit(data: Any) -> None:
    layout = model_of("v7").layout
    with pytest.raises(StateError, match="float32 numbers"):
        State(layout, np.zeros(layout.size) if data is None else data, "m")


def test_equality_is_of_numbers_and_history() -> None:
    _, state = model_of("v7").forward([1, 2])
    same = State(state.layout, state.data.copy(), state.model, state.tokenizer, state.count, state.chain)
    assert same == state
    assert hash(same) == hash(state)
    assert state != "state"
    for change in ({"model": "x"}, {"tokenizer": "x"}, {"count": 3}, {"chain": bytes(16)}, {"data": state.data + 1}):
        assert replace(state, **change) != state


def test_diff_names_the_arrays() -> None:
    model = model_of("v7")
    _, state = model.forward([1, 2])
    data = state.data.copy()
    model.layout.layers[1].wkv.of(data)[0, 1, 2] += 0.5
    diff = state.diff(replace(state, data=data))
    assert diff.pop("blocks.1.wkv") == pytest.approx(0.5, abs=1e-6)
    assert set(diff.values()) == {0.0}
    with pytest.raises(StateError, match="different sizes"):
        state.diff(model_of("v7-n64").initial)
    with pytest.raises(StateError, match="different sizes"):
        state.diff(model_of("v6").initial)  # of the same shapes, and not comparable


def test_diff_of_equal_sizes_and_other_shapes() -> None:
    """Two layers of 8 and 16 channels: 2 * (2 * 8 + 8 * 4) = 96 = 1 * (2 * 16 + 16 * 4) numbers."""
    layouts = [StateLayout(Config("6", layers, width, 9, 9, 4)) for layers, width in ((2, 8), (1, 16))]
    assert layouts[0].size == layouts[1].size
    first, second = (State(layout, layout.zeros(), "m") for layout in layouts)
    with pytest.raises(StateError, match="different sizes"):
        first.diff(second)


def test_states_of_other_models_are_refused() -> None:
    _, state = model_of("v7").forward([1])
    with pytest.raises(StateError, match="belongs to model"):
        model_of("v6").forward([1], state)
    with pytest.raises(StateError, match="vocabulary"):
        model_of("v7").forward([1], replace(state, tokenizer="f" * 64))
    model_of("v7").forward([1], replace(state, tokenizer=""))  # unknown is not wrong
    with pytest.raises(StateError, match="from_rwkv"):
        model_of("v7").forward([1], state.to_rwkv())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["v4", "v7"])
def test_a_state_knows_the_epsilon_it_was_computed_with(name: str) -> None:
    """Of the default, other containers and older states, it is not part of the fingerprint; RWKV-4 has none."""
    path, plain = load_golden(name).checkpoint_path, model_of(name)
    other, same = (rookery.load(path, threads=1, tokenizer=plain.tokenizer, group_norm_eps=e) for e in (1e-5, 64e-5))
    state = plain.forward([1, 2])[1]
    same.check_state(state)
    assert (other.fingerprint == plain.fingerprint) == (name == "v4")
    if name == "v4":
        other.check_state(state)
        return
    for model, foreign in ((other, state), (plain, other.initial)):
        with pytest.raises(StateError, match=r"group_norm_eps=.*; use the same"):
            model.forward([3], foreign)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(1, 23), unique=True, max_size=6), name=st.sampled_from(GOLDENS))
def test_state_and_chain_do_not_depend_on_the_cuts(cuts: list[int], name: str) -> None:
    model, tokens = model_of(name), load_golden(name).tokens
    whole = model.forward(tokens)[1]
    state = model.initial
    for part in np.split(tokens, sorted(cuts)):
        _, state = model.forward(part, state)
    assert state == whole
    assert state.chain == chain.extend(chain.START, tokens)


def test_chain_tells_texts_apart() -> None:
    texts = [[], [0], [0, 0], [1], [1, 0], [0, 1], [256], [65536], [1, 2, 3], [3, 2, 1]]
    assert len({chain.extend(chain.START, text) for text in texts}) == len(texts)
    assert list(chain.links(chain.START, [4, 5]))[1] == chain.extend(chain.extend(chain.START, [4]), [5])
    assert chain.origin(None) == chain.START


def test_a_tuned_beginning_changes_the_chain() -> None:
    model, golden = model_of("v6"), load_golden("v6")
    tuned = State.from_time_state(model.layout, golden.tuned_state, model.fingerprint)
    assert tuned.chain != model.initial.chain
    assert model.forward([1], tuned)[1].chain != model.forward([1])[1].chain
    again = State.from_time_state(model.layout, golden.tuned_state, model.fingerprint)
    assert again == tuned
    other = {key: value * 2 for key, value in golden.tuned_state.items()}
    assert State.from_time_state(model.layout, other, model.fingerprint).chain != tuned.chain


# ------------------------------------------------------------ tuned initial states


@pytest.mark.parametrize("transposed", [False, True])
def test_tuned_state_is_oriented_as_the_trainers_write_it(transposed: bool) -> None:
    model, golden = model_of("v6"), load_golden("v6")
    tensors = {k: v.swapaxes(1, 2) if transposed else v for k, v in golden.tuned_state.items()}
    state = State.from_time_state(model.layout, tensors, model.fingerprint, transposed=transposed)
    logits, _ = model.forward(golden.tokens, state, full=True)
    assert golden.tuned_logits is not None
    np.testing.assert_allclose(logits, golden.tuned_logits, atol=TOLERANCE)
    logits, _ = model.with_initial(state).forward(golden.tokens, full=True)
    np.testing.assert_allclose(logits, golden.tuned_logits, atol=TOLERANCE)


def test_goose_tuned_state_has_value_lanes_first() -> None:
    """In the file as in the package's lists, whose orientation the goldens fix."""
    model, golden = model_of("v7"), load_golden("v7")
    memory = {f"blocks.{i}.att.time_state": golden.state[3 * i + 1] for i in range(model.config.layers)}
    state = State.from_time_state(model.layout, memory, model.fingerprint)
    lists = [np.zeros_like(a) if i % 3 != 1 else a for i, a in enumerate(golden.state)]
    assert state == State.from_rwkv(model.layout, lists, model.fingerprint)


def test_tuned_states_that_do_not_fit() -> None:
    model, good = model_of("v6"), load_golden("v6").tuned_state
    name = "blocks.1.att.time_state"
    bad: list[tuple[dict[str, Any], str]] = [
        ({}, "another model"),
        ({k: v for k, v in good.items() if k != name}, "another model"),
        (good | {"blocks.3.att.time_state": good[name]}, "another model"),
        (good | {name: good[name][:1]}, "blocks.1.*shape"),
        (good | {name: np.full_like(good[name], np.nan)}, "blocks.1.*NaN"),
        (good | {name: "text"}, "blocks.1.*numbers"),
    ]
    for tensors, says in bad:
        with pytest.raises(StateError, match=says):
            State.from_time_state(model.layout, tensors, "m")
    with pytest.raises(StateError, match="no tuned initial states"):
        State.from_time_state(model_of("v4").layout, good, "m")


# ------------------------------------------------------------ lists of the rwkv package


@pytest.mark.parametrize("name", GOLDENS)
def test_lists_of_the_package_go_there_and_back(name: str) -> None:
    model, golden = model_of(name), load_golden(name)
    _, read = model.forward(golden.tokens)
    theirs = State.from_rwkv(model.layout, golden.state, model.fingerprint)
    assert max(read.diff(theirs).values()) < TOLERANCE
    assert all(np.array_equal(a, b) for a, b in zip(theirs.to_rwkv(), golden.state, strict=True))
    ours = read.to_rwkv()
    again = State.from_rwkv(model.layout, ours, model.fingerprint)
    assert np.array_equal(again.data, read.data)
    assert (again.count, again.chain) == (0, chain.origin(read.data))  # what it has read is not known
    ours[0][...] = 7  # fresh arrays, not views
    assert np.array_equal(again.data, read.data)


@pytest.mark.parametrize("name", ["v4", "v6", "v7"])
def test_lists_that_do_not_fit(name: str) -> None:
    layout, good = model_of(name).layout, load_golden(name).state
    flattened, ragged = [a.ravel() for a in good], [*good[:-1], [[1], [2, 3]]]
    for bad in ([], good[:-1], [*good, good[0]], ragged, [None] * len(good), 5):
        with pytest.raises(StateError, match="state list"):
            State.from_rwkv(layout, bad, "m")  # type: ignore[arg-type]
    for bad in () if name == "v4" else (flattened, good[1:] + good[:1]):
        with pytest.raises(StateError, match="shape"):
            State.from_rwkv(layout, bad, "m")


def test_pickles_and_copies_are_immutable_too() -> None:
    _, state = model_of("v4").forward([1, 2])
    for again in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert again == state
        assert not again.data.flags.writeable


@pytest.mark.parametrize("name", GOLDENS)
def test_layout_covers_every_number_once(name: str) -> None:
    layout = model_of(name).layout
    flat = np.zeros((2, layout.size), np.float32)
    for field in layout.fields:
        field.of(flat)[...] += 1
    assert (flat == 1).all()
    assert layout.zeros(2, 3).shape == (2, 3, layout.size)
    assert np.array_equal(layout.zeros(2)[1], layout.zeros())
