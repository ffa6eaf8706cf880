"""`rookery show`."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from goldens import FOLDER
from safetensors.numpy import save_file

import rookery as package

VERSIONS = ["v4", "v5.0", "v5.1", "v5.2", "v6", "v7"]


def _header(path: Path) -> dict:
    """The header of a safetensors file, read by hand."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    header.pop("__metadata__", None)
    return header


@pytest.mark.parametrize("name", VERSIONS)
def test_says_what_a_model_is(rookery, name):
    path = FOLDER / f"{name}.safetensors"
    header = _header(path)
    about = rookery("show", path, "--json").json
    golden = json.loads(str(np.load(FOLDER / f"{name}.npz")["config"]))
    assert about["version"] == golden["version"] == name[1:]
    assert [about[k] for k in ("layers", "width", "ffn", "vocab")] == [
        golden[k] for k in ("layers", "width", "ffn", "vocab")
    ]
    assert about["parameters"] == sum(math.prod(entry["shape"]) for entry in header.values())
    assert about["formats"] == {
        "F16": {"tensors": len(header), "numbers": about["parameters"], "bytes": 2 * about["parameters"]}
    }
    assert about["bits_per_weight"] == 16
    assert about["file_bytes"] == path.stat().st_size
    lanes = {"v4": 3}.get(name, golden["head_size"])
    assert about["state_bytes"] == 4 * golden["layers"] * golden["width"] * (2 + lanes)
    assert about["tokenizer"].startswith("none")


def test_prints_plain_lines_when_piped(rookery, small):
    out = rookery("show", small).out
    assert "RWKV-7 Goose" in out
    assert "bytes (by the size of the vocabulary)" in out
    assert "\x1b" not in out


def test_lists_tensors(rookery):
    path = FOLDER / "v6.safetensors"
    listed = {t["name"]: t for t in rookery("show", path, "--tensors", "--json").json["tensor_list"]}
    header = _header(path)
    assert listed.keys() == header.keys()
    assert listed["emb.weight"]["shape"] == header["emb.weight"]["shape"]
    assert all(t["bytes"] == 2 * math.prod(t["shape"]) for t in listed.values())
    assert "blocks.1.att.time_maa_w2" in rookery("show", path, "--tensors").out


def test_dumps_the_program(rookery, small):
    program = rookery("show", small, "--program", "--json").json["program"]
    assert program["op_counts"]["wkv7"] == 2
    assert program["dump"].count("\nstage ") + 1 == program["stages"]
    assert sum(program["op_counts"].values()) == program["ops"]
    assert "head.weight[256x32 F32]" in rookery("show", small, "--program").out


def test_counts_every_element_type_of_a_mixed_file(rookery, small, tmp_path):
    rookery("convert", small, tmp_path / "m.gguf", "--dtype", "F16")
    about = rookery("show", tmp_path / "m.gguf", "--json").json
    assert set(about["formats"]) == {"F16", "F32"}
    assert 16 < about["bits_per_weight"] < 32
    assert about["metadata"]["general.architecture"] == "rwkv7"


def test_shows_saved_states(rookery, small, tmp_path):
    model = package.load(small)
    _, state = model.forward([1, 2, 3])
    path = tmp_path / "a.state"
    state.save(path)
    about = rookery("show", path, "--json").json
    assert about["format"] == "state"
    assert about["tokens"] == 3
    assert about["model"] == model.fingerprint
    assert about["chain"] == state.chain.hex()
    assert about["state_bytes"] == state.data.nbytes
    assert "tokens read" in rookery("show", path).out
    rookery("show", path, "--tensors").failed("a.state", "--program")


def test_shows_tuned_states(rookery, tmp_path):
    path = tmp_path / "tuned.safetensors"
    save_file({f"blocks.{i}.att.time_state": np.zeros((2, 16, 16), np.float16) for i in range(3)}, path)
    about = rookery("show", path, "--json").json
    assert (about["format"], about["layers"], about["heads"], about["head_size"]) == ("tuned state", 3, 2, 16)
    assert "tuned state" in rookery("show", path).out


def test_refuses_what_is_no_model(rookery, garbage, tmp_path):
    rookery("show", tmp_path / "absent.pth").failed("absent.pth")
    rookery("show", garbage).failed("garbage.pth", "safetensors")
    rookery("show", tmp_path).failed(str(tmp_path))


def test_refuses_a_damaged_state(rookery, small, tmp_path):
    _, state = package.load(small).forward([1])
    path = tmp_path / "a.state"
    state.save(path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    rookery("show", path).failed("a.state", "checksum")


def test_verifies_checksums_numbers_and_fingerprint(rookery, small, tmp_path):
    target = tmp_path / "m.rookery"
    rookery("convert", small, target)
    assert (
        rookery("show", target, "--verify", "--json").json["verified"].endswith("checksums and fingerprint are right")
    )
    assert "every number is finite" in rookery("show", small, "--verify").out
    assert "verified" not in rookery("show", target, "--json").json


def test_says_what_is_damaged(rookery, small, tmp_path):
    target = tmp_path / "m.rookery"
    rookery("convert", small, target)
    raw = bytearray(target.read_bytes())
    raw[-1] ^= 1
    target.write_bytes(raw)
    rookery("show", target, "--verify").failed("m.rookery", "'blocks.0.att.v2'", "checksum")


def test_says_when_a_fingerprint_is_not_that_of_the_numbers(rookery, small, tmp_path, monkeypatch):
    monkeypatch.setattr("rookery.formats.native_writer.combined", lambda *given: "0" * 32)
    rookery("convert", small, tmp_path / "m.rookery")
    rookery("show", tmp_path / "m.rookery", "--verify").failed("m.rookery", "fingerprint")


def test_only_models_can_be_verified(rookery, small, tmp_path):
    package.load(small).initial.save(tmp_path / "s.state")
    rookery("show", tmp_path / "s.state", "--verify").failed("--verify")
