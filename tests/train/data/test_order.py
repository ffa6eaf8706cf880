"""Orders: bijections, different by key, the same everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import SettingsError
from rookery.train.data.order import Permutation


@pytest.mark.parametrize("first", range(1, 2001, 250))
def test_every_thing_once(first):
    for n in range(first, first + 250):
        assert np.array_equal(np.sort(Permutation(n, "key", n % 3)(np.arange(n))), np.arange(n)), n


@given(st.integers(1, 1 << 62), st.integers(0, 1 << 40))
@settings(max_examples=60, deadline=None)
def test_any_size_is_within_and_repeatable(n, seed):
    at = np.unique(np.linspace(0, n - 1, 9).astype(np.int64).clip(0, n - 1))
    found = Permutation(n, seed)(at)
    assert ((found >= 0) & (found < n)).all()
    assert len(set(found.tolist())) == len(at)
    assert np.array_equal(found, [int(Permutation(n, seed)(i)) for i in at])


def test_the_key_decides():
    orders = [tuple(Permutation(1000, *key)(np.arange(1000))) for key in ((0, 0), (0, 1), (1, 0), (0, "1"), (0,))]
    assert len(set(orders)) == len(orders)


def test_it_shuffles():
    """Every thing comes to every place about equally often, and neighbours part."""
    n, keys = 8, 4000
    counts = np.zeros((n, n), int)
    for key in range(keys):
        counts[np.arange(n), Permutation(n, key)(np.arange(n))] += 1
    expected = keys / n
    assert ((counts - expected) ** 2 / expected).sum() < 110  # chi-squared, 49 degrees of freedom: 1e-6 above 108
    order = Permutation(100_000, 7)(np.arange(100_000))
    assert abs(np.corrcoef(order, np.arange(100_000))[0, 1]) < 0.02
    assert (np.abs(np.diff(order)) == 1).sum() < 20


def test_the_order_is_what_it_was():
    """Runs resume on other machines and versions: these numbers may never change."""
    assert Permutation(10, 3, "x")(np.arange(10)).tolist() == [6, 9, 5, 7, 0, 1, 3, 2, 8, 4]


@pytest.mark.parametrize("n", [0, -1, (1 << 62) + 1])
def test_nothing_cannot_be_ordered(n):
    with pytest.raises(SettingsError, match="expected 1 to"):
        Permutation(n)


def test_places_are_checked():
    with pytest.raises(SettingsError, match="expected 0 to 4"):
        Permutation(5)([0, 5])
