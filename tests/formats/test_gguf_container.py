"""The GGUF container reader and files that try to break it."""

import contextlib
import struct
import tracemalloc

import gguf as reference
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_models import arrays, checkpoint

from rookery.errors import FormatError, RookeryError, TruncatedFile, UnsupportedError
from rookery.formats import gguf
from rookery.formats.gguf_container import parse
from rookery.formats.source import Source

reuse = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def string(text):
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(raw)) + raw


def key(name, kind, payload):
    return string(name) + struct.pack("<I", kind) + payload


def tensor(name, dims, kind=0, offset=0):
    return string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def header(keys=(), tensors=(), version=3, counts=None):
    counts = counts or (len(tensors), len(keys))
    return b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(keys) + b"".join(tensors)


def parsed(path, content):
    path.write_bytes(content)
    return parse(Source(path))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    gguf.write(checkpoint(arrays("6"), vocabulary={i: bytes([i]) for i in range(1, 30)}), path, dtype="Q8_0")
    return path.read_bytes()


def read_all(path):
    found = gguf.read(path)
    for tensor in found.tensors.values():
        assert tensor.numpy().shape == tensor.shape


def test_every_type_of_value(tmp_path):
    writer = reference.GGUFWriter(tmp_path / "x.gguf", "any")
    values = {
        "uint8": 200, "int8": -100, "uint16": 60000, "int16": -30000, "uint32": 4000000000, "int32": -2000000000,
        "uint64": 2**63 + 1, "int64": -(2**62), "float32": 1.5, "float64": 0.1, "bool": True, "string": "naïve",
    }  # fmt: skip
    for name, value in values.items():
        getattr(writer, f"add_{name}")(name, value)
    writer.add_array("ints", [1, -2, 3])
    writer.add_array("floats", [0.5, -1.5])
    writer.add_array("bools", [True, False])
    writer.add_array("strings", ["a", "", "ü"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    found = parse(Source(tmp_path / "x.gguf")).metadata
    assert {name: found[name] for name in values} == values
    assert found["ints"].tolist() == [1, -2, 3]
    assert found["floats"].tolist() == [0.5, -1.5]
    assert found["bools"].tolist() == [True, False]
    assert found["strings"] == [b"a", b"", "ü".encode()]


@pytest.mark.parametrize("version", [2, 3])
def test_versions_and_alignment(tmp_path, version):
    content = header([key("general.alignment", 4, struct.pack("<I", 8))], [tensor("t", (3, 2), 0, 8)], version)
    container = parsed(tmp_path / "x", content)
    (entry,) = container.entries
    assert container.version == version
    assert (entry.shape, entry.offset) == ((2, 3), -(-len(content) // 8) * 8 + 8)


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (header(version=1), UnsupportedError, "version 1"),
        (header(version=4), UnsupportedError, "version 4"),
        (header(version=3 << 24), UnsupportedError, "big-endian"),
        (b"GGML" + header()[4:], FormatError, "no GGUF file"),
        (b"GGUF\3", TruncatedFile, "the version"),
        (header(counts=(1 << 60, 0)), FormatError, "tensors"),
        (header(counts=(0, 1 << 60)), FormatError, "keys"),
        (header(counts=(9, 9)), TruncatedFile, "damaged"),
        (header([key("a", 4, b"1234")] * 2), FormatError, "'a' occurs twice"),
        (header([key("a", 13, b"")]), FormatError, "unknown type 13"),
        (header([key("a", 9, struct.pack("<IQ", 14, 1))]), FormatError, "unknown type 14"),
        (header([key("a", 9, struct.pack("<IQ", 9, 1))]), UnsupportedError, "array of arrays"),
        (header([key("a", 9, struct.pack("<IQ", 8, 1 << 40))]), FormatError, "elements"),
        (header([key("a", 9, struct.pack("<IQ", 8, 1 << 20))]), TruncatedFile, "string 0 of 1048576"),
        (header([key("a", 9, struct.pack("<IQ", 8, 2) + string("x"))]), TruncatedFile, "string 1 of 2"),
        (header([key("a", 9, struct.pack("<IQQ", 8, 1, 2**64 - 1))]), TruncatedFile, "string 0"),
        (header([key("a", 9, struct.pack("<IQ", 12, 1 << 22))]), TruncatedFile, "'a'"),
        (header([key("a", 8, struct.pack("<Q", 2**64 - 1))]), FormatError, "bytes"),
        (header([key("a", 7, b"\2")]), FormatError, "bool"),
        (header([key(b"\xff", 4, b"1234")]), FormatError, "UTF-8"),
        (header([struct.pack("<Q", 1 << 40)], counts=(0, 1)), FormatError, "a key"),
        (header([], [tensor("t", ())]), FormatError, "0 dimensions"),
        (header([], [tensor("t", (1,) * 5)]), FormatError, "5 dimensions"),
        (header([], [tensor("t", (4, 0))]), FormatError, "empty"),
        (header([], [tensor("t", (4,)), tensor("t", (4,), 0, 32)]), FormatError, "'t' occurs twice"),
        (header([], [tensor("t", (4,), 0, 33)]), FormatError, "multiple of 32"),
        (header([key("general.alignment", 4, struct.pack("<I", 24))]), FormatError, "power of two"),
        (header([key("general.alignment", 4, struct.pack("<I", 0))]), FormatError, "power of two"),
        (header([key("general.alignment", 8, string("32"))]), FormatError, "power of two"),
        (header([key("general.alignment", 7, b"\1")]), FormatError, "power of two"),
    ],
)
def test_damaged_headers_are_refused(tmp_path, content, error, words):
    with pytest.raises(error, match=words):
        parsed(tmp_path / "x", content)


SIZES = [key(f"rwkv7.{name}", 4, struct.pack("<I", 1)) for name in ("block_count", "wkv.head_size")]
RWKV7 = [key("general.architecture", 8, string("rwkv7")), *SIZES]


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        ([], FormatError, "no tensors"),
        ([tensor("output.weight", (2**63, 2**63))], TruncatedFile, r"'output.weight'"),
        ([tensor("output.weight", (2**63, 2, 2, 2))], TruncatedFile, r"'output.weight'"),
        ([tensor("output.weight", (4,), 0, 2**63)], TruncatedFile, r"'output.weight'"),
        ([tensor("output.weight", (33,), 8)], FormatError, "multiple of 32"),
        ([tensor("output.weight", (4,), 77)], UnsupportedError, "type 77"),
        ([tensor("output.weight", (4,)), tensor("token_embd.weight", (4,))], FormatError, "overlaps"),
        ([tensor("blk.01.attn_norm.weight", (4,))], FormatError, "blk.01"),
        ([tensor("blk.99999999.attn_norm.weight", (4,))], FormatError, "blk.99999999"),
        ([tensor("blk.0.time_mix_w1.weight", (4,))], FormatError, "expected a matrix"),
        ([tensor("blk.0.time_mix_lerp_fused.weight", (4,))], FormatError, "6 rows"),
    ],
)
def test_tensors_that_cannot_be_are_refused(tmp_path, tensors, error, words):
    (tmp_path / "x").write_bytes(header(RWKV7, tensors) + bytes(256))
    with pytest.raises(error, match=words):
        gguf.read(tmp_path / "x")


def test_huge_claims_allocate_nothing(tmp_path):
    claims = [
        header(counts=(1 << 16, 1 << 14)),
        header([key("a", 9, struct.pack("<IQ", 8, 1 << 22))]),
        header([key("a", 9, struct.pack("<IQ", 12, 1 << 22))]),
        header([key("a", 8, struct.pack("<Q", 1 << 24))]),
        header(RWKV7, [tensor("output.weight", (1 << 20, 1 << 20))]),
    ]
    tracemalloc.start()
    for content in claims:
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(RookeryError):
            gguf.read(tmp_path / "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@reuse
@given(data=st.data())
def test_a_truncated_file_is_refused(model, tmp_path, data):
    cut = data.draw(st.integers(1, len(model) - 1))
    (tmp_path / "x").write_bytes(model[:cut])
    with pytest.raises(FormatError):
        gguf.read(tmp_path / "x")


@settings(reuse, max_examples=400)
@given(data=st.data())
def test_flipped_bits_give_an_error_or_a_model(model, tmp_path, data):
    damaged = np.frombuffer(model, np.uint8).copy()
    end = 6000 if data.draw(st.booleans()) else len(model)  # the header is small beside the data
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(4, end - 1))] ^= data.draw(st.integers(1, 255))
    (tmp_path / "x").write_bytes(damaged.tobytes())
    with contextlib.suppress(RookeryError):
        read_all(tmp_path / "x")


@reuse
@given(content=st.binary(max_size=300))
def test_any_bytes_after_the_magic(tmp_path, content):
    (tmp_path / "x").write_bytes(b"GGUF\3\0\0\0" + content)
    with pytest.raises(RookeryError):
        gguf.read(tmp_path / "x")


@reuse
@given(
    counts=st.tuples(st.sampled_from([0, 1, 2, 2**16, 2**63, 2**64 - 1]), st.integers(0, 3)),
    dims=st.lists(st.sampled_from([0, 1, 4, 32, 2**31, 2**63, 2**64 - 1]), max_size=5),
    kind=st.integers(0, 40),
    offset=st.sampled_from([0, 1, 32, 2**31, 2**63, 2**64 - 32]),
)
def test_hostile_descriptors(tmp_path, counts, dims, kind, offset):
    content = header(RWKV7[: counts[1]], [tensor("output.weight", dims, kind, offset)], counts=counts)
    (tmp_path / "x").write_bytes(content + bytes(200))
    with contextlib.suppress(RookeryError):
        read_all(tmp_path / "x")
