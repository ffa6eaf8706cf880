"""Files: what is written is what was encoded, whole or not at all, with its card."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quantize_models import model_of

import rookery
from rookery.config import VERSIONS
from rookery.errors import NumericError, SettingsError
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.quantize import Text, Texts, card_in, compare, plan, quantize, quantized, recipe

SMALL = {"width": 64, "ffn": 96, "head_size": 16, "vocab": 256}


def saved(folder: Path, version: str, **sizes: int) -> Path:
    path = folder / f"v{version}.pth"
    save_checkpoint(model_of(version, **(SMALL | sizes)), path)
    return path


def same(a, b):
    assert a.tensors.keys() == b.tensors.keys()
    for name, tensor in a.tensors.items():
        assert (tensor.format, tensor.shape) == (b.tensors[name].format, b.tensors[name].shape), name
        np.testing.assert_array_equal(tensor.load(), b.tensors[name].load(), err_msg=name)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["q4_k_m", "q8_0", "q5_1", "bf16", "int8", "nf4", "c4", "c5"])
@pytest.mark.parametrize("suffix", [".safetensors", ".rookery"])
def test_our_own_files_of_every_version(tmp_path, version, name, suffix):
    source = saved(tmp_path, version)
    quantize(source, tmp_path / f"out{suffix}", name)
    written = open_checkpoint(tmp_path / f"out{suffix}")
    same(quantized(open_checkpoint(source), recipe(name)), written)
    logits, _ = rookery.load(written, threads=1).forward([1, 2, 3])
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("version", ["6", "7"])
@pytest.mark.parametrize("name", ["q4_k_m", "q4_0"])
def test_gguf(tmp_path, version, name):
    source = saved(tmp_path, version, width=256, ffn=512)
    quantize(source, tmp_path / "out.gguf", name)
    written, wanted = open_checkpoint(tmp_path / "out.gguf"), quantized(open_checkpoint(source), recipe(name))
    for key, format in plan(open_checkpoint(source).tensors, recipe(name)).items():
        if key in written.tensors and len(written.tensors[key].shape) == 2 and key.endswith(".weight"):
            assert written.tensors[key].format == format, key
            np.testing.assert_array_equal(written.tensors[key].load(), wanted.tensors[key].load(), err_msg=key)


def test_tensors_are_aligned(tmp_path):
    quantize(saved(tmp_path, "7", width=256), tmp_path / "out.safetensors", "q6_k")
    raw = (tmp_path / "out.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    header.pop("__metadata__")
    widths = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}
    assert all((8 + size + e["data_offsets"][0]) % widths[e["dtype"]] == 0 for e in header.values())


@pytest.mark.parametrize("suffix", ["gguf", "safetensors"])
def test_the_card_says_what_can_be_measured_again(tmp_path, goose, text, suffix):
    target = tmp_path / f"out.{suffix}"
    texts = Texts(Text(text, "letters", 200), Text(text[500:], "other letters", 100))
    steps = []
    card = quantize(goose, target, "q4_k", texts, 1, lambda step, done, total: steps.append((step, done, total)))
    assert card_in(open_checkpoint(target).metadata) == card.values()
    assert (card.recipe, card.calibrated, card.measured) == ("q4_k", "letters", "other letters")
    source, model = rookery.load(goose, threads=1), rookery.load(target, threads=1)
    assert card.source == source.fingerprint
    assert card.quality == compare(source, model, [0, *text[500:600]])
    stored = sum(tensor.load().nbytes for tensor in open_checkpoint(target).tensors.values())
    assert card.bytes == stored
    assert list(dict.fromkeys(step for step, *_ in steps)) == ["Calibrating", "Writing", "Measuring"]
    assert all(0 < done <= total for _, done, total in steps)


def test_a_calibrated_file_differs_from_a_plain_one_of_the_same_size(tmp_path, goose, text):
    for name, texts in (("plain", Texts()), ("calibrated", Texts(Text(text, "letters", 200)))):
        quantize(goose, tmp_path / f"{name}.gguf", "q4_k", texts)
    plain, calibrated = (open_checkpoint(tmp_path / f"{name}.gguf") for name in ("plain", "calibrated"))
    key = "blocks.0.ffn.value.weight"
    assert plain.tensors[key].format == calibrated.tensors[key].format
    assert (plain.tensors[key].load() != calibrated.tensors[key].load()).any()


@pytest.mark.parametrize("bad", ["[1]", "{", '{"a": [1]}', "[" * 100_000, "x" * 100_000])
def test_a_damaged_card_is_no_card(bad):
    assert card_in({"rookery.quality": bad}) is None
    assert card_in({}) is None


@pytest.mark.parametrize(
    ("target", "name", "words"),
    [
        ("out.gguf", "q3", "unknown recipe 'q3'"),
        ("out.pth", "q8_0", "written as .gguf, .rookery or .safetensors, not as pth"),
        ("nowhere/out.gguf", "q8_0", "does not exist"),
        ("out.txt", "q8_0", "suffix"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_happens(tmp_path, goose, target, name, words):
    with pytest.raises(SettingsError, match=words):
        quantize(goose, tmp_path / target, name)
    assert list(tmp_path.iterdir()) == []


def test_gguf_has_no_place_for_older_versions(tmp_path):
    source = saved(tmp_path, "4")
    with pytest.raises(SettingsError, match=r"RWKV 4; write a \.rookery or \.safetensors file"):
        quantize(source, tmp_path / "out.gguf", "q8_0")


@pytest.mark.parametrize(("name", "format"), [("int8", "INT8"), ("nf4", "NF4"), ("c4", "C4")])
def test_gguf_has_no_place_for_formats_of_ours(tmp_path, name, format):
    source = saved(tmp_path, "7")
    with pytest.raises(SettingsError, match=rf"no type for {format}; write a \.rookery or \.safetensors file"):
        quantize(source, tmp_path / "out.gguf", name)
    quantize(source, tmp_path / "out.safetensors", name)
    written = open_checkpoint(tmp_path / "out.safetensors")
    with pytest.raises(SettingsError, match=rf"stored as {format}.*choose a dtype"):
        save_checkpoint(written, tmp_path / "out.gguf")
    save_checkpoint(written, tmp_path / "out.gguf", dtype="Q8_0")


def test_an_error_leaves_what_was_there(tmp_path):
    checkpoint = model_of("7", **SMALL)
    x = checkpoint.tensors["head.weight"].numpy().copy()
    x[0, 0] = np.nan
    tensors = checkpoint.tensors | {"head.weight": replace(checkpoint.tensors["head.weight"], load=lambda: x)}
    save_checkpoint(replace(checkpoint, tensors=tensors), tmp_path / "bad.pth")
    target = tmp_path / "out.safetensors"
    target.write_bytes(b"before")
    with pytest.raises(NumericError, match=r"head\.weight"):
        quantize(tmp_path / "bad.pth", target, "q8_0", Texts(measure=Text(b"abcdef", "x")))
    assert target.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.pth", "out.safetensors"]


@pytest.mark.peer
@pytest.mark.parametrize("name", ["q4_k_m", "q5_k", "q6_k", "q8_0", "q4_0"])
def test_llama_cpp_computes_the_same_from_the_file(tmp_path, goose, name):
    llama_cpp = pytest.importorskip("llama_cpp")
    path = tmp_path / "out.gguf"
    quantize(goose, path, name)
    tokens = [1, 50, 80, 200, 3, 9]
    want, _ = rookery.load(path, threads=1).forward(tokens)
    peer = llama_cpp.Llama(str(path), n_ctx=32, logits_all=True, verbose=False, n_threads=1)
    peer.eval(tokens)
    got = np.array(peer.scores[len(tokens) - 1])
    peer.close()
    # It rounds activations to 8 bits as we do, but per 256 where the weights are in such blocks.
    assert np.sqrt(np.mean((got - want) ** 2)) < 0.05 * want.std()
