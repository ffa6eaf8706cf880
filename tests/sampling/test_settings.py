"""Impossible settings and inputs: one sentence, naming the thing."""

import copy
import pickle

import numpy as np
import pytest

from rookery.errors import NumericError, SettingsError
from rookery.sampling import Sampler, mask_of

NAN, INF = float("nan"), float("inf")

BAD = [
    ("temperature", NAN), ("temperature", -0.1), ("temperature", INF), ("temperature", "hot"), ("temperature", 1e-40),
    ("temperature", True), ("top_p", -0.01), ("top_p", 1.01), ("top_p", NAN), ("top_p", None), ("min_p", -1),
    ("min_p", 2), ("typical_p", 1.5), ("top_k", -1), ("top_k", 2.0), ("top_k", 1 << 40), ("presence_penalty", INF),
    ("frequency_penalty", NAN), ("penalty_decay", 1.1), ("penalty_decay", -0.1), ("repetition_penalty", 0),
    ("repeat_last_n", -1), ("repeat_last_n", 1 << 30), ("seed", -1), ("seed", 1 << 64), ("seed", 0.5),
    ("order", "llama"), ("order", None), ("logprobs", -1), ("logprobs", 10**6), ("logit_bias", [1]),
    ("logit_bias", {-1: 1.0}), ("logit_bias", {1: NAN}), ("logit_bias", {1: -INF}), ("logit_bias", {"a": 1.0}),
    ("ban", [-1]), ("ban", "abc"), ("ban", 7), ("ban", [1.5]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD)
def test_an_impossible_setting_is_named(name, value):
    with pytest.raises(SettingsError, match=f"{name}.*expected"):
        Sampler(**{name: value})


def test_ids_must_lie_in_the_vocabulary():
    with pytest.raises(SettingsError, match="ban is 10, expected an integer between 0 and 9"):
        Sampler(ban=[10]).start(10)
    with pytest.raises(SettingsError, match="logit_bias is 12"):
        Sampler(logit_bias={12: 1.0}).start(10)
    with pytest.raises(SettingsError, match="penalty_free is 10"):
        Sampler().start(10, penalty_free=[10])
    with pytest.raises(SettingsError, match="mask is 10"):
        mask_of([10], 10)
    with pytest.raises(SettingsError, match="vocab is 0"):
        Sampler().start(0)
    draw = Sampler().start(10)
    for token in (-1, 10, 1 << 70, 1.0, "a"):
        with pytest.raises(SettingsError, match="token is"):
            draw.accept(token)
        with pytest.raises(SettingsError, match="token is"):
            draw.score(np.zeros(10, np.float32), token)


def test_banning_everything_is_refused_at_the_start():
    with pytest.raises(SettingsError, match="ban lists all 3 tokens"):
        Sampler(ban=[0, 1, 2, 2]).start(3)


@pytest.mark.parametrize("settings", [Sampler(), Sampler.greedy(), Sampler(order="usual")])
def test_damaged_logits_are_refused_and_change_nothing(settings):
    draw = settings.start(70)
    good = np.zeros(70, np.float32)
    before = draw.clone()
    for value, word in ((np.nan, "NaN"), (np.inf, r"\+infinity")):
        for at in (0, 33, 69):
            bad = good.copy()
            bad[at] = value
            with pytest.raises(NumericError, match=f"token {at} is {word}"):
                draw.sample(bad)
    with pytest.raises(NumericError, match="-infinity for every token"):
        draw.sample(np.full(70, -np.inf, np.float32))
    assert [draw.sample(good) for _ in range(9)] == [before.sample(good) for _ in range(9)]


def test_a_mask_that_leaves_nothing():
    draw = Sampler(ban=[5]).start(70)
    logits = np.zeros(70, np.float32)
    for ids in ([], [5]):
        with pytest.raises(SettingsError, match="mask of allowed tokens leaves none"):
            draw.sample(logits, mask_of(ids, 70))
    beyond = np.array([0, 0, 0xFFFFFFC0], np.uint32)  # bits past the vocabulary do not count
    with pytest.raises(SettingsError, match="leaves none"):
        draw.sample(logits, beyond)
    logits[6] = -np.inf
    with pytest.raises(NumericError, match="token 6"):
        draw.sample(logits, mask_of([6], 70))


@pytest.mark.parametrize(
    "logits",
    [np.zeros(9, np.float32), np.zeros((1, 10), np.float32), np.zeros(10), np.zeros(10, ">f4"), [0.0] * 10, None],
    ids=repr,
)
def test_logits_of_the_wrong_kind(logits):
    with pytest.raises(SettingsError, match=r"logits is .* expected .*float32 of shape \(10,\)"):
        Sampler().start(10).sample(logits)


@pytest.mark.parametrize("mask", [np.zeros(2, np.uint32), np.zeros(1, np.int32), np.zeros(33, bool), [1]], ids=repr)
def test_masks_of_the_wrong_kind(mask):
    with pytest.raises(SettingsError, match=r"allowed is .* expected .*uint32 of shape \(1,\)"):
        Sampler().start(32).sample(np.zeros(32, np.float32), mask)


@pytest.mark.parametrize("vocab", [1, 31, 32, 33, 100])
def test_mask_of_packs_bits(vocab):
    ids = {0, vocab - 1, vocab // 2}
    words = mask_of(ids, vocab)
    assert words.dtype == np.uint32
    assert words.shape == ((vocab + 31) // 32,)
    assert {i for i in range(vocab) if int(words[i // 32]) >> (i % 32) & 1} == ids
    assert sum(int(word).bit_count() for word in words) == len(ids)


def test_a_sampler_is_a_value():
    settings = Sampler(logit_bias={np.int64(1): np.float32(2)}, ban=[np.int32(3), 3], top_k=np.int64(4))
    assert settings == pickle.loads(pickle.dumps(settings)) == copy.deepcopy(settings)
    assert settings.ban == (3,)
    assert settings.logit_bias == {1: 2.0}
    with pytest.raises(AttributeError):
        settings.top_p = 1.0
