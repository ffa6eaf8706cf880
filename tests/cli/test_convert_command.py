"""`rookery convert`."""

import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from gguf import GGUFReader
from goldens import FOLDER
from safetensors.numpy import load_file

import rookery as rookery_module
from rookery.errors import FormatError, MissingTensor
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.formats.compare import differences
from rookery.initialise import make_config, random_model

TARGETS = {"pth": "m.pth", "safetensors": "m.safetensors", "gguf": "m.gguf", "hf": "folder", "rookery": "m.rookery"}


@pytest.mark.parametrize("format", TARGETS)
def test_every_format_keeps_the_model(rookery, small, tmp_path, format):
    target = tmp_path / TARGETS[format]
    about = rookery("convert", small, target, "--check", "--json").json
    check = about["check"]
    assert about["format"] == format
    assert check["unchanged"] == check["tensors"] > 50
    assert check["same_fingerprint"]
    back = rookery("convert", target, tmp_path / "back.safetensors", "--check").out
    assert "are the same" in back
    found = load_file(tmp_path / "back.safetensors")
    for name, tensor in open_checkpoint(small).tensors.items():
        if not name.startswith("blocks.0.att.v") or "value" in name:
            np.testing.assert_allclose(found[name].reshape(tensor.shape), tensor.numpy(), rtol=1e-6, err_msg=name)


def test_the_option_decides_before_the_suffix(rookery, small, tmp_path):
    rookery("convert", small, tmp_path / "m.bin", "--to", "safetensors")
    assert open_checkpoint(tmp_path / "m.bin").format == "safetensors"


def test_a_version_in_the_name_of_a_directory_is_no_suffix(rookery, small, tmp_path):
    rookery("convert", small, tmp_path / "rwkv7-0.1B-hf").failed("'.1B-hf'", "--to hf")
    assert rookery("convert", small, tmp_path / "rwkv7-0.1B-hf", "--to", "hf").code == 0
    assert open_checkpoint(tmp_path / "rwkv7-0.1B-hf").format == "hf"


def test_a_state_is_not_a_model(rookery, small, tmp_path):
    rookery_module.load(small).initial.save(tmp_path / "s.state")
    rookery("convert", tmp_path / "s.state", tmp_path / "a.pth").failed("s.state", "this is a state, not a model")


def test_rounds_to_a_smaller_type_and_says_so(rookery, small, tmp_path):
    run = rookery("convert", small, tmp_path / "m.safetensors", "--dtype", "bf16", "--check")
    assert "tensors were rounded" in run.out
    assert "are the same" not in run.out
    assert open_checkpoint(tmp_path / "m.safetensors").tensors["head.weight"].format == "BF16"


def test_gguf_takes_block_formats(rookery, small, tmp_path):
    check = rookery("convert", small, tmp_path / "m.gguf", "--dtype", "Q8_0", "--check", "--json").json["check"]
    assert 0 < check["largest_relative_error"] < 0.01
    rookery("convert", small, tmp_path / "m.pth", "--dtype", "Q8_0").failed("Q8_0", "F32, F16, BF16", "quantize")


def test_says_which_rows_no_block_format_fits(rookery, small, tmp_path):
    assert "note" not in rookery("convert", small, tmp_path / "whole.gguf", "--dtype", "Q8_0", "--json").json
    about = rookery("convert", small, tmp_path / "narrow.gguf", "--dtype", "Q4_K", "--json").json
    assert "rows of 32 and 128 numbers became F16" in about["note"]
    assert open_checkpoint(tmp_path / "narrow.gguf").tensors["head.weight"].format == "F16"


def test_gguf_of_a_world_model_carries_the_vocabulary(rookery, worldly, tmp_path):
    assert rookery("convert", worldly, tmp_path / "m.gguf").code == 0
    reader = GGUFReader(tmp_path / "m.gguf")
    assert reader.fields["tokenizer.ggml.model"].contents() == "rwkv"
    assert len(reader.fields["tokenizer.ggml.tokens"].data) == 65536
    assert rookery("tokenize", "--ids", "--model", tmp_path / "m.gguf", "Hello world").out == "33155 40213\n"


@pytest.mark.parametrize("target", ["m.pth", "m.safetensors", "folder"])
def test_says_when_a_vocabulary_is_left_behind(rookery, tmp_path, target):
    config = make_config("7", layers=1, width=32, vocab=40, head_size=16)
    own = replace(random_model(config, 1), vocabulary={1: b"a", 2: b"b"})
    save_checkpoint(own, tmp_path / "own.gguf")
    assert "own vocabulary (2 tokens)" in rookery("convert", tmp_path / "own.gguf", tmp_path / target).out
    about = rookery("convert", tmp_path / "own.gguf", tmp_path / target, "--force", "--json").json
    assert "--tokenizer" in about["note"]
    for same in ("again.gguf", "m.rookery"):
        assert "note" not in rookery("convert", tmp_path / "own.gguf", tmp_path / same, "--json").json
        assert open_checkpoint(tmp_path / same).vocabulary == {1: b"a", 2: b"b"}


def test_a_known_vocabulary_is_not_missed(rookery, small, worldly, tmp_path):
    for model in (small, worldly):
        rookery("convert", model, tmp_path / "m.gguf", "--force")
        assert "note" not in rookery("convert", tmp_path / "m.gguf", tmp_path / "m.pth", "--force", "--json").json


def test_replaces_only_when_told(rookery, small, tmp_path):
    target = tmp_path / "m.pth"
    target.write_bytes(b"precious")
    rookery("convert", small, target).failed("m.pth", "--force")
    assert target.read_bytes() == b"precious"
    assert rookery("convert", small, target, "--force").code == 0
    assert open_checkpoint(target).config is not None


def test_never_writes_onto_its_source(rookery, small, tmp_path):
    source = tmp_path / "m.pth"
    shutil.copy(small, source)
    rookery("convert", source, source, "--force").failed("m.pth", "another place")


def test_looks_for_space_first(rookery, small, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    rookery("convert", small, tmp_path / "m.pth").failed("m.pth", "1 bytes", "free")
    assert not (tmp_path / "m.pth").exists()


def test_refuses_in_one_sentence(rookery, small, garbage, tmp_path):
    rookery("convert", garbage, tmp_path / "m.pth").failed("garbage.pth")
    rookery("convert", tmp_path / "absent", tmp_path / "m.pth").failed("absent")
    rookery("convert", small, tmp_path / "m.doc").failed("'.doc'", "gguf, hf, pth, rookery, safetensors")
    rookery("convert", small, tmp_path / "m.pth", "--to", "word").failed("'word'")
    rookery("convert", small, tmp_path / "m.pth", "--dtype", "F8").failed("'F8'")
    rookery("convert", small, tmp_path / "no" / "m.pth").failed("does not exist")
    rookery("convert", FOLDER / "v4.safetensors", tmp_path / "m.gguf").failed("RWKV 4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["garbage.pth"]


@pytest.mark.parametrize("target", ["m.gguf", "m.safetensors"])
def test_a_quantised_native_file_goes_back_as_it_is(rookery, small, tmp_path, target):
    assert rookery("quantize", small, tmp_path / "q.rookery", "--recipe", "q5_0", "--no-measure").code == 0
    check = rookery("convert", tmp_path / "q.rookery", tmp_path / target, "--check", "--json").json["check"]
    assert check["unchanged"] == check["tensors"]
    assert check["same_fingerprint"]
    rookery("convert", tmp_path / "q.rookery", tmp_path / "m.pth").failed("is stored as Q", "choose a dtype")


def test_the_check_finds_a_changed_number(small):
    before, after = open_checkpoint(small), open_checkpoint(small)
    tensor = after.tensors["blocks.1.att.key.weight"]
    changed = tensor.load().copy()
    changed[-1, -1] += 1e-3
    after.tensors["blocks.1.att.key.weight"] = replace(tensor, load=lambda: changed)
    with pytest.raises(FormatError, match=r"blocks\.1\.att\.key\.weight"):
        differences(before, after)
    assert set(differences(before, before).values()) == {0.0}


def test_the_check_finds_a_missing_tensor(small):
    after = open_checkpoint(small)
    del after.tensors["head.weight"]
    with pytest.raises(MissingTensor, match=r"head\.weight"):
        differences(open_checkpoint(small), after)


def test_another_dtype_leaves_the_quality_card_behind(rookery, small, tmp_path):
    quantised, wide = tmp_path / "q.rookery", tmp_path / "wide.rookery"
    rookery("quantize", small, quantised, "--no-measure")
    rookery("convert", quantised, tmp_path / "same.rookery")
    rookery("convert", quantised, wide, "--dtype", "F32")
    assert rookery("show", tmp_path / "same.rookery", "--json").json["quality"]
    assert rookery("show", wide, "--json").json["quality"] is None
