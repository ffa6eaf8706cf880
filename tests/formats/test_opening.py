"""Opening: which reader, and the checks of names, shapes and types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import CONFIGS, assert_same, checkpoint

from rookery.config import canonical_shapes, shapes
from rookery.errors import FormatError, MissingTensor, RookeryError, UnknownTensor, UnsafeFile, UnsupportedError
from rookery.formats import Checkpoint, Tensor, lazy, open_checkpoint, pth, safetensors, save_checkpoint
from rookery.formats.check import checked

Tensors = dict[str, Tensor]


def zeros(*shape: int) -> Tensor:
    return lazy.array("F32", np.zeros(shape, np.float32))


def model(version: str = "7") -> Checkpoint:
    return checkpoint(CONFIGS[version])


@pytest.mark.parametrize("version", CONFIGS)
def test_config_order_and_canonical_shapes(version: str) -> None:
    found = model(version)
    config = CONFIGS[version]
    assert found.config == config
    wanted = canonical_shapes(config)
    assert list(wanted) == list(shapes(config))
    assert {name: t.shape for name, t in found.tensors.items()} == wanted
    for name, shape in shapes(config).items():
        assert wanted[name] == (shape[-1:] if shape[:2] == (1, 1) else shape)
        assert found.tensors[name].load().shape == wanted[name]


@pytest.mark.parametrize("version", CONFIGS)
def test_lengths_of_one_come_and_go(version: str) -> None:
    """Conversions turn (H,) into (H, 1, 1), (1, 1, C) into (C,), and so on."""
    given = model(version)
    loose = {n: lazy.reshaped(t, (*t.shape, 1, 1) if "time_" in n else t.shape) for n, t in given.tensors.items()}
    loose = {n: lazy.reshaped(t, (1, *t.shape)) if "ln" in n else t for n, t in loose.items()}
    if version == "6":  # the low-rank widths are read off matrices
        loose |= {n: t for n, t in given.tensors.items() if "_w1" in n}
    shuffled = dict(sorted(loose.items(), key=lambda item: hash(item[0])))
    assert_same(checked(Checkpoint(Path("x"), "test", shuffled)), given)


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (lambda t: t.pop("blocks.1.att.key.weight"), MissingTensor, r"'blocks\.1\.att\.key\.weight' of RWKV-7 missing"),
        (lambda t: [t.pop("ln_out.bias"), t.pop("ln_out.weight")], MissingTensor, "and 1 more"),
        (lambda t: t.pop("emb.weight"), MissingTensor, r"'emb\.weight' is missing"),
        (lambda t: t.update(extra=zeros(1)), UnknownTensor, "'extra' is not part of RWKV-7"),
        (lambda t: t.update({"blocks.1.ffn.receptance.weight": zeros(2)}), UnknownTensor, r"RWKV-7"),
        (lambda t: t.update({"ln_out.bias": zeros(25)}), FormatError, r"\(25,\), expected \(24,\)"),
        (lambda t: t.update({"blocks.2.att.w2": zeros(24, 5)}), FormatError, r"\(24, 5\), expected \(5, 24\)"),
        (
            lambda t: t.update({"ln_out.bias": lazy.array("I32", np.zeros(24, np.int32))}),
            FormatError,
            "element type I32",
        ),
        (lambda t: t.update({"blocks.0.att.key.lora_A": zeros(2)}), UnsupportedError, "LoRA adapter"),
        (lambda t: t.update({"blocks.0.att.key.disha": zeros(2)}), UnsupportedError, "DiSHA adapter"),
        (lambda t: t.update({"blocks.0.att.time_state": zeros(3, 8, 8)}), MissingTensor, "1 of 3 blocks"),
        (lambda t: t.update({"blocks.9.att.time_state": zeros(3, 8, 8)}), UnknownTensor, r"blocks\.9"),
        (lambda t: t.update({"blocks.0.att.time_state": zeros(8, 3, 8)}), FormatError, r"expected \(3, 8, 8\)"),
        (lambda t: t.update({"blocks.999999.ln1.bias": zeros(2)}), FormatError, "1000000 blocks or more"),
        (lambda t: t.update({f"blocks.{'9' * 5000}.ln1.bias": zeros(2)}), FormatError, "blocks or more"),
        (lambda t: t.clear(), MissingTensor, r"emb\.weight"),
        (lambda t: t.update({"blocks.0.ffn.s_emb.weight": zeros(2)}), UnsupportedError, "RWKV-7a"),
    ],
)
def test_wrong_tensors(edit: Callable[[Tensors], object], error: type[Exception], message: str) -> None:
    tensors = dict(model().tensors)
    edit(tensors)
    with pytest.raises(error, match=message) as caught:
        checked(Checkpoint(Path("some.pth"), "test", tensors))
    assert type(caught.value) is error
    assert str(caught.value).startswith("some.pth: ")


def test_the_unused_value_residual_may_be_absent_or_odd() -> None:
    tensors = dict(model().tensors)
    del tensors["blocks.0.att.v0"]
    tensors["blocks.0.att.v1"] = zeros(24, 6)
    tensors["blocks.0.att.v2"] = zeros(6, 24)
    found = checked(Checkpoint(Path("x"), "test", tensors))
    assert found.config == CONFIGS["7"]
    assert not any(f"blocks.0.att.v{i}" in found.tensors for i in range(3))


def test_states_are_kept_apart(tmp_path: Path) -> None:
    given = checkpoint(CONFIGS["7"], state=True)
    assert list(given.initial_state) == [f"blocks.{i}.att.time_state" for i in range(3)]
    save_checkpoint(given, tmp_path / "m.pth")
    assert_same(open_checkpoint(tmp_path / "m.pth"), given)


def test_a_state_alone_is_no_model(tmp_path: Path) -> None:
    states = {f"blocks.{i}.att.time_state": zeros(3, 8, 8) for i in range(3)}
    with pytest.raises(FormatError, match="with its `tuned` method or --state"):
        checked(Checkpoint(tmp_path, "test", states))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello", "not a model in a known format"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\x80\x02}q\x00.", "bare pickle"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", r"before 1\.6"),
        (b"PK\x03\x04" + bytes(100), "zip directory at the end of the file is missing"),
        (b"\x10\0\0\0\0\0\0\0{", "ends|file has 9"),
    ],
)
def test_files_that_are_no_models(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(RookeryError, match=message):
        open_checkpoint(tmp_path / "model.pth")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="No such file"):
        open_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(FormatError, match=r"no model\.safetensors"):
        open_checkpoint(str(tmp_path))


@pytest.mark.parametrize("container", ["pth", "safetensors"])
def test_the_content_decides_not_the_name(tmp_path: Path, container: str) -> None:
    path = tmp_path / "model.gguf"
    save_checkpoint(model(), path, format=container)
    assert open_checkpoint(path).format == container


def test_magic_numbers_that_resemble_each_other(tmp_path: Path) -> None:
    """A safetensors header may begin like a pickle, and 123 tensors in a GGUF file look like a brace."""
    text = b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'.ljust(640)
    (tmp_path / "m").write_bytes((640).to_bytes(8, "little") + text)
    with pytest.raises(MissingTensor, match=r"emb\.weight"):
        open_checkpoint(tmp_path / "m")
    assert not safetensors.sniff(tmp_path / "m", b"GGUF\3\0\0\0\x7b\0\0\0\0\0\0\0")


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("small")
    out = {}
    for container in ("pth", "safetensors"):
        save_checkpoint(model(), folder / container, format=container)
        out[container] = (folder / container).read_bytes()
    return out


def opens_or_says_why(path: Path) -> None:
    """Reads everything; only an error of ours, naming the file, is acceptable."""
    try:
        for tensor in open_checkpoint(path).tensors.values():
            tensor.load()
    except RookeryError as error:
        assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("container", ["pth", "safetensors"])
def test_any_truncation_is_an_error(tmp_path: Path, small_files: dict[str, bytes], container: str) -> None:
    data = small_files[container]
    for size in [*range(1, 300), *range(300, len(data), 997), *range(len(data) - 200, len(data))]:
        (tmp_path / "m").write_bytes(data[:size])
        with pytest.raises(RookeryError):
            open_checkpoint(tmp_path / "m")


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.data(), container=st.sampled_from(["pth", "safetensors"]))
def test_flipped_bits(tmp_path: Path, small_files: dict[str, bytes], data: st.DataObject, container: str) -> None:
    damaged = bytearray(small_files[container])
    structure = st.integers(0, 4000) | st.integers(len(damaged) - 4000, len(damaged) - 1)
    for at in data.draw(st.lists(structure | st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / "m").write_bytes(damaged)
    opens_or_says_why(tmp_path / "m")


@FUZZ
@given(data=st.data())
def test_edited_pickles(tmp_path: Path, small_files: dict[str, bytes], data: st.DataObject) -> None:
    """Bytes inside data.pkl replaced, inserted or cut; the zip around it stays whole (checksums are not read)."""
    whole = bytearray(small_files["pth"])
    start, end = whole.index(b"\x80\x02"), whole.index(b"u.PK") + 2
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(start, end - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))[: end - at]
        whole[at : at + len(piece)] = piece
    (tmp_path / "m").write_bytes(whole)
    opens_or_says_why(tmp_path / "m")


@pytest.mark.shared
def test_published_demo_models_are_read_but_are_no_language_models(shared: Path) -> None:
    files = sorted((shared / "fixtures/rwkv_v8_tasks").glob("*.pth"))
    assert files
    for file in files:
        tensors = pth.read_tensors(file)
        logits = [t for n, t in tensors.items() if t.numpy().std() > 0]
        assert len(logits) > len(tensors) // 2
        with pytest.raises((FormatError, UnsupportedError), match=file.name) as caught:
            open_checkpoint(file)
        assert not isinstance(caught.value, UnsafeFile)


@pytest.mark.shared
@pytest.mark.parametrize("version", ["4", "5.0", "5.1", "5.2", "6", "7_N32", "7_N64"])
def test_independent_safetensors_files(shared: Path, version: str) -> None:
    found = open_checkpoint(shared / f"fixtures/official_vectors/v{version}.safetensors")
    assert found.config is not None
    assert found.config.version == version.partition("_")[0]
    assert found.format == "safetensors"
