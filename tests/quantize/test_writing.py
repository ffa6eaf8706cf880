"""Files: what is written is what was encoded, whole or not at all, with its card."""

import errno
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quantize_models import model_of

import rookery
from rookery.config import VERSIONS
from rookery.errors import NumericError, SettingsError, TokenError
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.quantize import Card, Quality, Text, Texts, card_in, compare, plan, quantize, quantized, recipe
from rookery.tokenizer import WorldTokenizer

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


@pytest.mark.parametrize(
    "bad", ["[1]", "{", '{"a": [1]}', '{"kl_mean": 1%s}' % ("0" * 400), "[" * 100_000, "x" * 100_000]
)
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


@pytest.fixture
def unwritten(monkeypatch):
    """Fails as soon as anything is written."""

    def refuse(*_: object) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr("rookery.quantize.writing._Job.write", refuse)


@pytest.mark.parametrize("threads", [-1, 5000, 1.5])
@pytest.mark.usefixtures("unwritten")
def test_threads_that_cannot_be(tmp_path, goose, threads):
    with pytest.raises(SettingsError, match="threads="):
        quantize(goose, tmp_path / "out.rookery", "q8_0", threads=threads)


@pytest.mark.parametrize("use", ["calibrate", "measure"])
@pytest.mark.usefixtures("unwritten")
def test_a_text_that_cannot_be_read_is_said_before_anything_is_written(tmp_path, goose, use):
    far = WorldTokenizer({1: b"a", 300: b"b"}, "far")
    wordless = saved(tmp_path, "7", vocab=300)
    for source, content, tokenizer, error, words in (
        (goose, b"", None, SettingsError, "a.txt: the text holds no token"),
        (goose, b"aab", far, TokenError, "a.txt: the tokenizer finds token 300 in it, but the model has 256 rows"),
        (wordless, b"abc", None, TokenError, "no known tokenizer has 300 rows"),
    ):
        texts = Texts(**{use: Text(content, "a.txt")}, tokenizer=tokenizer)
        with pytest.raises(error, match=words):
            quantize(source, tmp_path / "out.rookery", "q8_0", texts)


@pytest.mark.parametrize("factor", [1e12, 1e18])
def test_inputs_too_large_to_calibrate_with(tmp_path, factor):
    """Their squares overflow, in one layer or from there on."""
    checkpoint = model_of("7", **SMALL)
    key = "blocks.0.ffn.key.weight"
    x = checkpoint.tensors[key].numpy() * np.float32(factor)
    tensors = checkpoint.tensors | {key: replace(checkpoint.tensors[key], load=lambda: x)}
    save_checkpoint(replace(checkpoint, tensors=tensors), tmp_path / "large.pth")
    with pytest.raises(NumericError, match=r"tensor 'blocks\.[01]\.\S+': the squares of its inputs"):
        quantize(tmp_path / "large.pth", tmp_path / "out.rookery", "q4_0", Texts(Text(b"some text", "x")))
    assert not (tmp_path / "out.rookery").exists()


@pytest.mark.parametrize("measure", [None, Text(b"some text", "x")])
def test_a_full_disk_is_said_of_the_target(tmp_path, goose, monkeypatch, measure):
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("rookery.formats.target.flush", full)
    target = tmp_path / "out.rookery"
    with pytest.raises(SettingsError) as error:
        quantize(goose, target, "q8_0", Texts(measure=measure))
    assert str(error.value).startswith(f"{target}: cannot be written (No space left on device)")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_takes_no_draft(tmp_path, goose, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "somewhere")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(SettingsError, match=r"out\.rookery: cannot be written \(Permission denied\)"):
        quantize(goose, tmp_path / "out.rookery", "q8_0", Texts(measure=Text(b"some text", "x")))


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


@pytest.mark.parametrize("name", ["q8_0", "q4_0", "q5_1", "q6_k", "q4_k", "nf4"])
@pytest.mark.parametrize("calibrate", [False, True])
def test_numbers_beyond_the_scales_are_an_error_not_smaller_numbers(goose, name, calibrate):
    checkpoint = open_checkpoint(goose)
    key = "blocks.1.att.key.weight"
    x = checkpoint.tensors[key].numpy().copy()
    x[3, 5] = -1e30
    tensors = checkpoint.tensors | {key: replace(checkpoint.tensors[key], load=lambda: x)}
    moments = {key: [np.eye(256, dtype=np.float32)]} if calibrate else None
    written = quantized(replace(checkpoint, tensors=tensors), recipe(name), moments)
    with pytest.raises(NumericError, match=r"'blocks\.1\.att\.key\.weight': it holds numbers beyond the range of"):
        written.tensors[key].load()


@pytest.mark.parametrize("name", ["int8", "c4", "c5"])
def test_formats_with_float_scales_hold_large_numbers(goose, name):
    checkpoint = open_checkpoint(goose)
    key = "blocks.1.att.key.weight"
    x = checkpoint.tensors[key].numpy().copy()
    x[3, 5] = -1e30
    tensors = checkpoint.tensors | {key: replace(checkpoint.tensors[key], load=lambda: x)}
    found = quantized(replace(checkpoint, tensors=tensors), recipe(name)).tensors[key].numpy()
    np.testing.assert_allclose(found[3, 5], -1e30, rtol=0.1)


def test_a_perplexity_beyond_all_numbers_is_null_in_the_file(goose):
    card = Card("q8_0", "0" * 32, 1, 8.5, 32.0, quality=Quality(1, 1.0, 1.0, math.inf, math.inf, 1.0))
    values = json.loads(card.metadata()["rookery.quality"], parse_constant=lambda word: pytest.fail(word))
    assert values["perplexity"] is values["source_perplexity"] is None
    assert values["kl_mean"] == 1.0
