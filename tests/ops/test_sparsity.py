"""What a file says of zeros, and what is made of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rookery import load
from rookery.errors import SettingsError
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.initialise import make_config, random_model
from rookery.ops.sparsity import KEY, PAYS, inputs, metadata, paying_layers, rounded, zeros
from rookery.parameters import parameters
from rookery.quantize import Text, Texts, quantize, quantized, recipe

TOKENS = np.arange(1, 100, dtype=np.int32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("sparse") / "model.pth"
    save_checkpoint(random_model(make_config("7", layers=3, width=128, vocab=256)), path)
    return path


def test_rounded_as_the_kernels_do():
    x = np.zeros((1, 64), np.float32)
    x[0, :4] = 1, 0.0039, 0.0040, -0.5  # half a step of 1/127 is 0.00394
    assert rounded(x)[0, :5].tolist() == [127, 0, 1, -64, 0]
    assert not rounded(x)[0, 32:].any()


def test_zeros_are_counted_over_all_tokens(model):
    checkpoint = open_checkpoint(model)
    loaded = load(checkpoint)
    p = parameters(loaded.config, checkpoint.tensors)
    read = [np.concatenate(parts) for parts in zip(*inputs(loaded.layout, p, TOKENS), strict=True)]
    assert [x.shape for x in read] == [(99, 512)] * 3
    want = [float(np.mean(rounded(x) == 0)) for x in read]
    assert zeros(loaded.layout, p, TOKENS) == pytest.approx(want)
    assert all(0.2 < share < 0.9 for share in want)  # random numbers: a half is negative


def test_layers_in_which_skipping_pays():
    assert paying_layers(metadata([0.1, PAYS, 0.99, PAYS - 0.01])) == {1, 2}
    assert paying_layers({}) == frozenset()


@pytest.mark.parametrize("text", ["", "{", "3", '{"a": 1}', '["0.9"]', "[null]", "[" * 60_000, "[0.9]" * 20_000, 7])
def test_what_cannot_be_read_is_as_nothing(text):
    assert paying_layers({KEY: text}) == frozenset()


@pytest.mark.parametrize("sparse", ["auto", "always", "never"])
def test_the_choice_changes_no_bit(model, sparse):
    small = quantized(open_checkpoint(model), recipe("q8_0"))
    small.metadata.update(metadata([0.9, 0.1, 0.9]))
    want, before = load(small, sparse="never").forward(TOKENS)
    got, after = load(small, sparse=sparse).forward(TOKENS)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(after.data, before.data)


def test_another_choice_is_refused(model):
    with pytest.raises(SettingsError, match="sparse='often': expected 'auto', 'always' or 'never'"):
        load(model, sparse="often")


@pytest.mark.parametrize("suffix", ["gguf", "safetensors", "rookery"])
def test_quantising_writes_them_down(model, tmp_path, suffix):
    target = tmp_path / f"small.{suffix}"
    quantize(model, target, "q8_0", Texts(measure=Text(b"The quick brown fox", "fox")))
    shares = json.loads(open_checkpoint(target).metadata[KEY])
    assert len(shares) == 3
    assert all(0.2 < share < 0.9 for share in shares)
    want, _ = load(target, sparse="never").forward(TOKENS)
    got, _ = load(target, sparse="always").forward(TOKENS)
    np.testing.assert_array_equal(got, want)
