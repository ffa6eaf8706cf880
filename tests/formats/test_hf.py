"""Hugging Face directories, and the names of other runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import CONFIGS, arrays, assert_same, checkpoint

from rookery.errors import FormatError, RookeryError, SettingsError, UnknownTensor, UnsupportedError
from rookery.formats import Checkpoint, Tensor, hf_names, lazy, names, open_checkpoint, save_checkpoint
from rookery.formats.check import checked
from rookery.formats.safetensors import read_tensors
from rookery.formats.safetensors_writer import write_stream
from rookery.formats.stream import Part, Stream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A version 7 directory."""
    save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / "model")
    return tmp_path / "model"


def write(path: Path, tensors: dict[str, Tensor]) -> None:
    stream = Stream({name: Part(t, t.format) for name, t in tensors.items()}, lambda: None, None)
    write_stream(path, stream, {})


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_names_and_shapes_of_version_7(folder: Path) -> None:
    """The state dict of flash-linear-attention's model class, from its documentation."""
    c, n, f, v, ranks = 24, 8, 96, 19, {"w": 5, "a": 6, "v": 7, "g": 10}
    expected: dict[str, tuple[int, ...]] = {"model.embeddings.weight": (v, c), "lm_head.weight": (v, c)}
    norms = ["model.norm", "model.layers.0.pre_norm"]
    for layer in range(3):
        p = f"model.layers.{layer}."
        norms += [p + "attn_norm", p + "ffn_norm", p + "attn.g_norm"]
        expected |= {f"{p}attn.x_{x}": (1, 1, c) for x in "rwkvag"}
        expected |= {f"{p}attn.{x}_proj.weight": (c, c) for x in "rkvo"}
        expected |= {f"{p}attn.k_k": (c,), f"{p}attn.k_a": (c,), f"{p}attn.r_k": (c // n, n)}
        for x, r in ranks.items():
            if x == "v" and layer == 0:
                continue
            expected |= {f"{p}attn.{x}_lora.lora.0.weight": (r, c), f"{p}attn.{x}_lora.lora.2.weight": (c, r)}
            expected |= {} if x == "g" else {f"{p}attn.{x}_lora.lora.2.bias": (c,)}
        expected |= {f"{p}ffn.x_k": (c,), f"{p}ffn.key.weight": (f, c), f"{p}ffn.value.weight": (c, f)}
    expected |= {f"{norm}.{part}": (c,) for norm in norms for part in ("weight", "bias")}
    found, _ = read_tensors(folder / "model.safetensors")
    assert {name: t.shape for name, t in found.items()} == expected
    given = arrays(CONFIGS["7"])
    assert np.array_equal(found["model.layers.1.attn.a_lora.lora.0.weight"].load(), given["blocks.1.att.a1"].T)
    assert np.array_equal(found["model.layers.2.attn.g_lora.lora.2.weight"].load(), given["blocks.2.att.g2"].T)


def test_config_of_version_7(folder: Path) -> None:
    settings = json.loads((folder / "config.json").read_text())
    expected = {
        "architectures": ["RWKV7ForCausalLM"],
        "model_type": "rwkv7",
        "hidden_size": 24,
        "num_hidden_layers": 3,
        "head_dim": 8,
        "num_heads": 3,
        "intermediate_size": 96,
        "vocab_size": 19,
        "norm_eps": 1e-5,
        "norm_bias": True,
        "decay_low_rank_dim": 5,
        "a_low_rank_dim": 6,
        "v_low_rank_dim": 7,
        "gate_low_rank_dim": 10,
        "value_dim": [24, 24, 24],
        "hidden_act": "sqrelu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }
    assert expected.items() <= settings.items()


def test_names_of_version_6(tmp_path: Path) -> None:
    save_checkpoint(checkpoint(CONFIGS["6"]), tmp_path / "model")
    found, _ = read_tensors(tmp_path / "model/model.safetensors")
    assert found["rwkv.embeddings.weight"].shape == (19, 24)
    assert found["head.weight"].shape == (19, 24)
    assert found["rwkv.blocks.0.pre_ln.bias"].shape == (24,)
    assert found["rwkv.blocks.1.attention.time_maa_w2"].shape == (5, 3, 24)
    assert found["rwkv.blocks.1.attention.time_maa_x"].shape == (1, 1, 24)
    assert found["rwkv.blocks.1.feed_forward.receptance.weight"].shape == (24, 24)
    assert json.loads((tmp_path / "model/config.json").read_text())["architectures"] == ["Rwkv6ForCausalLM"]


@pytest.mark.parametrize("version", CONFIGS)
def test_names_go_there_and_back(version: str) -> None:
    there = hf_names.rwkv7_name if version == "7" else hf_names.rwkv6_name
    for name in arrays(CONFIGS[version]):
        assert hf_names.official(there(name)) == name


@pytest.mark.parametrize("version", ["4", "5.2"])
def test_older_versions_spell_the_mixes_out(version: str) -> None:
    long = {"k": "key", "v": "value", "r": "receptance", "g": "gate"}
    given = checkpoint(CONFIGS[version])
    theirs = {}
    for name, tensor in given.tensors.items():
        head, dot, mix = name.rpartition("time_mix_")
        theirs[hf_names.rwkv6_name(f"{head}{dot}{long[mix]}" if dot else name)] = tensor
    assert_same(checked(Checkpoint(Path("x"), "hf", names.official(theirs, "x"))), given)


def test_one_weight_file_opens_alone(folder: Path) -> None:
    found = open_checkpoint(folder / "model.safetensors")
    assert found.format == "safetensors"
    assert_same(found, checkpoint(CONFIGS["7"]), unused=True)


def test_fused_mixes(folder: Path) -> None:
    tensors, _ = read_tensors(folder / "model.safetensors")
    for layer in range(3):
        prefix = f"model.layers.{layer}.attn.x_"
        stack = np.stack([tensors.pop(prefix + x).load() for x in "rwkvag"])
        tensors[prefix + "x"] = lazy.array("F32", stack)
    write(folder / "model.safetensors", tensors)
    assert_same(open_checkpoint(folder), checkpoint(CONFIGS["7"]), unused=True)
    tensors["model.layers.1.attn.x_x"] = lazy.array("F32", np.zeros((5, 1, 1, 24), np.float32))
    write(folder / "model.safetensors", tensors)
    with pytest.raises(FormatError, match=r"attn\.x_x.*expected \(6, 1, 1, width\)"):
        open_checkpoint(folder)


def test_tied_embeddings(folder: Path) -> None:
    tensors, _ = read_tensors(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    write(folder / "model.safetensors", tensors)
    with pytest.raises(FormatError, match=r"head\.weight"):
        open_checkpoint(folder)
    edit(folder / "config.json", tie_word_embeddings=True)
    found = open_checkpoint(folder)
    assert np.array_equal(found.tensors["head.weight"].load(), found.tensors["emb.weight"].load())


def shard(folder: Path) -> dict[str, str]:
    """Split the single file in two; returns the map of the index."""
    tensors, _ = read_tensors(folder / "model.safetensors")
    where = {name: f"model-{1 + i % 2}-of-2.safetensors" for i, name in enumerate(tensors)}
    for file in set(where.values()):
        write(folder / file, {name: t for name, t in tensors.items() if where[name] == file})
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return where


def test_shards(folder: Path) -> None:
    shard(folder)
    found = open_checkpoint(folder)
    assert_same(found, checkpoint(CONFIGS["7"]), unused=True)
    found.release()
    assert found.tensors["emb.weight"].numpy().std() > 0


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/b", "..", "", "a\\b", "x\0y", "\ud800", "gone"])
def test_hostile_shard_names(folder: Path, name: str) -> None:
    where = shard(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where | {"lm_head.weight": name}}))
    with pytest.raises(FormatError, match=r"plain names|is missing") as caught:
        open_checkpoint(folder)
    str(caught.value).encode()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "{" * 5000])
def test_hostile_index(folder: Path, content: str) -> None:
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(FormatError, match=r"index\.json"):
        open_checkpoint(folder)


def test_a_tensor_in_two_shards(folder: Path) -> None:
    shard(folder)
    tensors, _ = read_tensors(folder / "model-1-of-2.safetensors")
    more, _ = read_tensors(folder / "model-2-of-2.safetensors")
    twice = next(iter(tensors))
    write(folder / "model-2-of-2.safetensors", more | {twice: tensors[twice]})
    with pytest.raises(FormatError, match="in another file of the directory too"):
        open_checkpoint(folder)


def test_weights_of_torch(folder: Path) -> None:
    found = open_checkpoint(folder)
    save_checkpoint(found, folder / "pytorch_model.bin", format="pth")
    (folder / "model.safetensors").unlink()
    assert_same(open_checkpoint(folder), found)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"hidden_size": 32}, FormatError, "hidden_size is 32, but the tensors say 24"),
        ({"num_hidden_layers": 4}, FormatError, "num_hidden_layers"),
        ({"vocab_size": "many"}, FormatError, "vocab_size is many"),
        ({"head_dim": 24}, FormatError, "head_dim"),
        ({"intermediate_size": 7}, FormatError, "intermediate_size"),
        ({"model_type": "llama"}, UnsupportedError, "model_type 'llama'"),
        ({"model_type": "rwkv6qwen2"}, UnsupportedError, "model_type"),
        ({"model_type": ["x"]}, UnsupportedError, "model_type"),
        ({"norm_eps": 1e-6}, UnsupportedError, "norm_eps is 1e-06, expected 1e-05"),
        ({"hidden_act": "gelu"}, UnsupportedError, "hidden_act"),
        ({"attn": {"layers": [1]}}, UnsupportedError, "attn is"),
    ],
)
def test_config_must_agree(folder: Path, change: dict[str, Any], error: type[RookeryError], message: str) -> None:
    edit(folder / "config.json", **change)
    with pytest.raises(error, match=message):
        open_checkpoint(folder)


def test_null_sizes_and_no_config(folder: Path) -> None:
    edit(folder / "config.json", intermediate_size=None, num_heads=None)
    open_checkpoint(folder)
    (folder / "config.json").unlink()
    open_checkpoint(folder)


def test_an_attention_layer_is_refused(folder: Path) -> None:
    tensors, _ = read_tensors(folder / "model.safetensors")
    tensors["model.layers.1.attn.q_proj.weight"] = lazy.array("F32", np.zeros((24, 24), np.float32))
    write(folder / "model.safetensors", tensors)
    with pytest.raises(UnknownTensor, match="q_proj"):
        open_checkpoint(folder)


def test_overwriting_keeps_other_files_and_drops_old_shards(folder: Path) -> None:
    shard(folder)
    (folder / "tokenizer.txt").write_text("keep me")
    (folder / "more").mkdir()
    (folder / "more/file").write_text("me too")
    save_checkpoint(checkpoint(CONFIGS["7"], seed=5), folder)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors", "more", "tokenizer.txt"]
    assert (folder / "more/file").read_text() == "me too"
    assert_same(open_checkpoint(folder), checkpoint(CONFIGS["7"], seed=5), unused=True)
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_converting_in_place(folder: Path) -> None:
    found = open_checkpoint(folder)
    save_checkpoint(found, folder, dtype="F16")
    assert open_checkpoint(folder).tensors["emb.weight"].format == "F16"


def test_other_directories_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/diary").write_text("dear")
    with pytest.raises(SettingsError, match="not empty and holds no model"):
        save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / "home")
    with pytest.raises(SettingsError, match="a file; expected a directory"):
        save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / "home/diary", format="hf")
    assert [p.name for p in tmp_path.rglob("*")] == ["home", "diary"]


def swapped(version: str) -> dict[str, Tensor]:
    """A model under the names and in the orientation of web-rwkv's files."""
    given = checkpoint(CONFIGS[version], "F16", state=True)
    marks = ("_w1", "_w2", "time_state", *(f"att.{x}{i}" for x in "wavg" for i in (1, 2)))
    out = {}
    for name, tensor in (given.tensors | given.initial_state).items():
        turned = lazy.transposed(tensor) if any(mark in name for mark in marks) else tensor
        out[name.replace("time_faaaa", "time_first").replace("time_maa", "time_mix")] = turned
    return out


@pytest.mark.parametrize("version", ["5.2", "6", "7"])
def test_web_rwkv_contents(tmp_path: Path, version: str) -> None:
    tensors = swapped(version)
    if version == "5.2":  # nothing to tell the orientation of a state from; it is kept
        tensors |= {n: lazy.transposed(t) for n, t in tensors.items() if "time_state" in n}
    write(tmp_path / "m.st", tensors)
    assert_same(open_checkpoint(tmp_path / "m.st"), checkpoint(CONFIGS[version], "F16", state=True))


def test_web_rwkv_expands_5_1_into_5_2(tmp_path: Path) -> None:
    given = checkpoint(CONFIGS["5.1"])
    tensors = dict(given.tensors)
    for layer in range(2):
        for old, new in (("time_decay", "time_decay"), ("time_faaaa", "time_first")):
            x = tensors.pop(f"blocks.{layer}.att.{old}").load()
            tensors[f"blocks.{layer}.att.{new}"] = lazy.array("F32", np.repeat(x[:, None], 8, 1))
    write(tmp_path / "m.st", tensors)
    found = open_checkpoint(tmp_path / "m.st")
    assert found.config == CONFIGS["5.2"].__class__(**{**_fields("5.2"), "ffn": 96})
    decay = found.tensors["blocks.1.att.time_decay"].load()
    assert np.array_equal(decay[:, 3], given.tensors["blocks.1.att.time_decay"].load())


def _fields(version: str) -> dict[str, Any]:
    config = CONFIGS[version]
    return {name: getattr(config, name) for name in config.__slots__}


def test_two_names_for_one_tensor() -> None:
    tensor = lazy.array("F32", np.zeros(3, np.float32))
    with pytest.raises(FormatError, match="means the same"):
        names.official({"emb.weight": tensor, "_forward_module.emb.weight": tensor}, "x")
