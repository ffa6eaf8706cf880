"""RWKV-7 with a larger removal term: what it computes, everywhere the same, and which files can say it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rookery
from rookery.config import REMOVALS
from rookery.errors import FormatError, SettingsError, StateError, UnsupportedError
from rookery.formats import open_checkpoint, safetensors
from rookery.formats.check import checked
from rookery.formats.safetensors_writer import write_stream
from rookery.formats.stream import Part, Stream
from rookery.initialise import make_config, random_model
from rookery.layout import StateLayout
from rookery.models import v7
from rookery.ops.numpy import NumpyOps
from rookery.parameters import parameters
from rookery.tokenizer import WorldTokenizer

BYTES = WorldTokenizer({byte + 1: bytes([byte]) for byte in range(256)}, "bytes")
TOKENS = np.random.default_rng(0).integers(1, 257, 40).tolist()
SMALL = make_config("7", layers=2, width=64, vocab=257, head_size=16)


def save(path: Path, removal: str) -> Path:
    rookery.save_checkpoint(random_model(replace(SMALL, removal=removal), seed=1), path)
    return path


@pytest.fixture(scope="module", params=REMOVALS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("removal") / "model.safetensors", request.param)


def load(path: Path, **options: Any) -> rookery.Model:
    return rookery.load(path, tokenizer=BYTES, threads=1, **options)


class Ears(NumpyOps):
    """Hears what the recurrence is given."""

    def wkv7(self, *operands: Any) -> Any:
        self.heard = operands
        return super().wkv7(*operands)


def heard(removal: str, rows: int = 9) -> tuple[np.ndarray, ...]:
    """r, w, k, v, a, b of the first block."""
    config = replace(SMALL, removal=removal)
    p = parameters(config, checked(random_model(config, seed=1)).tensors, np.float64).blocks[0].att
    layer = StateLayout(config).layers[0]
    state = type("S", (), {name: np.zeros((1, *field.shape)) for name, field in vars(layer).items()})
    ears = Ears(np.zeros(rows, np.int32), [rows], np.arange(rows))
    v7.time_mix(ears, p, np.random.default_rng(2).standard_normal((rows, config.width)), state, None)
    return ears.heard[:6]


def test_what_is_removed_is_once_twice_or_with_the_decay() -> None:
    plain, twice, decayed = map(heard, REMOVALS)
    for others in (twice, decayed):
        assert all(map(np.array_equal, plain[:5], others[:5]))
    np.testing.assert_allclose(twice[5], 2 * plain[5], rtol=1e-15)
    np.testing.assert_allclose(decayed[5], (1 + plain[1]) * plain[5], rtol=1e-15)


@pytest.mark.parametrize(("removal", "stable", "turns"), [("1", True, False), ("2", False, True), ("1+w", True, True)])
def test_what_a_write_does_to_the_state_that_was(removal: str, stable: bool, turns: bool) -> None:
    """Eigenvalues of diag(w) - c kk rate kk^T at the extremes of the decay, where all of a key is removed."""
    random, all_eigenvalues = np.random.default_rng(3), []
    for _ in range(300):
        kk = random.standard_normal(16)
        kk /= np.linalg.norm(kk)
        w = random.choice([np.exp(v7.DECAY_SCALE), 0.8, 1.0], 16)
        b = v7._removal(kk * random.choice([0.5, 1.0], 16), w, removal)
        all_eigenvalues.append(np.linalg.eigvals(np.diag(w) - np.outer(b, kk)))
    assert (np.abs(all_eigenvalues).max() < 1 + 1e-9) == stable
    assert (np.real(all_eigenvalues).min() < -0.99) == turns


def test_every_executor_computes_it(saved: Path) -> None:
    native, oracle = load(saved).forward(TOKENS)[0], load(saved, executor="numpy").forward(TOKENS)[0]
    np.testing.assert_allclose(native, oracle, rtol=2e-4, atol=2e-4)
    plain = rookery.load(save(saved.with_name("plain.safetensors"), "1"), tokenizer=BYTES, threads=1)
    same = np.allclose(plain.forward(TOKENS)[0], native, rtol=1e-3, atol=1e-3)
    assert same == (open_checkpoint(saved).config.removal == "1")


@pytest.mark.parametrize("name", ["copy.safetensors", "copy.rookery"])
def test_it_stays_in_files(saved: Path, name: str) -> None:
    copy = saved.with_name(name)
    rookery.save_checkpoint(open_checkpoint(saved), copy)
    back = saved.with_name("back.safetensors")
    rookery.save_checkpoint(open_checkpoint(copy), back)
    first, *others = (load(path) for path in (saved, copy, back))
    for other in others:
        assert other.config.removal == first.config.removal
        assert other.fingerprint == first.fingerprint
        np.testing.assert_array_equal(other.forward(TOKENS)[0], first.forward(TOKENS)[0])


@pytest.mark.parametrize("name", ["q.safetensors", "q.rookery"])
def test_a_quantised_model_keeps_it(saved: Path, name: str) -> None:
    from rookery.quantize import quantize

    quantize(saved, saved.with_name(name), "q8_0", threads=1)
    assert open_checkpoint(saved.with_name(name)).config.removal == open_checkpoint(saved).config.removal


def test_a_released_model_says_nothing(tmp_path: Path) -> None:
    for name in ("m.safetensors", "m.rookery"):
        assert "rookery.removal" not in open_checkpoint(save(tmp_path / name, "1")).metadata


@pytest.mark.parametrize("name", ["m.pth", "m.gguf", "m"])
@pytest.mark.parametrize("removal", ["2", "1+w"])
def test_formats_of_other_programs_are_refused(tmp_path: Path, name: str, removal: str) -> None:
    with pytest.raises(
        UnsupportedError, match=r"does not know of removal=.*; write \.safetensors or \.rookery"
    ) as error:
        save(tmp_path / name, removal)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert not (tmp_path / name).exists()


def test_quantising_for_other_programs_is_refused(tmp_path: Path) -> None:
    from rookery.quantize import quantize

    source = save(tmp_path / "m.safetensors", "1+w")
    with pytest.raises(UnsupportedError, match=r"m\.gguf: .*removal='1\+w'"):
        quantize(source, tmp_path / "m.gguf", "q8_0", threads=1)


def test_four_models_are_four(tmp_path: Path) -> None:
    marks = {load(save(tmp_path / f"{i}.safetensors", removal)).fingerprint for i, removal in enumerate(REMOVALS)}
    assert len(marks) == len(REMOVALS)


def test_states_belong_to_their_removal(tmp_path: Path) -> None:
    plain, other = (load(save(tmp_path / f"{i}.safetensors", r)) for i, r in enumerate(("1", "1+w")))
    for model in (plain, other):
        _, state = model.forward(TOKENS)
        state.save(tmp_path / "a.state")
        back = rookery.State.load(tmp_path / "a.state")
        assert back.layout.config.removal == model.config.removal
        np.testing.assert_array_equal(model.forward([5], back)[0], model.forward([5], state)[0])
        said = json.loads(safetensors.read_metadata(tmp_path / "a.state")["rookery.state"])["config"]
        assert ("removal" in said) == (model is other)
    with pytest.raises(StateError):
        plain.forward([5], back)


@pytest.mark.parametrize(("version", "said"), [("7", "3"), ("7", ""), ("7", "1 + w"), ("6", "1+w"), ("4", "2")])
def test_a_file_that_says_nonsense_is_refused(tmp_path: Path, version: str, said: str) -> None:
    drawn = random_model(make_config(version, layers=1, width=32, vocab=9, head_size=16))
    parts = {name: Part(tensor, tensor.format) for name, tensor in drawn.tensors.items()}
    write_stream(tmp_path / "m.safetensors", Stream(parts, lambda: None, None), {"rookery.removal": said})
    with pytest.raises(
        FormatError, match=r"m\.safetensors: the metadata 'rookery\.removal' is .*; expected 1, 2, 1\+w"
    ):
        open_checkpoint(tmp_path / "m.safetensors")


@pytest.mark.parametrize(("version", "removal"), [("7", "3"), ("6", "2"), ("7", 1)])
def test_a_config_is_checked(version: str, removal: Any) -> None:
    with pytest.raises(SettingsError, match=r"^removal=.*: expected 1"):
        replace(make_config(version, layers=1, width=64, vocab=9), removal=removal)
