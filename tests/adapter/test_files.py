"""Adapter files: RWKV-PEFT's form and ours, there and back, and files that are something else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from adapters import arrays, low_rank, states, written
from models_at_hand import random_small
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from rookery.adapter import Adapter, read_adapter, write_adapter
from rookery.errors import FormatError, NumericError, SettingsError, UnsupportedError
from rookery.formats import lazy, read_tensors

A0, SHAPES = "blocks.0.att.key.lora_A", r"expected \(rank, inputs\)"


@pytest.fixture(scope="module")
def small():
    return random_small("7")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors", ".st"])
def test_there_and_back(tmp_path, small, suffix):
    changes, tuned = low_rank(small), states(small)
    path = tmp_path / f"adapter{suffix}"
    given = Adapter("test", changes, {}, {n: lazy.array("F32", x) for n, x in tuned.items()}, 12.5, "ab" * 16)
    write_adapter(given, path)
    found = read_adapter(path)
    assert found.low_rank.keys() == changes.keys()
    for name, low in changes.items():
        np.testing.assert_array_equal(found.low_rank[name].a, low.a)
        np.testing.assert_array_equal(found.low_rank[name].b, low.b)
    for name, numbers in tuned.items():
        np.testing.assert_array_equal(found.initial_state[name].numpy(), numbers)
    plain = suffix in (".pth", ".pt")
    assert (found.alpha, found.base) == ((None, None) if plain else (12.5, "ab" * 16))
    assert found.ranks == [3]
    assert found.targets == ["att.key", "att.output", "ffn.key", "ffn.value"]


def test_safetensors_says_what_it_is_to_other_readers(tmp_path, small):
    changes = low_rank(small)
    path = written(tmp_path / "adapter.safetensors", arrays(changes), alpha=6.0, base="cd" * 16)
    assert load_file(path).keys() == arrays(changes).keys()
    with safe_open(path, "numpy") as file:
        about = json.loads(file.metadata()["rookery.adapter"])
    assert about == {
        "version": 1,
        "base": "cd" * 16,
        "alpha": 6.0,
        "ranks": [3],
        "targets": ["att.key", "att.output", "ffn.key", "ffn.value"],
    }


@pytest.mark.parametrize("prefix", ["model.", "_forward_module.model."])
def test_prefixes_of_trainers_are_cut(tmp_path, small, prefix):
    tensors = {prefix + name: x for name, x in arrays(low_rank(small)).items()}
    assert read_adapter(written(tmp_path / "a.safetensors", tensors)).low_rank.keys() == low_rank(small).keys()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_float_types(tmp_path, small, dtype):
    tensors = {name: x.astype(dtype) for name, x in arrays(low_rank(small)).items()}
    save_file(tensors, tmp_path / "a.safetensors")
    found = read_adapter(tmp_path / "a.safetensors").low_rank
    for name, low in low_rank(small).items():
        np.testing.assert_array_equal(found[name].b, low.b.astype(dtype).astype(np.float32))


def without(tensors, name):
    return {n: x for n, x in tensors.items() if n != name}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: without(t, "blocks.1.att.key.lora_B"), FormatError, r"'blocks\.1\.att\.key\.lora_B' is missing"),
        (lambda t: without(t, "blocks.0.ffn.key.lora_A"), FormatError, r"'blocks\.0\.ffn\.key\.lora_A' is missing"),
        (lambda t: t | {A0: t[A0].T.copy()}, FormatError, SHAPES),
        (lambda t: t | {A0: np.zeros((0, 64), np.float32)}, FormatError, SHAPES),
        (lambda t: t | {A0: np.zeros(64, np.float32)}, FormatError, SHAPES),
        (lambda t: t | {A0: np.full((3, 64), np.nan, np.float32)}, NumericError, r"blocks\.0\.att\.key\.lora_A"),
        (lambda t: t | {A0: np.zeros((3, 64), np.int32)}, FormatError, "element type I32"),
        (lambda t: t | {"model.blocks.0.att.key.lora_A": np.zeros((3, 64), np.float32)}, FormatError, "means the same"),
        (lambda t: t | {"blocks.0.att.key.init_lora_A": np.zeros((3, 64), np.float32)}, UnsupportedError, "PiSSA"),
        (lambda t: {"blocks.0.att.key.disha": np.zeros((3, 64), np.float32)}, UnsupportedError, "DiSHA"),
        (lambda t: {"emb.weight": np.zeros((3, 64), np.float32)}, FormatError, "neither an adapter nor a tuned state"),
    ],
)  # fmt: skip
def test_files_that_are_something_else(tmp_path, small, change, error, message):
    save_file(change(arrays(low_rank(small))), tmp_path / "a.safetensors")
    with pytest.raises(error, match=message) as raised:
        read_adapter(tmp_path / "a.safetensors")
    assert str(tmp_path / "a.safetensors") in str(raised.value)


@pytest.mark.parametrize(
    ("about", "error", "message"),
    [
        ("{", FormatError, "not valid JSON"),
        ("[1]", FormatError, "not a JSON object"),
        ('{"version": 2}', UnsupportedError, "version 2, expected 1"),
        ('{"alpha": 1}', UnsupportedError, "version null"),
        ('{"version": 1, "alpha": "6"}', FormatError, 'alpha "6"'),
        ('{"version": 1, "alpha": true}', FormatError, "alpha true"),
        ('{"version": 1, "alpha": NaN}', FormatError, "alpha NaN"),
        ('{"version": 1, "base": 6}', FormatError, "base 6"),
    ],
)
def test_damaged_metadata(tmp_path, small, about, error, message):
    save_file(arrays(low_rank(small)), tmp_path / "a.safetensors", {"rookery.adapter": about})
    with pytest.raises(error, match=message):
        read_adapter(tmp_path / "a.safetensors")


def test_other_suffixes_and_places_are_refused(tmp_path, small):
    adapter = Adapter("x", low_rank(small), alpha=1)
    with pytest.raises(SettingsError, match=r"written as \.pth or \.safetensors, not '\.gguf'"):
        write_adapter(adapter, tmp_path / "a.gguf")
    with pytest.raises(SettingsError, match="does not exist"):
        write_adapter(adapter, tmp_path / "none" / "a.pth")
    (tmp_path / "a.pth").mkdir()
    with pytest.raises(SettingsError, match="a directory"):
        write_adapter(adapter, tmp_path / "a.pth")


def test_a_tuned_state_is_the_official_file(tmp_path, small):
    write_adapter(
        Adapter("x", initial_state={n: lazy.array("F32", x) for n, x in states(small).items()}), tmp_path / "s.pth"
    )
    found = read_tensors(tmp_path / "s.pth")
    assert {n: t.shape for n, t in found.items()} == {n: x.shape for n, x in states(small).items()}
