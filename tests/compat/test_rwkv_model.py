"""RWKV of rookery.compat against the recorded numbers of the official package."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import FOLDER, GOLDENS, load_golden
from safetensors.numpy import load_file, save_file

import rookery.compat
from rookery.compat.rwkv import PIPELINE, PIPELINE_ARGS, RWKV
from rookery.errors import FormatError, RookeryError, SettingsError, StateError, TokenError, UnsupportedError
from rookery.formats import open_checkpoint, save_checkpoint

TOLERANCE = 5e-5  # the package's own two paths differ by 1e-5


def of(name: str) -> RWKV:
    return RWKV(str(load_golden(name).checkpoint_path), "cpu fp32", verbose=False)


class Bytes:
    """Token = byte + 1; 0 ends a text."""

    def encode(self, text: str) -> list[int]:
        return [byte + 1 for byte in text.encode()]

    def decode(self, tokens: list[int]) -> str:
        return bytes(token - 1 for token in tokens if token).decode(errors="replace")


@pytest.mark.parametrize("name", GOLDENS)
def test_logits_and_state_are_the_packages(name: str) -> None:
    golden, model = load_golden(name), of(name)
    logits, state = model.forward(golden.tokens.tolist(), None, full_output=True)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, golden.logits, atol=TOLERANCE)
    assert [a.shape for a in state] == [a.shape for a in golden.state]
    for ours, theirs in zip(state, golden.state, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)


@pytest.mark.parametrize("name", GOLDENS)
def test_goes_on_from_the_packages_state(name: str) -> None:
    """As does the package, according to its logits of one long run."""
    golden, model = load_golden(name), of(name)
    tokens = golden.tokens.tolist()
    expected, _ = model.forward([*tokens, 3, 1, 4], None)
    found, _ = model.forward([3, 1, 4], [np.array(a) for a in golden.state])
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", GOLDENS)
def test_every_kind_of_list_gives_the_same_bits(name: str) -> None:
    golden, model = load_golden(name), of(name)
    _, state = model.forward(golden.tokens.tolist(), None)
    kinds: dict[str, Any] = {
        "shallow copy": state[:],
        "deep copy": copy.deepcopy(state),
        "pickled": pickle.loads(pickle.dumps(state)),
        "copies": [a.copy() for a in state],
        "tuple": tuple(state),
        "itself": state,
    }
    expected = model.forward([5, 6], model.forward(golden.tokens.tolist(), None)[1])
    for kind, given in kinds.items():
        logits, after = model.forward([5, 6], given)
        assert np.array_equal(logits, expected[0]), kind
        assert all(np.array_equal(a, b) for a, b in zip(after, expected[1], strict=True)), kind


@pytest.mark.parametrize("name", ["v4", "v5.2", "v6", "v7"])
def test_changes_to_the_list_are_seen(name: str) -> None:
    model = of(name)

    def logits(change: Any) -> np.ndarray:
        _, state = model.forward([1, 2, 3], None)
        change(state)
        result: np.ndarray = model.forward([4], [a.copy() for a in state])[0]
        assert np.array_equal(result, model.forward([4], state)[0])
        return result

    def in_place(state: list[Any]) -> None:
        state[1] *= 0.5

    def inside(state: list[Any]) -> None:
        state[-1][3] += 1

    def exchanged(state: list[Any]) -> None:
        state[0], state[-1] = state[-1], state[0]

    def replaced(state: list[Any]) -> None:
        state[1] = np.zeros_like(state[1])

    plain = logits(lambda state: None)
    for change in (in_place, inside, exchanged, replaced):
        assert not np.array_equal(logits(change), plain), change.__name__


@pytest.mark.parametrize("name", ["v4", "v5.0", "v5.1", "v5.2", "v6"])
def test_up_to_finch_the_given_list_is_updated(name: str) -> None:
    model = of(name)
    _, state = model.forward([1, 2], None)
    kept, numbers = list(state), copy.deepcopy(state)
    _, after = model.forward([3], state)
    assert after is state
    assert not np.array_equal(state[1], numbers[1])
    assert all(np.array_equal(a, b) for a, b in zip(kept, numbers, strict=True))  # the old arrays keep their numbers


def test_goose_leaves_the_given_list_alone() -> None:
    model = of("v7")
    _, state = model.forward([1, 2], None)
    kept, numbers = list(state), copy.deepcopy(state)
    _, after = model.forward([3], state)
    assert after is not state
    assert all(a is b for a, b in zip(kept, state, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(state, numbers, strict=True))


def test_shapes_of_the_output() -> None:
    model = of("v7")
    assert model.forward([1, 2, 3], None)[0].shape == (112,)
    assert model.forward([1, 2, 3], None, full_output=True)[0].shape == (3, 112)
    assert model.forward([1], None, full_output=True)[0].shape == (112,)  # as in the package
    assert np.array_equal(model.forward(5, None)[0], model.forward(np.array([5]), None)[0])
    logits = model(np.array([1, 2]), None)[0]
    logits[3] = -np.inf  # the caller's own
    assert logits.tolist()[3] == -float("inf")


@pytest.mark.parametrize("name", GOLDENS)
def test_attributes(name: str) -> None:
    config, model = load_golden(name).config_hint, of(name)
    assert f"{model.version:.1f}" == {"4": "4.0", "6": "6.0", "7": "7.0"}.get(config.version, config.version)
    assert (model.n_layer, model.n_embd, model.n_head) == (config.layers, config.width, config.heads)
    args = model.args
    assert (args.n_layer, args.n_embd, args.n_ffn, args.vocab_size) == (config.layers, config.width, 96, config.vocab)
    assert args.head_size == model.head_size == config.head_size
    assert args.strategy_string == "cpu fp32"
    zero = model.generate_zero_state()
    assert np.array_equal(model.forward([7], zero)[0], model.forward([7], None)[0])


def test_weights_have_official_names_and_numbers() -> None:
    golden, model = load_golden("v6"), of("v6")
    stored = load_file(golden.checkpoint_path)
    assert set(model.w) == set(stored) == set(model.z)
    assert len(model.w) == len(stored)
    for name, numbers in stored.items():
        assert np.array_equal(model.w[name].ravel(), numbers.astype(np.float32).ravel())
    with pytest.raises(KeyError):
        model.w["head.bias"]
    with pytest.raises(ValueError, match="read-only"):
        model.w["emb.weight"][0, 0] = 1


def test_tuned_state_in_the_file(tmp_path: Path) -> None:
    golden = load_golden("v6")
    save_file(load_file(golden.checkpoint_path) | golden.tuned_state, tmp_path / "tuned.safetensors")
    model = RWKV(str(tmp_path / "tuned.safetensors"), "cpu fp32", verbose=False)
    assert model.args.time_state
    logits, _ = model.forward(golden.tokens.tolist(), None, True)
    np.testing.assert_allclose(logits, golden.tuned_logits, atol=TOLERANCE)
    logits, _ = model.forward(golden.tokens.tolist(), model.generate_zero_state(), True)
    np.testing.assert_allclose(logits, golden.logits, atol=TOLERANCE)


def test_greedy_transcript() -> None:
    case = json.loads((FOLDER / "transcript.json").read_text(encoding="utf-8"))
    pieces: list[str] = []
    pipeline = PIPELINE(of(case["model"]), Bytes())
    text = pipeline.generate(case["prompt"], case["count"], PIPELINE_ARGS(**case["args"]), pieces.append)
    assert (text, pieces) == (case["text"], case["pieces"])


def test_name_without_its_ending(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(open_checkpoint(load_golden("v7").checkpoint_path), tmp_path / "bird.pth")
    expected = of("v7").forward([1, 2], None)[0]
    for given in (tmp_path / "bird", str(tmp_path / "bird.pth"), f" {tmp_path / 'bird'} "):
        model = RWKV(given, strategy="cpu fp32")
        assert np.array_equal(model.forward([1, 2], None)[0], expected)
        assert Path(model.args.MODEL_NAME) == tmp_path / "bird.pth"
    assert "v7.0, 3 layers" in capsys.readouterr().out
    (tmp_path / "bird").mkdir()  # a folder of that name is not what was meant
    assert RWKV(tmp_path / "bird", "cpu fp32", verbose=False).version == 7
    shutil.rmtree(tmp_path / "bird")
    with pytest.raises(FormatError, match="crow"):
        RWKV(tmp_path / "crow", "cpu fp32", verbose=False)


@pytest.mark.parametrize("strategy", ["cpu fp32", "cpu bf16", "cpu fp16", "cpu fp32 *2 -> cpu bf16", "cpu fp32 *0+"])
def test_strategies_of_the_cpu_compute_the_same(strategy: str) -> None:
    path = load_golden("v5.2").checkpoint_path
    model = RWKV(path, strategy, verbose=False)
    assert model.args.strategy_string == strategy
    assert np.array_equal(model.forward([9, 8], None)[0], of("v5.2").forward([9, 8], None)[0])


@pytest.mark.parametrize("strategy", ["", "cpu", "gpu fp32", "cpu fp64", "cpu fp32 *", "cpu fp32 ->", "cpu  fp32", 7])
def test_malformed_strategies(strategy: Any) -> None:
    with pytest.raises(ValueError, match="strategy"):
        RWKV("absent", strategy)
    with pytest.raises(SettingsError, match="cpu fp32"):
        RWKV("absent", strategy)


@pytest.mark.parametrize(
    ("strategy", "says"),
    [("cuda fp16", "cuda is not supported yet"), ("cpu fp32 *3 -> mps fp32", "mps"), ("cpu fp32i8", "quantised")],
)
def test_strategies_for_later(strategy: str, says: str) -> None:
    with pytest.raises(UnsupportedError, match=says):
        RWKV("absent", strategy)


def test_converting_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="convert_and_save_and_exit"):
        RWKV("absent", "cpu fp32", convert_and_save_and_exit="there")


def test_cuda_switch_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RWKV_CUDA_ON", "1")
    with pytest.warns(RuntimeWarning, match="RWKV_CUDA_ON"):
        of("v4")


@pytest.mark.parametrize("tokens", [[], [-1], [112], [1.5], "a", [[1, 2]], [[1], [2, 3]], None, [None], 2**70])
def test_tokens_that_are_none(tokens: Any) -> None:
    with pytest.raises(TokenError):
        of("v7").forward(tokens, None)


@pytest.mark.parametrize("state", [[], [None] * 9, 3, "state", [np.zeros(3)] * 9, of("v7-n64").generate_zero_state()])
def test_lists_that_are_no_state(state: Any) -> None:
    with pytest.raises(StateError, match="state list"):
        of("v7").forward([1], state)


def test_a_failed_call_leaves_the_list_alone() -> None:
    model = of("v6")
    _, state = model.forward([1], None)
    kept = copy.deepcopy(state)
    with pytest.raises(RookeryError):
        model.forward([999], state)
    assert all(np.array_equal(a, b) for a, b in zip(state, kept, strict=True))


def test_text_needs_a_pipeline() -> None:
    with pytest.raises(TokenError, match="PIPELINE"):
        of("v7").model.tokenizer.encode("a")


def test_imports_of_scripts() -> None:
    from rookery.compat.rwkv.model import RWKV as first
    from rookery.compat.rwkv.utils import PIPELINE as second
    from rookery.compat.rwkv.utils import PIPELINE_ARGS as third

    assert (first, second, third) == (rookery.compat.RWKV, rookery.compat.PIPELINE, rookery.compat.PIPELINE_ARGS)
