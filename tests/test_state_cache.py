"""The prefix cache: the longest prefix, the budget, who is given up first, and many threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rookery import State, StateCache, chain
from rookery.config import Config
from rookery.layout import StateLayout

LAYOUT = StateLayout(Config("6", 1, 4, 9, 4, 2))
SIZE = 4 * LAYOUT.size  # bytes of one state


def state_after(tokens: list[int], model: str = "m") -> State:
    data = np.full(LAYOUT.size, len(tokens), np.float32)
    return State(LAYOUT, LAYOUT.zeros(), model).advanced(data, tokens)


def chains(tokens: list[int]) -> list[bytes]:
    return list(chain.links(chain.START, tokens))


def found(cache: StateCache, tokens: list[int], model: str = "m") -> int:
    """How many tokens a look-up covers."""
    hit = cache.longest(model, chains(tokens))
    if hit is None:
        return 0
    count, entry = hit
    assert entry.state == state_after(tokens[:count], model)
    return count


def test_the_longest_prefix_is_found() -> None:
    cache = StateCache()
    for length in (1, 3, 4):
        cache.put(state_after([7] * length))
    assert found(cache, [7] * 9) == 4
    assert found(cache, [7, 7, 7, 8]) == 3
    assert found(cache, [7, 8]) == 1
    assert found(cache, [8, 7]) == 0
    assert found(cache, []) == 0
    assert found(cache, [7] * 9, "other") == 0
    assert (cache.hits, cache.misses) == (3, 3)


def test_a_whole_text_is_of_use_only_with_logits() -> None:
    cache = StateCache()
    cache.put(state_after([1, 2]))
    cache.put(state_after([1, 2, 3]))
    assert found(cache, [1, 2, 3]) == 2
    logits = np.arange(9, dtype=np.float32)
    cache.put(state_after([1, 2, 3]), logits)
    assert found(cache, [1, 2, 3]) == 3
    cache.put(state_after([1, 2, 3]))  # logits kept earlier stay
    hit = cache.longest("m", chains([1, 2, 3]))
    assert hit is not None
    assert hit[1].logits is logits
    assert len(cache) == 2


def test_models_are_kept_apart() -> None:
    cache = StateCache()
    cache.put(state_after([1], "a"))
    cache.put(state_after([1], "b"))
    assert found(cache, [1, 2], "a") == found(cache, [1, 2], "b") == 1
    assert len(cache) == 2


def test_the_budget_holds_and_the_least_recently_used_go_first() -> None:
    cache = StateCache(3 * SIZE)
    for token in (1, 2, 3):
        cache.put(state_after([token]))
    assert cache.nbytes == 3 * SIZE
    assert found(cache, [1, 0]) == 1  # now the most recently used
    cache.put(state_after([4]))
    assert [found(cache, [token, 0]) for token in (1, 2, 3, 4)] == [1, 0, 1, 1]
    assert cache.nbytes == 3 * SIZE
    cache.put(state_after([5]), np.zeros(LAYOUT.size, np.float32))  # as large as two
    assert cache.nbytes == 3 * SIZE
    assert len(cache) == 2


def test_replacing_counts_once() -> None:
    cache = StateCache()
    for _ in range(5):
        cache.put(state_after([1]))
    assert (len(cache), cache.nbytes) == (1, SIZE)
    cache.clear()
    assert (len(cache), cache.nbytes) == (0, 0)


@pytest.mark.parametrize("budget", [0, SIZE - 1])
def test_what_exceeds_the_budget_is_not_kept(budget: int) -> None:
    cache = StateCache(budget)
    cache.put(state_after([1]))
    assert (len(cache), cache.nbytes, found(cache, [1, 2])) == (0, 0, 0)


def test_logits_too_large_do_not_drive_out_the_state() -> None:
    cache = StateCache(SIZE)
    cache.put(state_after([1]))
    cache.put(state_after([1]), np.zeros(9, np.float32))
    assert found(cache, [1, 2]) == 1
    assert cache.nbytes == SIZE


def test_many_threads() -> None:
    cache = StateCache(10 * SIZE)
    wrong: list[object] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        try:
            for _ in range(300):
                tokens = random.integers(0, 3, random.integers(1, 6)).tolist()
                cache.put(state_after(tokens), np.zeros(9, np.float32) if random.random() < 0.5 else None)
                found(cache, tokens)
                if cache.nbytes > cache.budget:
                    wrong.append(cache.nbytes)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.nbytes == sum(entry.nbytes for entry in cache._entries.values())
