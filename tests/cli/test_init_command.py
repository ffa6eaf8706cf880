"""`rookery init`."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from rookery.formats import open_checkpoint
from rookery.initialise import released_config

SIZES = ("--layers", 2, "--width", 32, "--vocab", 50)


@pytest.mark.parametrize("version", ["4", "5.0", "5.1", "5.2", "6", "7"])
def test_creates_every_version(rookery, tmp_path, version):
    path = tmp_path / "m.safetensors"
    heads = () if version == "4" else ("--head-size", 16)
    about = rookery("init", path, "--version", version, *SIZES, *heads, "--random", "--json").json
    config = open_checkpoint(path).config
    assert (config.version, config.layers, config.width, config.vocab) == (version, 2, 32, 50)
    assert about["parameters"] == sum(np.prod(t.shape) for t in open_checkpoint(path).tensors.values())


@pytest.mark.parametrize("name", ["m.pth", "m.gguf", "folder"])
def test_the_suffix_decides_the_format(rookery, tmp_path, name):
    run = rookery("init", tmp_path / name, *SIZES, "--head-size", 8, "--ffn", 40, "--dtype", "bf16")
    assert run.code == 0
    assert f"next: rookery show {tmp_path / name}" in run.out
    assert open_checkpoint(tmp_path / name).config.ffn == 40


def test_the_next_command_works(rookery, tmp_path):
    for vocab, command in ((256, "run"), (50, "show")):
        path = tmp_path / f"{vocab}.pth"
        sizes = ("--layers", 1, "--width", 16, "--head-size", 8, "--vocab", vocab)
        run = rookery("init", path, *sizes, "--random")
        assert f"next: rookery {command} {path}" in run.out
        assert rookery(*run.out.split("next: rookery ")[1].replace("'", "").split()[:2], "a").code in (0, 2)


def test_a_released_size_in_small_letters():
    assert released_config("7", "0.1b") == released_config("7", "0.1B")


def test_equal_seeds_make_equal_models(rookery, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert rookery("init", tmp_path / f"{name}.pth", *SIZES, "--head-size", 8, "--seed", seed).code == 0
    a, b, c = (open_checkpoint(tmp_path / f"{x}.pth").tensors["emb.weight"].numpy() for x in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_new_and_random_weights_differ(rookery, tmp_path):
    rookery("init", tmp_path / "new.pth", *SIZES, "--head-size", 8)
    rookery("init", tmp_path / "random.pth", *SIZES, "--head-size", 8, "--random")
    new, other = (open_checkpoint(tmp_path / f"{x}.pth").tensors for x in ("new", "random"))
    assert not new["blocks.0.att.w1"].numpy().any()
    assert other["blocks.0.att.w1"].numpy().all()


def test_the_option_decides_before_the_suffix(rookery, tmp_path):
    path = tmp_path / "rwkv7-0.1B-hf"
    rookery("init", path, *SIZES, "--head-size", 8).failed("'.1B-hf'", "--to hf")
    assert rookery("init", path, *SIZES, "--head-size", 8, "--to", "hf").code == 0
    assert open_checkpoint(path).format == "hf"


def test_looks_for_space_first(rookery, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    rookery("init", tmp_path / "m.pth", *SIZES, "--head-size", 8).failed("m.pth", "1 bytes", "free")
    assert list(tmp_path.iterdir()) == []


def test_refuses_in_one_sentence(rookery, tmp_path):
    path = tmp_path / "m.pth"
    rookery("init", path).failed("--layers", "--size")
    rookery("init", path, *SIZES, "--version", "9").failed("'9'")
    rookery("init", path, *SIZES, "--head-size", 1).failed("--head-size is 1")
    rookery("init", path, "--size", "1T").failed("'1T'", "0.1B")
    rookery("init", path, "--size", "0.1B", "--layers", 3).failed("--size 0.1B")
    rookery("init", path, *SIZES, "--head-size", 5).failed("--head-size 5", "32")
    rookery("init", path, *SIZES, "--head-size", 8, "--dtype", "Q8_0").failed("Q8_0")
    rookery("init", path, *SIZES, "--head-size", 8, "--seed", -1).failed("seed")
    rookery("init", tmp_path / "m.xyz", *SIZES, "--head-size", 8).failed(".xyz")
    rookery("init", tmp_path / "m.gguf", *SIZES, "--version", "4").failed("RWKV 4")
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"precious")
    rookery("init", path, *SIZES, "--head-size", 8).failed("--force")
    assert path.read_bytes() == b"precious"
    assert rookery("init", path, *SIZES, "--head-size", 8, "--force").code == 0
