"""A model with an adapter is the model that merging makes, and adapters of other models are refused."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from adapters import arrays, changed, low_rank, model_file, states, written
from models_at_hand import VERSIONS
from small_models import words

import rookery
from rookery.adapter import Adapter, adapted, read_adapter
from rookery.errors import FormatError, NumericError, RookeryError, SettingsError, StateError
from rookery.fingerprint import fingerprint
from rookery.formats import open_checkpoint
from rookery.layout import StateLayout
from rookery.ops.oracle import NumpyExecutor
from rookery.parameters import parameters
from rookery.state import State
from rookery.weights import Tensor

TOKENS = [5, 17, 3, 50, 22, 9, 41]
ALPHA = 6.0


def loaded(path, executor="native", **options):
    return rookery.load(path, tokenizer=words(53), executor=executor, threads=1, **options)


def oracle(small, tensors, initial=None):
    """Logits of every token in float64, from tensors as they are given."""
    held = {name: Tensor("F32", x.shape, lambda x=x: x) for name, x in tensors.items()}
    p = parameters(small.config, held, np.float64)
    state = small.layout.zeros()
    if initial:
        state = State.from_time_state(small.layout, initial, "").data.copy()
    return NumpyExecutor(small.layout, p).run(
        np.array(TOKENS, np.int32), [len(TOKENS)], [state], np.arange(len(TOKENS), dtype=np.int32)
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("version", VERSIONS)
def test_logits_are_those_of_the_sum(tmp_path, version, suffix):
    small, path = model_file(tmp_path, version)
    changes = low_rank(small)
    file = written(tmp_path / f"adapter{suffix}", arrays(changes))
    model = loaded(path, adapter=file, adapter_alpha=ALPHA)
    want = oracle(small, changed(small, changes, ALPHA))
    np.testing.assert_allclose(model.forward(TOKENS, full=True)[0], want, rtol=0, atol=2e-4)
    assert np.abs(want - loaded(path).forward(TOKENS, full=True)[0]).max() > 0.1
    exact = loaded(path, "numpy", adapter=file, adapter_alpha=ALPHA)
    np.testing.assert_allclose(exact.forward(TOKENS, full=True)[0], want, rtol=0, atol=2e-6)


@pytest.mark.parametrize("format", ["F16", "BF16", "Q8_0", "Q4_0"])
def test_what_is_not_f32_is_merged_in_f16(tmp_path, format):
    small, path = model_file(tmp_path, "7", format)
    changes = low_rank(small)
    file = written(tmp_path / "adapter.safetensors", arrays(changes), alpha=ALPHA)
    checkpoint = adapted(open_checkpoint(path), read_adapter(file))
    want = changed(small, changes, ALPHA)
    for name, tensor in checkpoint.tensors.items():
        if name in changes:
            assert tensor.format == "F16"
            np.testing.assert_allclose(tensor.numpy(), want[name], rtol=2**-11, atol=1e-7)
        else:
            assert tensor.format == open_checkpoint(path).tensors[name].format
    exact = loaded(path, "numpy", adapter=file).forward(TOKENS, full=True)[0]
    np.testing.assert_allclose(exact, oracle(small, want), rtol=0, atol=0.01)
    native = loaded(path, adapter=file).forward(TOKENS, full=True)[0]
    assert np.linalg.norm(native - exact) < 0.05 * np.linalg.norm(exact)  # blocks are multiplied by 8-bit rows


def test_matrices_too_large_for_one_piece_are_whole(tmp_path, monkeypatch):
    from rookery.adapter import applying

    small, path = model_file(tmp_path)
    changes = low_rank(small)
    monkeypatch.setattr(applying, "_AT_ONCE", 300)
    merged = adapted(open_checkpoint(path), Adapter("x", changes, alpha=ALPHA))
    for name, want in changed(small, changes, ALPHA).items():
        np.testing.assert_allclose(merged.tensors[name].numpy(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != "4"])
def test_tuned_states_are_where_texts_begin(tmp_path, version):
    small, path = model_file(tmp_path, version)
    changes, tuned = low_rank(small), states(small)
    file = written(tmp_path / "both.safetensors", arrays(changes) | tuned, alpha=ALPHA)
    model = loaded(path, adapter=file)
    want = oracle(small, changed(small, changes, ALPHA), tuned)
    np.testing.assert_allclose(model.forward(TOKENS, full=True)[0], want, rtol=0, atol=5e-4)
    alone = written(tmp_path / "state.pth", tuned)
    plain = loaded(path)
    by_adapter, by_state = loaded(path, adapter=alone).forward(TOKENS)[0], plain.forward(TOKENS, plain.tuned(alone))[0]
    np.testing.assert_array_equal(by_adapter, by_state)
    with_whole = written(
        tmp_path / "with.safetensors", {n: t.numpy() for n, t in small.checkpoint.tensors.items()} | tuned
    )
    np.testing.assert_array_equal(loaded(with_whole).forward(TOKENS)[0], by_state)


def test_whole_tensors_take_the_place_of_the_models(tmp_path):
    small, path = model_file(tmp_path)
    random = np.random.default_rng(1)
    whole = {
        "blocks.1.ln2.bias": random.standard_normal(64).astype(np.float32),
        "blocks.0.att.x_r": random.random((1, 1, 64)).astype(np.float32),
        "blocks.0.att.key.weight": random.standard_normal((64, 64)).astype(np.float32) / 8,
    }
    changes = low_rank(small)
    file = written(tmp_path / "adapter.pth", arrays(changes) | whole)
    model = loaded(path, adapter=file, adapter_alpha=ALPHA)
    want = changed(small, changes, ALPHA) | {n: x.reshape(-1) for n, x in whole.items() if x.ndim != 2}
    low = changes["blocks.0.att.key.weight"]  # added to the matrix that came with it
    want["blocks.0.att.key.weight"] = whole["blocks.0.att.key.weight"] + ALPHA / low.rank * low.b @ low.a
    np.testing.assert_allclose(model.forward(TOKENS, full=True)[0], oracle(small, want), rtol=0, atol=5e-4)


def test_the_changed_model_is_another_one(tmp_path):
    small, path = model_file(tmp_path)
    base, changes = open_checkpoint(path), low_rank(small)
    marks = {
        fingerprint(base),
        fingerprint(adapted(base, Adapter("x", changes, alpha=ALPHA))),
        fingerprint(adapted(base, Adapter("x", changes, alpha=2 * ALPHA))),
        fingerprint(adapted(base, Adapter("x", dict(list(changes.items())[1:]), alpha=ALPHA))),
    }
    assert len(marks) == 4
    file = written(tmp_path / "adapter.safetensors", arrays(changes), alpha=ALPHA)
    state = loaded(path, adapter=file).forward(TOKENS)[1]
    loaded(path, adapter=file).forward([1], state)
    with pytest.raises(StateError, match="belongs to model"):
        loaded(path).forward([1], state)
    tuned = written(tmp_path / "state.pth", states(small))
    assert loaded(path, adapter=tuned).fingerprint == fingerprint(base)


def test_the_models_file_is_not_touched(tmp_path):
    small, path = model_file(tmp_path)
    before = path.read_bytes()
    loaded(path, adapter=written(tmp_path / "a.pth", arrays(low_rank(small))), adapter_alpha=1)
    assert path.read_bytes() == before


def test_an_adapter_of_another_model_is_refused(tmp_path):
    small, path = model_file(tmp_path)
    changes = low_rank(small)
    file = written(tmp_path / "adapter.safetensors", arrays(changes), alpha=ALPHA, base="0123456789abcdef" * 2)
    mark = fingerprint(open_checkpoint(path))
    with pytest.raises(FormatError, match=f"made for the model 0123456789abcdef.* is {mark}"):
        loaded(path, adapter=file)
    mine = written(tmp_path / "mine.safetensors", arrays(changes), alpha=ALPHA, base=mark)
    loaded(path, adapter=mine)


def renamed(tensors, old, new):
    return {name.replace(old, new): x for name, x in tensors.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: renamed(t, "blocks.", "layers."), r"8 of 8 parts .*layers\.0\.att\.key\.lora_A.* and 4 more"),
        (lambda t: renamed(t, "blocks.1.ffn", "blocks.7.ffn"), r"2 of 8 parts match nothing .*blocks\.7\.ffn\.key"),
        (lambda t: renamed(t, "att.key", "att.gate"), r"2 of 8 parts .*blocks\.0\.att\.gate\.lora_A"),
        (lambda t: t | {"blocks.1.att.nothing": np.zeros(3, np.float32)}, r"1 of 9 parts .*blocks\.1\.att\.nothing"),
        (lambda t: renamed(t, "ffn.key", "att.value"), r"att\.value\.lora_A is for a tensor of shape \(96, 64\)"),
        (lambda t: t | {"ln_out.bias": np.zeros(9, np.float32)}, r"ln_out\.bias is for a tensor of shape \(9,\)"),
        (lambda t: t | {"blocks.0.att.time_state": np.zeros((4, 16, 16), np.float32)}, "1 of 2 blocks have"),
        (lambda t: t | {"blocks.5.att.time_state": np.zeros((4, 16, 16), np.float32)}, r"blocks\.5\.att\.time_state"),
    ],
)  # fmt: skip
def test_what_matches_nothing_is_named(tmp_path, change, message):
    small, path = model_file(tmp_path)
    file = written(tmp_path / "adapter.safetensors", change(arrays(low_rank(small))))
    with pytest.raises(FormatError, match=message) as error:
        loaded(path, adapter=file, adapter_alpha=1)
    assert str(file) in str(error.value)


def test_alpha_has_to_be_known(tmp_path):
    small, path = model_file(tmp_path)
    file = written(tmp_path / "adapter.pth", arrays(low_rank(small)))
    with pytest.raises(SettingsError, match=r"does not say its alpha; .*its rank is 3"):
        loaded(path, adapter=file)
    with pytest.raises(SettingsError, match="expected a finite number"):
        loaded(path, adapter=file, adapter_alpha=float("nan"))
    with pytest.raises(SettingsError, match="no adapter to scale"):
        loaded(path, adapter_alpha=2.0)


def test_rwkv_4_has_no_state_to_tune(tmp_path):
    _, path = model_file(tmp_path, "4")
    file = written(tmp_path / "state.pth", {"blocks.0.att.time_state": np.zeros((4, 16, 16), np.float32)})
    with pytest.raises(FormatError, match="RWKV-4 has no matrix state"):
        loaded(path, adapter=file)


def test_sums_beyond_f16_are_an_error_that_names_the_tensor(tmp_path):
    small, path = model_file(tmp_path, "7", "F16")
    changes = low_rank(small, targets=("ffn.key",))
    with pytest.raises(NumericError, match=r"blocks\.0\.ffn\.key\.weight' is changed beyond the range of F16"):
        loaded(path, adapter=Adapter("x", changes, alpha=1e7))


def test_every_error_of_a_damaged_file_is_ours(tmp_path):
    small, path = model_file(tmp_path)
    file = written(tmp_path / "adapter.pth", arrays(low_rank(small)))
    whole, random = file.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole[: random.integers(1, len(whole) + 1)])
        content[random.integers(len(content))] ^= 1 << random.integers(8)
        file.write_bytes(content)
        with contextlib.suppress(RookeryError):
            loaded(path, adapter=file, adapter_alpha=1)


def test_layouts_agree(tmp_path):
    """The state's orientation is the trainers': value lane first in the file, key lane first in ours."""
    small, _ = model_file(tmp_path, "5.2")
    tuned = states(small)
    state = State.from_time_state(StateLayout(small.config), tuned, "")
    for i, layer in enumerate(small.layout.layers):
        np.testing.assert_array_equal(layer.wkv.of(state.data), tuned[f"blocks.{i}.att.time_state"].transpose(0, 2, 1))
