"""The distribution drawn from, against the float64 reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sampling_reference import Reference

from rookery.sampling import Sampler, mask_of

SIZES = [1, 2, 31, 32, 33, 257, 4099]
FILTERS = [
    {},
    {"top_p": 1.0},
    {"top_p": 0.9, "temperature": 0.7},
    {"top_p": 0.3, "temperature": 2.5},
    {"top_p": 1.0, "top_k": 5},
    {"top_p": 0.95, "top_k": 7, "temperature": 1.3},
    {"top_p": 1.0, "min_p": 0.1},
    {"top_p": 0.8, "min_p": 0.02, "temperature": 0.5},
    {"top_p": 1.0, "typical_p": 0.4},
    {"top_p": 0.97, "typical_p": 0.8, "top_k": 50, "min_p": 0.001, "temperature": 1.7},
    {"top_p": 1.0, "typical_p": 0.2, "temperature": 0.01},
    {"temperature": 0.0},
    {"top_p": 0.0},
]


def row(vocab: int, seed: int = 0, spread: float = 3.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(vocab) * spread).astype(np.float32)


@pytest.mark.parametrize("vocab", SIZES)
@pytest.mark.parametrize("order", ["rwkv", "usual"])
@pytest.mark.parametrize("kept", FILTERS, ids=str)
def test_filters(vocab, order, kept):
    settings = Sampler(order=order, **kept)
    for seed, spread in ((0, 3.0), (1, 0.2), (2, 15.0)):
        logits = row(vocab, seed, spread)
        got, want = settings.start(vocab).distribution(logits), Reference(settings).distribution(logits)
        np.testing.assert_array_equal(got > 1e-30, want > 1e-30)
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-30)


@pytest.mark.parametrize("order", ["rwkv", "usual"])
def test_penalties_bans_and_mask_over_a_whole_reply(order):
    vocab = 97
    settings = Sampler(
        order=order, top_p=0.9, temperature=0.8, presence_penalty=0.5, frequency_penalty=0.7, penalty_decay=0.9,
        repetition_penalty=1.3, repeat_last_n=5, logit_bias={3: 2.5, 4: -1.0}, ban=(7, 8), seed=5,
    )  # fmt: skip
    allowed = set(range(0, vocab, 2)) | {3, 7}
    free = (10, 12)
    draw, reference = settings.start(vocab, penalty_free=free), Reference(settings, free)
    for step in range(40):
        logits, chosen = row(vocab, step), allowed if step % 3 else None
        mask = None if chosen is None else mask_of(chosen, vocab)
        want = reference.distribution(logits, chosen)
        np.testing.assert_allclose(draw.distribution(logits, mask), want, rtol=2e-5, atol=1e-30)
        if step % 5 == 0:
            token = (step * 7) % 4
            draw.accept(token)
        else:
            token = draw.sample(logits, mask)
            assert want[token] > 0
        reference.accept(token)


def test_a_token_of_weight_zero_still_costs_the_presence_penalty():
    settings = Sampler(top_p=1.0, presence_penalty=1.0, frequency_penalty=10.0)
    draw = settings.start(2, penalty_free=[0])
    draw.accept(0)
    p = draw.distribution(np.zeros(2, np.float32))
    assert p[1] / p[0] == pytest.approx(np.e, rel=1e-6)


def test_decay_comes_before_adding():
    draw = Sampler(top_p=1.0, frequency_penalty=1.0, penalty_decay=0.5).start(2)
    draw.accept(0)
    draw.accept(0)
    p = draw.distribution(np.zeros(2, np.float32))
    assert np.log(p[1] / p[0]) == pytest.approx(1.5, rel=1e-6)


def test_ties_with_the_top_p_cut_off_survive_and_top_k_takes_the_lowest_ids():
    logits = np.log(np.array([0.1, 0.2, 0.2, 0.3, 0.2], np.float32))
    p = Sampler(top_p=0.4).start(5).distribution(logits)
    np.testing.assert_array_equal(p > 0, [False, True, True, True, True])
    p = Sampler(top_p=1.0, top_k=3).start(5).distribution(logits)
    np.testing.assert_array_equal(p > 0, [False, True, True, True, False])
    even = np.zeros(40, np.float32)
    assert Sampler.greedy().start(40).sample(even) == 0
    assert Sampler(top_p=0.0, ban=(0,)).start(40).sample(even) == 1


def test_top_p_just_below_one_is_not_greedy():
    logits = np.zeros(1000, np.float32)
    assert np.count_nonzero(Sampler(top_p=1 - 1e-9).start(1000).distribution(logits)) == 1000


def test_the_two_orders_keep_different_tokens():
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    settings = {order: Sampler(order=order, top_p=0.7, temperature=0.3) for order in ("rwkv", "usual")}
    kept = {order: np.count_nonzero(s.start(3).distribution(logits)) for order, s in settings.items()}
    assert kept == {"rwkv": 2, "usual": 1}


@pytest.mark.parametrize("order", ["rwkv", "usual"])
@pytest.mark.parametrize("temperature", [1e-30, 1e-3, 1e30])
def test_extreme_temperatures_stay_finite(order, temperature):
    logits = np.array([1.0, 2.0, -np.inf, -3e38, 3.0], np.float32)
    for typical_p in (1.0, 0.01):
        p = Sampler(order=order, temperature=temperature, top_p=1.0, typical_p=typical_p).start(5).distribution(logits)
        assert p.sum() == pytest.approx(1.0, rel=1e-6)
        assert p[2] == 0


def test_infinite_and_huge_logits():
    logits = np.array([3e38, -3e38, -np.inf, 3e38], np.float32)
    draw = Sampler(top_p=1.0, repetition_penalty=1e-3, presence_penalty=-1e6, logit_bias={0: 1e30, 2: 1e30}).start(4)
    draw.accept(3)
    np.testing.assert_array_equal(draw.distribution(logits), [0, 0, 0, 1])  # 3 was raised to the largest float


def test_a_huge_vocabulary_of_distant_magnitudes():
    logits = np.linspace(-200, 0, 65536, dtype=np.float32)
    p = Sampler(top_p=1.0).start(65536).distribution(logits)
    want = np.exp(logits.astype(np.float64))
    want[logits < -87] = 0
    np.testing.assert_allclose(p, want / want.sum(), rtol=2e-6, atol=1e-37)


# Small integers make ties likely.
tied = st.lists(st.integers(-4, 4), min_size=1, max_size=70).map(lambda xs: np.array(xs, np.float32))


@given(tied, st.floats(0.01, 0.99), st.integers(0, 80), st.sampled_from(["rwkv", "usual"]), st.floats(0, 1))
def test_ties_against_the_reference(logits, top_p, top_k, order, min_p):
    settings = Sampler(top_p=top_p, top_k=top_k, order=order, min_p=min_p)
    reference = Reference(settings)
    got, want = settings.start(len(logits)).distribution(logits), reference.distribution(logits)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-12)


@given(st.integers(0, 2**32), st.sampled_from(FILTERS), st.sampled_from(["rwkv", "usual"]))
def test_permuting_the_vocabulary_permutes_the_distribution(seed, kept, order):
    rng = np.random.default_rng(seed)
    logits = (rng.permutation(101) * 0.1).astype(np.float32)  # all different: ties are broken by id
    shuffle = rng.permutation(101)
    draw = Sampler(order=order, **kept).start(101)
    np.testing.assert_allclose(draw.distribution(logits)[shuffle], draw.distribution(logits[shuffle]), rtol=1e-5)
