"""Every writer against every reader: a model comes back bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import CONFIGS, assert_same, checkpoint

from rookery.errors import NumericError, SettingsError, UnsupportedError
from rookery.formats import WRITERS, Checkpoint, check_finite, lazy, open_checkpoint, save_checkpoint
from rookery.formats.check import checked

PATHS = {"pth": "m.pth", "safetensors": "m.safetensors", "hf": "model"}


@pytest.mark.parametrize("format", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("version", CONFIGS)
@pytest.mark.parametrize("container", ["pth", "safetensors"])
def test_every_version(tmp_path: Path, container: str, version: str, format: str) -> None:
    model = checkpoint(CONFIGS[version], format, state=version != "4")
    save_checkpoint(model, tmp_path / PATHS[container])
    found = open_checkpoint(tmp_path / PATHS[container])
    assert found.format == container
    assert_same(found, model)


@pytest.mark.parametrize("format", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("version", ["6", "7"])
def test_hugging_face(tmp_path: Path, version: str, format: str) -> None:
    model = checkpoint(CONFIGS[version], format)
    save_checkpoint(model, tmp_path / "model")
    found = open_checkpoint(tmp_path / "model")
    assert found.format == "hf"
    assert_same(found, model, unused=version == "7")


def test_a_chain_through_all_containers(tmp_path: Path) -> None:
    model = checkpoint(CONFIGS["7"], "BF16")
    step = model
    for name in ("a.pth", "b", "c.safetensors", "d.pth", "e", "f.pth"):
        save_checkpoint(step, tmp_path / name)
        step = open_checkpoint(tmp_path / name)
    assert_same(step, model, unused=True)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("container", WRITERS)
def test_dtype_is_one_for_all(tmp_path: Path, container: str, dtype: str) -> None:
    if container not in PATHS:
        pytest.skip(f"{container} has rules of its own")
    model = checkpoint(CONFIGS["7"])
    save_checkpoint(model, tmp_path / PATHS[container], dtype=dtype)
    found = open_checkpoint(tmp_path / PATHS[container])
    for name, tensor in found.tensors.items():
        expected = model.tensors[name].numpy()
        assert tensor.format == dtype
        assert np.allclose(tensor.numpy(), expected, rtol={"F32": 0, "F16": 1e-3, "BF16": 8e-3}[dtype], atol=1e-6)


def test_progress_reaches_the_total(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    model = checkpoint(CONFIGS["4"])
    save_checkpoint(model, tmp_path / "m.pth", dtype="F16", progress=lambda done, total: calls.append((done, total)))
    total = sum(t.numpy().size for t in model.tensors.values()) * 2
    assert calls[-1] == (total, total)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


@pytest.mark.parametrize(("dtype", "number"), [("F16", 65520.0), ("F16", -1e6), ("BF16", 3.4e38)])
def test_overflow_is_an_error_and_leaves_the_old_file(tmp_path: Path, dtype: str, number: float) -> None:
    path = tmp_path / "m.pth"
    path.write_bytes(b"precious")
    model = checkpoint(CONFIGS["7"])
    model.tensors["blocks.1.ln2.bias"].load()[3] = number
    with pytest.raises(NumericError, match=r"blocks\.1\.ln2\.bias.*beyond the range"):
        save_checkpoint(model, path, dtype=dtype)
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dtype", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
@pytest.mark.parametrize("number", [1e10, -1e38])
def test_blocks_have_no_scale_for_every_number(tmp_path: Path, dtype: str, number: float) -> None:
    model = checkpoint(CONFIGS["7"])
    key = "blocks.1.ffn.value.weight"
    save_checkpoint(model, tmp_path / "m.gguf", dtype=dtype)
    assert open_checkpoint(tmp_path / "m.gguf").tensors[key].format == dtype
    model.tensors[key].load()[3, 5] = number
    with pytest.raises(NumericError, match=rf"channel_mix_value.*beyond the range of {dtype}"):
        save_checkpoint(model, tmp_path / "n.gguf", dtype=dtype)
    assert not (tmp_path / "n.gguf").exists()


def test_infinity_in_the_source_is_not_an_overflow_but_not_finite(tmp_path: Path) -> None:
    model = checkpoint(CONFIGS["7"])
    check_finite(model)
    model.tensors["head.weight"].load()[3, 3] = np.inf
    save_checkpoint(model, tmp_path / "m.pth", dtype="F16")
    found = open_checkpoint(tmp_path / "m.pth")
    assert np.isinf(found.tensors["head.weight"].numpy()[3, 3])
    with pytest.raises(NumericError, match=r"head\.weight.*NaN or infinity"):
        check_finite(found)


def test_f64_becomes_f32(tmp_path: Path) -> None:
    model = checkpoint(CONFIGS["4"])
    numbers = model.tensors["head.weight"].load().astype(np.float64)
    model.tensors["head.weight"] = lazy.array("F64", numbers)
    fixed = checked(model)
    assert fixed.tensors["head.weight"].format == "F32"
    assert np.array_equal(fixed.tensors["head.weight"].numpy(), numbers)
    numbers[0, 0] = 1e300
    with pytest.raises(NumericError, match=r"head\.weight"):
        fixed.tensors["head.weight"].load()


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("m.exe", {}, "does not say which format"),
        ("m.pth", {"format": "onnx"}, "known formats: "),
        ("m.pth", {"dtype": "int3"}, "known: F32, F16, BF16"),
        ("nowhere/m.pth", {}, "does not exist"),
    ],
)
def test_settings(tmp_path: Path, path: str, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        save_checkpoint(checkpoint(CONFIGS["4"]), tmp_path / path, **arguments)  # type: ignore[arg-type]


def test_unchecked_checkpoints_are_checked_before_writing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="missing"):
        save_checkpoint(Checkpoint(Path("empty"), "test", {}), tmp_path / "m.pth")


@pytest.mark.parametrize("version", ["4", "5.2"])
def test_hugging_face_refuses_old_versions(tmp_path: Path, version: str) -> None:
    with pytest.raises(UnsupportedError, match="only 6 and 7"):
        save_checkpoint(checkpoint(CONFIGS[version]), tmp_path / "model")


@pytest.mark.parametrize("version", ["6", "7"])
@pytest.mark.parametrize("name", ["model", "m.gguf"])
def test_some_formats_have_no_place_for_states(tmp_path: Path, name: str, version: str) -> None:
    with pytest.raises(UnsupportedError, match=r"no place for a tuned state; write \.pth"):
        save_checkpoint(checkpoint(CONFIGS[version], state=True), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
