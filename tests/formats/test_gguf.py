"""GGUF files against the reference package, in both directions."""

import gguf as reference
import numpy as np
import pytest
from random_models import CONFIGS, arrays, checkpoint

from rookery.config import Config
from rookery.errors import (
    FormatError,
    MissingTensor,
    NumericError,
    SettingsError,
    UnknownTensor,
    UnsupportedError,
)
from rookery.formats import gguf
from rookery.quant import FORMATS

TYPES = reference.GGMLQuantizationType
VERSIONS = ["6", "7"]
WRITTEN = ["F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"]


def expected(version, tensors):
    """The GGUF tensors of a model, as the specification words them (row-major, float32)."""
    out = {
        "token_embd.weight": tensors["emb.weight"],
        "output.weight": tensors["head.weight"],
        "token_embd_norm.weight": tensors["blocks.0.ln0.weight"],
        "token_embd_norm.bias": tensors["blocks.0.ln0.bias"],
        "output_norm.weight": tensors["ln_out.weight"],
        "output_norm.bias": tensors["ln_out.bias"],
    }
    for layer in range(CONFIGS[version].layers):
        t = {n.removeprefix(f"blocks.{layer}."): a for n, a in tensors.items() if n.startswith(f"blocks.{layer}.")}
        b = {
            f"{to}.{x}": t[f"{of}.{x}"]
            for to, of in {"attn_norm": "ln1", "attn_norm_2": "ln2", "time_mix_ln": "att.ln_x"}.items()
            for x in ("weight", "bias")
        }
        for x in ("receptance", "key", "value", "output"):
            b[f"time_mix_{x}.weight"] = t[f"att.{x}.weight"]
        b["channel_mix_key.weight"], b["channel_mix_value.weight"] = t["ffn.key.weight"], t["ffn.value.weight"]
        b |= expected_v6(t) if version == "6" else expected_v7(t, layer)
        out |= {f"blk.{layer}.{name}": array for name, array in b.items()}
    return out


def expected_v6(t):
    return {
        "time_mix_gate.weight": t["att.gate.weight"],
        "channel_mix_receptance.weight": t["ffn.receptance.weight"],
        "channel_mix_lerp_k.weight": t["ffn.time_maa_k"].ravel(),
        "channel_mix_lerp_r.weight": t["ffn.time_maa_r"].ravel(),
        "time_mix_lerp_x.weight": t["att.time_maa_x"].ravel(),
        "time_mix_lerp_fused.weight": np.stack([t[f"att.time_maa_{x}"] for x in "wkvrg"]),
        "time_mix_first.weight": t["att.time_faaaa"],
        "time_mix_decay.weight": t["att.time_decay"].ravel(),
        "time_mix_decay_w1.weight": t["att.time_decay_w1"].T,
        "time_mix_decay_w2.weight": t["att.time_decay_w2"].T,
        "time_mix_w1.weight": t["att.time_maa_w1"].T,
        "time_mix_w2.weight": np.stack([m.T for m in t["att.time_maa_w2"]]),
    }


def expected_v7(t, layer):
    if layer == 0:
        t = t | {f"att.v{i}": t[f"att.a{i}"] for i in range(3)}
    out = {f"time_mix_{x}.weight": t[f"att.{x}"].ravel() for x in ("w0", "a0", "v0", "k_k", "k_a", "r_k")}
    for x in ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"):
        out[f"time_mix_{x}.weight"] = t[f"att.{x}"].T
    out["time_mix_lerp_fused.weight"] = np.stack([t[f"att.x_{x}"] for x in "rwkvag"])
    return out | {"channel_mix_lerp_k.weight": t["ffn.x_k"].ravel()}


def keys_of(version):
    config, name = CONFIGS[version], f"rwkv{version}"
    sizes = {"embedding_length": config.width, "block_count": config.layers, "wkv.head_size": config.head_size}
    return {f"{name}.{key}": size for key, size in sizes.items()}


def made(path, version, tensors, *, types=None, keys=None, architecture=None):
    """A file by the reference package's writer."""
    writer = reference.GGUFWriter(path, architecture or f"rwkv{version}")
    for key, value in (keys_of(version) | (keys or {})).items():
        writer.add_uint32(key, value)
    for name, array in tensors.items():
        kind = (types or {}).get(name, TYPES.F32)
        data = reference.quantize(np.ascontiguousarray(array), kind)
        writer.add_tensor(name, data, raw_dtype=None if kind in (TYPES.F32, TYPES.F16) else kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def value_of(reader, key):
    return reader.get_field(key).contents()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", [None, *WRITTEN])
def test_the_reference_reads_what_we_write(tmp_path, version, dtype):
    tensors = arrays(version)
    gguf.write(checkpoint(tensors), tmp_path / "x.gguf", dtype=dtype)
    reader = reference.GGUFReader(tmp_path / "x.gguf")
    want = expected(version, tensors)
    assert {t.name for t in reader.tensors} == want.keys()
    for tensor in reader.tensors:
        got = reference.dequantize(tensor.data, tensor.tensor_type)
        original = want[tensor.name]
        stored = reference.dequantize(
            reference.quantize(np.ascontiguousarray(original), tensor.tensor_type), tensor.tensor_type
        )
        np.testing.assert_array_equal(got.ravel(), stored.ravel(), err_msg=tensor.name)
        dims = [int(n) for n in tensor.shape]
        assert [n for n in dims[::-1] if n > 1] == [n for n in original.shape if n > 1], tensor.name
        assert tensor.data_offset % 32 == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_quantised_file_mixes_types_as_the_standard_quantiser_does(tmp_path, version):
    tensors = arrays(version)
    tensors["head.weight"] = tensors["head.weight"].astype(np.float16)
    gguf.write(checkpoint(tensors), tmp_path / "x.gguf", dtype="Q8_0")
    types = {t.name: t.tensor_type for t in reference.GGUFReader(tmp_path / "x.gguf").tensors}
    assert types["token_embd.weight"] == types["output.weight"] == TYPES.Q8_0
    matrices = ["receptance", "key", "value", "output"] + (["gate"] if version == "6" else [])
    assert {types[f"blk.1.time_mix_{x}.weight"] for x in matrices} == {TYPES.Q8_0}
    assert {types[f"blk.1.channel_mix_{x}.weight"] for x in ("key", "value")} == {TYPES.Q8_0}
    kept = ["lerp_fused", "w1", "w2", "ln"] + (["first", "decay_w1"] if version == "6" else ["w0", "r_k"])
    assert {types[f"blk.1.time_mix_{x}.weight"] for x in kept} == {TYPES.F32}
    if version == "7":
        assert {types[f"blk.1.time_mix_{x}.weight"] for x in ("a1", "a2", "v1", "g2")} == {TYPES.F16}


def test_rows_that_do_not_divide_stay_float16(tmp_path):
    config = CONFIGS["7"]
    tensors = arrays("7")
    for layer in range(config.layers):
        rng = np.random.default_rng(layer)
        tensors[f"blocks.{layer}.ffn.key.weight"] = rng.standard_normal((100, 64)).astype(np.float32)
        tensors[f"blocks.{layer}.ffn.value.weight"] = rng.standard_normal((64, 100)).astype(np.float32)
    gguf.write(checkpoint(tensors), tmp_path / "x.gguf", dtype="Q4_0")
    back = gguf.read(tmp_path / "x.gguf")
    assert back.tensors["blocks.0.ffn.value.weight"].format == "F16"
    assert back.tensors["blocks.0.ffn.key.weight"].format == "Q4_0"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_keys_are_complete(tmp_path, version):
    gguf.write(checkpoint(arrays(version)), tmp_path / "x.gguf", dtype="F16")
    reader = reference.GGUFReader(tmp_path / "x.gguf")
    config, name = CONFIGS[version], f"rwkv{version}"
    assert value_of(reader, "general.architecture") == name
    assert value_of(reader, "general.file_type") == 1
    for key, want in {
        "context_length": 1048576,
        "embedding_length": config.width,
        "block_count": config.layers,
        "feed_forward_length": config.ffn,
        "wkv.head_size": config.head_size,
        "attention.head_count": 0,
    }.items():
        assert value_of(reader, f"{name}.{key}") == want
    assert value_of(reader, f"{name}.attention.layer_norm_epsilon") == np.float32(1e-5)
    if version == "6":
        assert value_of(reader, "rwkv6.rescale_every_n_layers") == 0
        assert value_of(reader, "rwkv6.time_mix_extra_dim") == 4
        assert value_of(reader, "rwkv6.time_decay_extra_dim") == 6
    else:
        ranks = [value_of(reader, f"rwkv7.attention.{x}_lora_rank") for x in ("decay", "iclr", "gate")]
        assert [*ranks, value_of(reader, "rwkv7.attention.value_residual_mix_lora_rank")] == [8, 4, 6, 12]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_1"])
def test_we_read_what_the_reference_writes(tmp_path, version, kind):
    tensors = arrays(version)
    stored = expected(version, tensors)
    types = {n: TYPES[kind] for n in stored if n.endswith("key.weight") or n.startswith(("token_embd.w", "output.w"))}
    got = gguf.read(made(tmp_path / "x.gguf", version, stored, types=types))
    assert Config.infer({n: t.shape for n, t in got.tensors.items()}) == CONFIGS[version]
    assert got.tensors.keys() == tensors.keys()
    for name, array in tensors.items():
        tensor = got.tensors[name]
        if name.endswith("key.weight") or name in ("emb.weight", "head.weight"):
            assert tensor.format == kind
            array = reference.dequantize(reference.quantize(array, TYPES[kind]), TYPES[kind])
        assert tensor.shape == tensors[name].shape
        np.testing.assert_array_equal(tensor.numpy(), array, err_msg=name)


def test_block_quantised_tensors_are_decoded_where_the_orientation_differs(tmp_path):
    tensors = arrays("7")
    stored = expected("7", tensors)
    types = {f"blk.{i}.time_mix_{x}.weight": TYPES.Q8_0 for i in range(3) for x in ("w1", "a1", "r_k", "lerp_fused")}
    got = gguf.read(made(tmp_path / "x.gguf", "7", stored, types=types)).tensors
    for name in ("att.w1", "att.a1", "att.r_k", "att.x_w", "att.x_g"):
        tensor, want = got[f"blocks.1.{name}"], tensors[f"blocks.1.{name}"]
        assert tensor.format == ("Q8_0" if name.startswith("att.x_") else "F32")
        assert tensor.shape == want.shape
        np.testing.assert_allclose(tensor.numpy(), want, atol=0.02)


def test_older_files_hold_the_shift_vectors_one_by_one(tmp_path):
    tensors = arrays("6")
    stored = expected("6", tensors)
    for layer in range(CONFIGS["6"].layers):
        fused = stored.pop(f"blk.{layer}.time_mix_lerp_fused.weight")
        stored |= {f"blk.{layer}.time_mix_lerp_{x}.weight": fused[i] for i, x in enumerate("wkvrg")}
    got = gguf.read(made(tmp_path / "x.gguf", "6", stored)).tensors
    for name, array in tensors.items():
        np.testing.assert_array_equal(got[name].numpy(), array, err_msg=name)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"])
def test_the_rescaling_of_v6_is_undone_exactly(tmp_path, kind):
    tensors = arrays("6")
    divided = dict(tensors)
    for layer in range(CONFIGS["6"].layers):
        for name in ("att.output.weight", "ffn.value.weight"):
            divided[f"blocks.{layer}.{name}"] = tensors[f"blocks.{layer}.{name}"] / 2 ** (layer // 2)
    stored = expected("6", divided)
    types = {n: TYPES[kind] for n in stored if n.endswith(("mix_output.weight", "mix_value.weight"))}
    path = made(tmp_path / "x.gguf", "6", stored, types=types, keys={"rwkv6.rescale_every_n_layers": 2})
    got = gguf.read(path)
    assert got.metadata["rookery.rescale_undone"] == 2
    for layer in range(CONFIGS["6"].layers):
        for short in ("att.output.weight", "ffn.value.weight"):
            name = f"blocks.{layer}.{short}"
            assert got.tensors[name].format == kind
            as_stored = reference.dequantize(reference.quantize(divided[name], TYPES[kind]), TYPES[kind])
            np.testing.assert_array_equal(got.tensors[name].numpy(), as_stored * 2 ** (layer // 2), err_msg=name)


@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_a_rescaling_that_overflows_is_refused(tmp_path, kind):
    stored = expected("6", arrays("6"))
    name = "blk.4.time_mix_output.weight"
    stored[name] = np.full_like(stored[name], 60000 if kind == "F16" else 127 * 60000)
    path = made(tmp_path / "x.gguf", "6", stored, types={name: TYPES[kind]}, keys={"rwkv6.rescale_every_n_layers": 1})
    with pytest.raises(NumericError, match=r"att\.output"):
        gguf.read(path).tensors["blocks.4.att.output.weight"].load()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dtype", WRITTEN)
def test_a_round_trip_keeps_every_tensor(tmp_path, version, dtype):
    tensors = arrays(version)
    gguf.write(checkpoint(tensors), tmp_path / "a.gguf", dtype=dtype)
    first = gguf.read(tmp_path / "a.gguf")
    gguf.write(first, tmp_path / "b.gguf")
    second = gguf.read(tmp_path / "b.gguf")
    for name in tensors:
        assert second.tensors[name].format == first.tensors[name].format
        np.testing.assert_array_equal(second.tensors[name].load(), first.tensors[name].load(), err_msg=name)


def test_progress_ends_at_the_whole(tmp_path):
    steps = []
    gguf.write(checkpoint(arrays("7")), tmp_path / "x.gguf", progress=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1]
    assert 0 <= (tmp_path / "x.gguf").stat().st_size - steps[-1][1] < 1 << 16


def test_singletons_do_not_matter_to_the_writer(tmp_path):
    tensors = arrays("6")
    folded = {n: a.ravel() if a.shape[:2] == (1, 1) else a for n, a in tensors.items()}
    folded |= {n: a[..., None] for n, a in tensors.items() if n.endswith("time_faaaa")}
    gguf.write(checkpoint(folded), tmp_path / "x.gguf")
    for name, tensor in gguf.read(tmp_path / "x.gguf").tensors.items():
        np.testing.assert_array_equal(tensor.numpy(), tensors[name], err_msg=name)


def test_what_cannot_be_written_is_refused(tmp_path):
    path = tmp_path / "x.gguf"
    whole = arrays("7")
    with pytest.raises(SettingsError, match="Q2_K"):
        gguf.write(checkpoint(whole), path, dtype="Q2_K")
    with pytest.raises(SettingsError, match="q8"):
        gguf.write(checkpoint(whole), path, dtype="q8")
    with pytest.raises(UnsupportedError, match="RWKV 4"):
        gguf.write(checkpoint(arrays("4")), path)
    with pytest.raises(UnknownTensor, match="time_state"):
        gguf.write(checkpoint(whole | {"blocks.0.att.time_state": np.zeros((4, 16, 16), np.float32)}), path)
    with pytest.raises(MissingTensor, match=r"blocks.2.att.v1"):
        gguf.write(checkpoint({n: a for n, a in whole.items() if n != "blocks.2.att.v1"}), path)
    with pytest.raises(SettingsError, match="token 40"):
        gguf.write(checkpoint(whole, vocabulary={40: b"x"}), path)
    large = whole | {"head.weight": whole["head.weight"] * np.float32(1e5)}
    with pytest.raises(NumericError, match=r"output.weight.*BF16"):
        gguf.write(checkpoint(large), path, dtype="F16")
    with pytest.raises(NumericError, match=r"output.weight.*Q8_0"):
        gguf.write(checkpoint(whole | {"head.weight": whole["head.weight"] * np.nan}), path, dtype="Q8_0")
    assert list(tmp_path.iterdir()) == []


def test_other_architectures_and_parts_are_refused(tmp_path):
    path = tmp_path / "x.gguf"
    stored = expected("7", arrays("7"))
    for name in ("llama", "rwkv6qwen2", "arwkv7"):
        with pytest.raises(UnsupportedError, match=f"'{name}'"):
            gguf.read(made(path, "7", stored, architecture=name))
    with pytest.raises(UnsupportedError, match="3 parts"):
        gguf.read(made(path, "7", stored, keys={"split.count": 3}))


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "x.gguf"
    stored = expected("7", arrays("7"))
    extra = np.zeros(4, np.float32)
    with pytest.raises(UnknownTensor, match=r"blk\.3\.attn_norm"):
        gguf.read(made(path, "7", stored | {"blk.3.attn_norm.weight": extra}))
    with pytest.raises(UnknownTensor, match=r"blk\.0\.rope"):
        gguf.read(made(path, "7", stored | {"blk.0.rope.weight": extra}))
    twice = expected("6", arrays("6")) | {"blk.0.time_mix_lerp_w.weight": np.ones(64, np.float32)}
    with pytest.raises(FormatError, match="stored twice"):
        gguf.read(made(path, "6", twice))
    with pytest.raises(FormatError, match="lerp_fused"):
        gguf.read(made(path, "7", stored | {"blk.0.time_mix_lerp_fused.weight": np.ones((5, 64), np.float32)}))
    with pytest.raises(FormatError, match="r_k"):
        gguf.read(made(path, "7", stored | {"blk.0.time_mix_r_k.weight": np.ones(60, np.float32)}))
    with pytest.raises(FormatError, match="head_size is 0"):
        gguf.read(made(path, "7", stored, keys={"rwkv7.wkv.head_size": 0}))
    with pytest.raises(FormatError, match="block_count"):
        gguf.read(made(path, "7", stored, keys={"rwkv7.block_count": 1 << 30}))


def test_element_types_we_do_not_read_are_named(tmp_path):
    path = tmp_path / "x.gguf"
    writer = reference.GGUFWriter(path, "rwkv7")
    for key, value in keys_of("7").items():
        writer.add_uint32(key, value)
    writer.add_tensor("output.weight", np.zeros((2, 84), np.uint8), raw_dtype=TYPES.Q2_K)
    writer.add_tensor("token_embd.weight", np.zeros((2, 84), np.uint8), raw_dtype=TYPES.Q2_K)
    writer.add_tensor("output_norm.weight", np.zeros(84, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(UnsupportedError, match=r"'output.weight' is stored as Q2_K"):
        gguf.read(path)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"output.weight") + len("output.weight") + 4 + 2 * 8  # number of dimensions, dimensions
    assert int.from_bytes(raw[at : at + 4], "little") == TYPES.Q2_K
    raw[at : at + 4] = FORMATS["NF4"].ggml.to_bytes(4, "little")  # ours, no type of GGUF
    path.write_bytes(raw)
    with pytest.raises(UnsupportedError, match=r"'output.weight' is stored as type 1001"):
        gguf.read(path)


def test_long_arrays_are_summed_up(tmp_path):
    gguf.write(checkpoint(arrays("7"), vocabulary={1: b"a"}), tmp_path / "x.gguf")
    metadata = gguf.read(tmp_path / "x.gguf").metadata
    assert metadata["tokenizer.ggml.tokens"][:3] == ["<s>", "a", "[PAD2]"]
    config = CONFIGS["7"]
    tensors = arrays("7") | {n: np.zeros((100, config.width), np.float32) for n in ("emb.weight", "head.weight")}
    gguf.write(checkpoint(tensors, vocabulary={1: b"a"}), tmp_path / "x.gguf")
    assert gguf.read(tmp_path / "x.gguf").metadata["tokenizer.ggml.tokens"] == "array of 100 strings"


def test_sniffing_looks_at_the_content():
    assert gguf.sniff(None, b"GGUF\3\0\0\0")
    assert not gguf.sniff(None, b"PK\3\4")
    assert not gguf.sniff(None, b"GGU")
