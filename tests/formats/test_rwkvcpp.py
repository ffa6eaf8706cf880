"""rwkv.cpp files: everything its converter does is undone; damaged files are refused."""

import contextlib
import struct

import gguf as reference
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import CONFIGS, arrays

from rookery.config import Config, optional, shapes
from rookery.errors import FormatError, NumericError, RookeryError, TruncatedFile, UnsupportedError
from rookery.formats import rwkvcpp

MAGIC = 0x67676D66
CODES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 7, "Q5_1": 8, "Q8_0": 9}
reuse = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def record(name, array, code=0, dims=None):
    dims = array.shape[::-1] if dims is None else dims
    raw = name if isinstance(name, bytes) else name.encode()
    return struct.pack(f"<3i{len(dims)}i", len(dims), len(raw), code, *dims) + raw + array.tobytes()


def file(records, config, version=101, code=0):
    return struct.pack("<6i", MAGIC, version, config.vocab, config.width, config.layers, code) + b"".join(records)


def converted(version, tensors):
    """What the converter makes of a model, as the specification words it."""
    heads = CONFIGS[version].heads
    out = {}
    for name, x in tensors.items():
        short = name.split(".", 2)[-1]
        if ".time_" in name:
            x = x.squeeze()
        if version == "4" and short == "att.time_decay":
            x = -np.exp(x)
        if version[0] == "5" and short == "att.time_decay":
            x = np.exp(-np.exp(x)).reshape(heads, -1, 1)
        if version[0] == "5" and short == "att.time_first":
            x = np.exp(x).reshape(heads, 1, 1)
        if short == "att.time_faaaa":
            x = x.reshape(heads, -1, 1)
        if version == "6" and short == "att.time_decay":
            x = x.reshape(heads, -1, 1)
        if short in ("att.time_maa_w1", "att.time_decay_w1", "att.time_decay_w2"):
            x = x.T
        if short == "att.time_maa_w2":
            x = x.swapaxes(1, 2)
        if version == "7" and short.removeprefix("att.") in ("w1", "w2", "a1", "a2", "v1", "v2", "g1", "g2"):
            x = x.T
        if version == "7" and short == "att.x_r":
            base = name.removesuffix("r")
            name, x = base + "rwkvag", np.concatenate([tensors[base + y] for y in "rwkvag"])
        elif version == "7" and short.startswith("att.x_"):
            continue
        out[name] = np.ascontiguousarray(x, np.float32)
    return out


def model(version, quant=None):
    records = []
    for name, x in converted(version, arrays(version)).items():
        if quant and x.ndim == 2 and name.endswith("key.weight"):
            data = reference.quantize(x, reference.GGMLQuantizationType[quant])
            records.append(record(name, data, CODES[quant], x.shape[::-1]))
        else:
            records.append(record(name, x))
    return file(records, CONFIGS[version])


def written(path, content):
    path.write_bytes(content)
    return path


def read_all(path):
    for tensor in rwkvcpp.read(path).tensors.values():
        assert tensor.numpy().shape == tensor.shape


@pytest.mark.parametrize("version", list(CONFIGS))
def test_the_conversion_is_undone(tmp_path, version):
    got = rwkvcpp.read(written(tmp_path / "x.bin", model(version)))
    want = arrays(version)
    assert got.tensors.keys() == want.keys()
    assert Config.infer({n: t.shape for n, t in got.tensors.items()}) == CONFIGS[version]
    for name, array in want.items():
        tensor = got.tensors[name]
        assert tensor.shape == array.shape, name
        assert tensor.load().flags.aligned
        if name.endswith(("time_decay", "time_first")):
            np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-5, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_array_equal(tensor.numpy(), array, err_msg=name)


@pytest.mark.parametrize("quant", ["F16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_element_types(tmp_path, quant):
    got = rwkvcpp.read(written(tmp_path / "x.bin", model("6", quant))).tensors
    kind = reference.GGMLQuantizationType[quant]
    for name, array in arrays("6").items():
        if name.endswith("key.weight"):
            assert got[name].format == quant
            array = reference.dequantize(reference.quantize(array, kind), kind)
        np.testing.assert_array_equal(got[name].numpy(), array, err_msg=name)


def test_extreme_decays_survive(tmp_path):
    tensors = converted("5.2", arrays("5.2"))
    name = "blocks.0.att.time_decay"
    decay = np.linspace(-9, 4, tensors[name].size, dtype=np.float32).reshape(tensors[name].shape)
    tensors[name] = np.exp(-np.exp(decay.astype(np.float64))).astype(np.float32)
    tensors[name].flat[:2] = 0, 1
    content = file([record(n, x) for n, x in tensors.items()], CONFIGS["5.2"])
    got = rwkvcpp.read(written(tmp_path / "x.bin", content)).tensors[name].numpy()
    assert np.isfinite(got).all()  # else the model would be refused
    again = np.exp(-np.exp(got.astype(np.float64))).astype(np.float32)
    np.testing.assert_allclose(again, tensors[name][..., 0], rtol=1e-5)


def test_logarithms_of_nothing_are_finite(tmp_path):
    for version, name in (("5.0", "time_first"), ("4", "time_decay")):
        tensors = converted(version, arrays(version))
        tensors[f"blocks.0.att.{name}"].flat[:2] = 0, 1 if name == "time_first" else -1
        content = file([record(n, x) for n, x in tensors.items()], CONFIGS[version])
        got = rwkvcpp.read(written(tmp_path / "x.bin", content)).tensors[f"blocks.0.att.{name}"].numpy()
        assert np.isfinite(got).all()
        assert np.exp(got).flat[0] == 0
        assert got.flat[1] == 0


def test_an_impossible_decay_is_refused(tmp_path):
    tensors = converted("4", arrays("4"))
    tensors["blocks.1.att.time_decay"][3] = 0.5
    content = file([record(n, x) for n, x in tensors.items()], CONFIGS["4"])
    got = rwkvcpp.read(written(tmp_path / "x.bin", content)).tensors
    with pytest.raises(NumericError, match=r"blocks\.1\.att\.time_decay"):
        got["blocks.1.att.time_decay"].numpy()


EMB = record("emb.weight", np.zeros((40, 32), np.float32))
HEAD = record("head.weight", np.zeros((40, 32), np.float32))
ONE = np.zeros(4, np.float32)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (b"GGUF" + bytes(40), FormatError, "magic"),
        (file([], CONFIGS["4"])[:20], TruncatedFile, "header"),
        (file([], CONFIGS["4"], version=99), UnsupportedError, "version 99"),
        (file([], CONFIGS["4"], version=102), UnsupportedError, "version 102"),
        (file([], CONFIGS["4"], code=5), UnsupportedError, "Q4_2"),
        (file([], CONFIGS["4"], code=11), UnsupportedError, "Q2_K"),
        (file([], CONFIGS["4"], code=17), FormatError, "data type 17"),
        (file([], CONFIGS["4"], version=100, code=8), UnsupportedError, "version 100"),
        (struct.pack("<6i", MAGIC, 101, -1, 32, 2, 0), FormatError, "impossible"),
        (struct.pack("<6i", MAGIC, 101, 40, 32, 2**31 - 1, 0) + EMB + HEAD, FormatError, "2147483647 blocks"),
        (file([], CONFIGS["4"]), TruncatedFile, r"head\.weight"),
        (file([HEAD], CONFIGS["4"]), FormatError, r"emb\.weight"),
        (file([EMB, HEAD], CONFIGS["4"]), FormatError, "2 blocks"),
        (file([EMB, EMB], CONFIGS["4"]), FormatError, "twice"),
        (file([EMB, HEAD, record("blocks.7.x", ONE)], CONFIGS["4"]), FormatError, "2 blocks"),
        (file([record("t", ONE, 0, (-4,))], CONFIGS["4"]), FormatError, "impossible shape"),
        (file([record("t", ONE, 0, (0,))], CONFIGS["4"]), FormatError, "impossible shape"),
        (file([record("t", ONE, 0, (2**31 - 1,) * 4)], CONFIGS["4"]), TruncatedFile, "'t'"),
        (file([record("t", ONE, 9, (4,))], CONFIGS["4"]), FormatError, "multiple of 32"),
        (file([record("t", ONE, 6)], CONFIGS["4"]), UnsupportedError, "Q4_3"),
        (file([record("t", ONE, -3)], CONFIGS["4"]), FormatError, "data type -3"),
        (file([record(b"\xff", ONE)], CONFIGS["4"]), FormatError, "ASCII"),
        (file([struct.pack("<3i", 1, -1, 0)], CONFIGS["4"]), FormatError, "name of -1"),
        (file([struct.pack("<3i", 9, 1, 0)], CONFIGS["4"]), FormatError, "9 dimensions"),
        (file([struct.pack("<3i", 1, 9, 0)], CONFIGS["4"]), TruncatedFile, "dimensions"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, error, words):
    with pytest.raises(error, match=words):
        rwkvcpp.read(written(tmp_path / "x.bin", content))


@pytest.mark.parametrize("version", ["4", "7"])
@reuse
@given(data=st.data())
def test_a_truncated_file_is_refused(tmp_path, version, data):
    whole = model(version)
    with pytest.raises(FormatError):
        rwkvcpp.read(written(tmp_path / "x.bin", whole[: data.draw(st.integers(1, len(whole) - 1))]))


@pytest.mark.parametrize("version", ["5.0", "6", "7"])
@reuse
@given(data=st.data())
def test_flipped_bits_give_an_error_or_a_model(tmp_path, version, data):
    damaged = np.frombuffer(model(version, "Q5_1"), np.uint8).copy()
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(4, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(RookeryError):
        read_all(written(tmp_path / "x.bin", damaged.tobytes()))


@reuse
@given(content=st.binary(max_size=200))
def test_any_bytes_after_the_header(tmp_path, content):
    with pytest.raises(RookeryError):
        rwkvcpp.read(written(tmp_path / "x.bin", file([], CONFIGS["7"]) + content))


def test_sniffing_looks_at_the_content():
    assert rwkvcpp.sniff(None, b"fmgg\x65\0\0\0")
    assert not rwkvcpp.sniff(None, b"GGUF")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "version", "kind"),
    [
        ("4v0-660K-FP32", "4", "F32"),
        ("4v0-660K-FP16", "4", "F16"),
        ("5v2-730K-FP32", "5.2", "F32"),
        ("5v2-730K-FP16", "5.2", "F16"),
        ("6v0-3m-Q5_1", "6", "Q5_1"),
        ("7v0-834K-FP32", "7", "F32"),
        ("7v0-834K-FP16", "7", "F16"),
        ("7v0-834K-Q5_1", "7", "Q5_1"),
    ],
)
def test_trained_models_are_complete(shared, name, version, kind):
    found = rwkvcpp.read(shared / f"fixtures/rwkv_cpp_tiny/tiny-rwkv-{name}.bin")
    got = {n: t.shape for n, t in found.tensors.items()}
    config = Config.infer(got)
    assert config.version == version
    assert got == {n: s for n, s in shapes(config).items() if n in got or not optional(n)}
    assert found.tensors["blocks.1.att.key.weight"].format == kind
    for tensor in found.tensors.values():
        assert np.isfinite(tensor.numpy()).all()
