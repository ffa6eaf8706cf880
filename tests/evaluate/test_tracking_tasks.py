"""The tasks of state tracking, each against a way of its own to find the answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from rookery.errors import SettingsError
from rookery.evaluate.tracking.groups import alternating, products, symmetric
from rookery.evaluate.tracking.rows import Rows
from rookery.evaluate.tracking.tasks import TASKS, task


def drawn(name: str, count: int = 20, length: int | None = None, seed: int = 0) -> Rows:
    job = task(name)
    return job.rows(np.random.default_rng([seed, 1]), count, length or job.length)


@pytest.mark.parametrize("name", TASKS)
def test_sequences_begin_with_a_start_token_and_fit_the_vocabulary(name: str) -> None:
    job, rows = task(name), drawn(name)
    assert rows.tokens.shape == rows.targets.shape == rows.weights.shape == (20, job.length + 1)
    assert (rows.tokens.dtype, rows.targets.dtype, rows.weights.dtype) == (np.int64, np.int64, np.float32)
    assert (rows.tokens[:, 0] == job.vocab - 1).all()
    assert (rows.tokens[:, 1:] < job.vocab - 1).all()
    assert (rows.tokens >= 0).all()
    assert (rows.weights[:, 0] == 0).all()
    assert set(np.unique(rows.weights)) <= {0, 1}
    assert (rows.weights.sum(1) > 0).all()
    answers = rows.targets[rows.weights > 0]
    assert len(np.unique(answers)) > min(job.answers, 8) // 2
    assert answers.max() < job.vocab


@pytest.mark.parametrize("name", TASKS)
def test_they_follow_from_the_random_numbers(name: str) -> None:
    a, b, c = (drawn(name, seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(getattr(a, part), getattr(b, part)) for part in ("tokens", "targets", "weights"))
    assert not np.array_equal(a.tokens, c.tokens)


@pytest.mark.parametrize(("name", "modulus"), [("parity", 2), ("sum5", 5)])
def test_sums(name: str, modulus: int) -> None:
    rows = drawn(name)
    np.testing.assert_array_equal(rows.targets[:, 1:], rows.tokens[:, 1:].cumsum(1) % modulus)


@pytest.mark.parametrize(("name", "cups"), [("cups3", 3), ("cups5", 5)])
def test_cups(name: str, cups: int) -> None:
    swaps, rows = list(itertools.combinations(range(cups), 2)), drawn(name)
    for tokens, targets in zip(rows.tokens, rows.targets, strict=True):
        under = ["ball"] + [""] * (cups - 1)
        for token, place in zip(tokens[1:], targets[1:], strict=True):
            a, b = swaps[token]
            under[a], under[b] = under[b], under[a]
            assert under[place] == "ball"


@pytest.mark.parametrize(("name", "elements"), [("s3", symmetric(3)), ("a5", alternating(5)), ("s5", symmetric(5))])
def test_word_problems_are_products_of_matrices(name: str, elements: np.ndarray) -> None:
    rows, n = drawn(name, count=4), elements.shape[1]
    matrices = np.eye(n, dtype=int)[elements]  # row i has its one where i is sent
    for tokens, targets in zip(rows.tokens, rows.targets, strict=True):
        product = np.eye(n, dtype=int)
        for token, answer in zip(tokens[1:], targets[1:], strict=True):
            product = product @ matrices[token]
            np.testing.assert_array_equal(product, matrices[answer])


@pytest.mark.parametrize(("elements", "order"), [(symmetric(3), 6), (alternating(5), 60), (symmetric(5), 120)])
def test_groups(elements: np.ndarray, order: int) -> None:
    table = products(elements)
    assert table.shape == (order, order)
    assert (elements[0] == np.arange(elements.shape[1])).all()
    for lines in (table, table.T):
        assert (np.sort(lines, 1) == np.arange(order)).all()


def test_brackets_are_what_python_says() -> None:
    rows, signs = drawn("brackets", count=40), [*"01234", *"+-*()"]
    for tokens, targets, asked in zip(rows.tokens, rows.targets, rows.weights, strict=True):
        text = [signs[token] for token in tokens[1:]]
        eval("".join(text))
        for end in np.flatnonzero(asked[1:]):
            begin, depth = end, 1
            while depth:
                begin -= 1
                depth += {")": 1, "(": -1}.get(text[begin], 0)
            assert eval("".join(text[begin : end + 1])) % 5 == targets[end + 1]
        assert [sign == ")" for sign in text] == (asked[1:] == 1).tolist()


@pytest.mark.parametrize(("length", "tokens"), [(8, 5), (61, 61), (64, 61), (65, 65)])
def test_brackets_have_the_nearest_length(length: int, tokens: int) -> None:
    assert drawn("brackets", length=length).tokens.shape[1] == tokens + 1


@pytest.mark.parametrize("length", [8, 64, 128, 200, 512])
def test_recall_asks_what_was_told(length: int) -> None:
    rows = drawn("mqar", count=50, length=length)
    counts = set()
    for tokens, targets, asked in zip(rows.tokens[:, 1:], rows.targets[:, 1:], rows.weights[:, 1:], strict=True):
        places = np.flatnonzero(asked)
        counts.add(len(places))
        told = dict(tokens[: 2 * len(places)].reshape(-1, 2).tolist())
        assert len(told) == len(set(told.values())) == len(places)
        assert places.min() >= 2 * len(places)
        assert sorted(tokens[places]) == sorted(told)
        assert [told[key] for key in tokens[places].tolist()] == targets[places].tolist()
        others = np.delete(tokens[2 * len(places) :], places - 2 * len(places))
        assert (others >= 128).all()
    assert counts == ({4, 5, 6, 7, 8} if length == 64 else {length // 8})


def test_recall_asks_soon_more_often_than_late() -> None:
    rows = drawn("mqar", count=400)
    asked = np.flatnonzero(rows.weights.sum(0))
    late = rows.weights[:, 41:].sum() / rows.weights.sum()
    assert asked.max() > 55
    assert 0.1 < late < 0.4


def test_a_task_that_is_none() -> None:
    with pytest.raises(SettingsError, match=r"^unknown task 'chess'; known: parity, .*mqar$"):
        task("chess")
