"""Drawing: random numbers, snapshots, log-probabilities."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.sampling import Sampler, mask_of

V = 211


def rows(count: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, V)) * 2).astype(np.float32)


def tokens(draw, logits) -> list[int]:
    return [draw.sample(row) for row in logits]


SETTINGS = Sampler(top_p=0.9, presence_penalty=0.3, frequency_penalty=0.3, repetition_penalty=1.1, seed=7)


def xoshiro(seed: int):
    """xoshiro256** after its published description, in Python integers."""
    mask, words = (1 << 64) - 1, []
    for _ in range(4):
        seed = (seed + 0x9E3779B97F4A7C15) & mask
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        words.append(z ^ (z >> 31))
    rotate = lambda x, k: ((x << k) | (x >> (64 - k))) & mask  # noqa: E731
    a, b, c, d = words
    while True:
        yield (((rotate((b * 5) & mask, 7) * 9) & mask) >> 11) / (1 << 53)
        c, d, t = c ^ a, d ^ b, (b << 17) & mask
        b, a = b ^ c, a ^ d
        c, d = c ^ t, rotate(d, 45)


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_a_draw_inverts_the_cumulative_distribution_at_the_next_random_number(seed):
    logits = np.zeros(1 << 16, np.float32)
    draw = Sampler(top_p=1.0, seed=seed).start(1 << 16)
    random = xoshiro(seed)
    assert [draw.sample(logits) for _ in range(50)] == [int(next(random) * (1 << 16)) for _ in range(50)]


def test_frequencies_follow_the_distribution():
    logits = np.log(np.arange(1, 21, dtype=np.float32))
    draw = Sampler(top_p=1.0, temperature=1.5, seed=42).start(20)
    count = 20_000
    seen = np.bincount([draw.sample(logits) for _ in range(count)], minlength=20)
    expected = draw.distribution(logits) * count
    chi_square = ((seen - expected) ** 2 / expected).sum()
    assert 7.6 < chi_square < 36.2  # the 1 % and 99 % points with 19 degrees of freedom


def test_same_seed_same_tokens_and_reset():
    logits = rows(30)
    draw = SETTINGS.start(V)
    first = tokens(draw, logits)
    assert tokens(SETTINGS.start(V), logits) == first
    draw.reset()
    assert tokens(draw, logits) == first
    assert tokens(SETTINGS.start(V).clone(seed=8), logits) != first


def test_an_entropy_seed_is_reported_and_repeats_the_request():
    logits = rows(30)
    draw = Sampler(top_p=1.0).start(V)
    again = Sampler(top_p=1.0, seed=draw.seed).start(V)
    assert tokens(draw, logits) == tokens(again, logits)
    assert Sampler().start(V).seed != Sampler().start(V).seed


@given(st.integers(0, 20), st.integers(0, 2**64 - 1))
def test_a_clone_goes_on_identically_and_independently(steps, seed):
    logits = rows(40)
    settings = Sampler(top_p=0.95, frequency_penalty=0.4, repetition_penalty=1.2, repeat_last_n=6, seed=seed)
    draw = settings.start(V)
    tokens(draw, logits[:steps])
    snapshot = draw.clone()
    continued = tokens(draw, logits[steps:])
    assert tokens(snapshot, logits[steps:]) == continued


@given(st.sets(st.integers(0, V - 1), min_size=1, max_size=9), st.integers(0, 2**32), st.floats(0, 1), st.booleans())
def test_a_token_is_allowed_and_in_the_support(allowed, seed, top_p, usual):
    draw = Sampler(top_p=top_p, seed=seed, order="usual" if usual else "rwkv").start(V)
    mask = mask_of(allowed, V)
    for logits in rows(3, seed):
        support = draw.distribution(logits, mask)
        token = draw.sample(logits, mask)
        assert token in allowed
        assert support[token] > 0


def test_looking_at_the_distribution_changes_nothing():
    logits = rows(20)
    plain, watched = SETTINGS.start(V), SETTINGS.start(V)
    for row in logits:
        watched.distribution(row)
        watched.score(row, 3, 2)
        assert watched.sample(row) == plain.sample(row)


def test_logprobs_are_those_of_the_raw_logits():
    logits = rows(1)[0]
    logits[[5, 6]] = logits.max() + 1  # a tie at the top
    logits[9] = -np.inf
    want = logits - np.log(np.exp(logits.astype(np.float64)).sum())
    draw = Sampler(top_p=0.7, logit_bias={11: 4.0}, ban=(5,), logprobs=4, seed=1).start(V)
    assert draw.logprobs is None
    token = draw.sample(logits)
    found = draw.logprobs
    assert found.chosen == pytest.approx(want[token], abs=1e-6)
    order = sorted(range(V), key=lambda i: (-want[i], i))[:4]
    assert [i for i, _ in found.top] == order
    np.testing.assert_allclose([p for _, p in found.top], want[order], atol=1e-6)
    assert len(draw.score(logits, 0, 1000).top) == V - 1  # the impossible one is left out
    assert draw.score(logits, 9).chosen == -np.inf


def test_logprobs_zero_reports_the_chosen_one_only():
    draw = Sampler(logprobs=0).start(V)
    draw.sample(rows(1)[0])
    assert draw.logprobs.top == []


def test_logits_are_left_alone_and_may_be_strided_and_read_only():
    wide = np.repeat(rows(1), 2).reshape(V, 2)
    strided = wide[:, 0]
    kept = strided.copy()
    strided.flags.writeable = False
    assert SETTINGS.start(V).sample(strided) == SETTINGS.start(V).sample(kept)
    np.testing.assert_array_equal(strided, kept)


def test_threads_may_share_a_draw():
    logits = rows(1)[0]
    draw = Sampler(frequency_penalty=0.1, seed=3).start(V)
    threads = [threading.Thread(target=lambda: tokens(draw, [logits] * 200)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = Sampler(frequency_penalty=0.1, seed=3).start(V)
    tokens(alone, [logits] * 800)
    np.testing.assert_array_equal(draw.distribution(logits), alone.distribution(logits))
    assert draw.sample(logits) == alone.sample(logits)
