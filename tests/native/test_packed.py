"""Matrices in the kernels' layout: as docs/weight-layouts.md says, and back bit for bit."""

import hashlib

import numpy as np
import pytest

from rookery import _native
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS

GROUP = 32
SIZES = [1, 31, 32, 33, 70]

# Of packed random blocks.  A change here means that files written before can no longer be read: raise
# `layout_revision` in src/native/blocks.cc for the format, then put the new digest here.
REVISIONS = {
    "F32": (1, "60053f28"),
    "F16": (1, "920e5177"),
    "BF16": (1, "920e5177"),
    "Q8_0": (1, "d83494ed"),
    "Q4_0": (1, "925dc7ac"),
    "Q4_1": (1, "f59c6036"),
    "Q5_0": (1, "ae5dbc7a"),
    "Q5_1": (1, "419695af"),
    "Q4_K": (1, "e2a571c9"),
    "Q5_K": (1, "371886d9"),
    "Q6_K": (1, "c181b697"),
    "INT8": (1, "f5237528"),
    "NF4": (1, "65f56e53"),
    "C4": (1, "86c6d917"),
    "C5": (1, "580c64ad"),
}


def columns(name):
    return 3 * FORMATS[name].block if FORMATS[name].block > 1 else 37


def stored(name, rows, seed=0):
    """Random rows in a format, as bytes; every scale is finite."""
    kind = FORMATS[name]
    x = np.random.default_rng(seed).standard_normal((rows, columns(name))).astype(np.float32)
    x[:, ::7] *= 50  # scales that differ
    return np.ascontiguousarray(kind.encode(x)).view(np.uint8).reshape(rows, -1)


def packed(name, rows):
    return _native.pack(FORMATS[name].ggml, rows, columns(name))


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("name", FORMATS)
def test_unpacking_is_the_inverse(name, rows):
    before = stored(name, rows)
    data = packed(name, before)
    assert data.size == -(-rows // GROUP) * _native.group_bytes(FORMATS[name].ggml, columns(name))
    after = _native.unpack(FORMATS[name].ggml, data, rows, columns(name))
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("name", [n for n in FORMATS if n in LAYOUTS])
def test_any_codes_survive(name):
    """Random bytes but for the scales: every code and every 6-bit scale occurs."""
    blocks = np.random.default_rng(1).integers(0, 256, (64, 3 * LAYOUTS[name].itemsize), np.uint8)
    view = blocks.view(LAYOUTS[name])
    for field, (dtype, *_) in LAYOUTS[name].fields.items():
        if dtype.kind == "f":
            view[field] = np.random.default_rng(2).standard_normal(view.shape)
    after = _native.unpack(FORMATS[name].ggml, packed(name, blocks), 64, columns(name))
    np.testing.assert_array_equal(after, blocks)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("name", ["F32", "F16", "BF16"])
def test_dense_numbers_lie_as_described(name, rows):
    kind, cols = FORMATS[name], columns(name)
    before = stored(name, rows).view(f"u{kind.nbytes}")
    whole = np.zeros((-(-rows // GROUP) * GROUP, cols), before.dtype)
    whole[:rows] = before
    expected = whole.reshape(-1, GROUP, cols).transpose(0, 2, 1)
    np.testing.assert_array_equal(packed(name, stored(name, rows)).view(before.dtype), expected.reshape(-1))


def nibbles(codes):
    """(32 rows, 32 codes) -> 4 vectors of 128 bytes."""
    quads = codes.reshape(GROUP, 4, 2, 4)  # row, vector, half, input
    return (quads[:, :, 0] | quads[:, :, 1] << 4).transpose(1, 0, 2)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "Q4_1"])
def test_units_lie_as_described(name):
    rows = stored(name, GROUP)
    blocks = rows.view(LAYOUTS[name]).reshape(GROUP, -1)
    units = []
    for i in range(blocks.shape[1]):
        block = blocks[:, i]
        scales = [block[field].tobytes() for field in ("d", "m") if field in LAYOUTS[name].names]
        if name == "Q8_0":
            codes = (block["qs"].astype(int) + 128).astype(np.uint8).reshape(GROUP, 8, 4).transpose(1, 0, 2)
        else:
            codes = nibbles(np.concatenate([block["qs"] & 15, block["qs"] >> 4], axis=1))
        units += [*scales, codes.tobytes()]
    whole = b"".join(units)
    assert packed(name, rows).tobytes() == whole.ljust(-(-len(whole) // 64) * 64, b"\0")


@pytest.mark.parametrize("name", REVISIONS)
def test_a_layout_does_not_change_unnoticed(name):
    kind = FORMATS[name]
    size = kind.row_bytes(columns(name))
    mixed = np.arange(40 * size, dtype=np.uint64) ** 2 * 2654435761 >> 13
    blocks = (mixed & 0x7B).astype(np.uint8).reshape(40, size)  # no scale has an exponent of all ones
    digest = hashlib.sha256(packed(name, blocks).tobytes()).hexdigest()[:8]
    assert (_native.layout_revision(kind.ggml), digest) == REVISIONS[name]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", [n for n, kind in FORMATS.items() if n in LAYOUTS or kind.block == 1])
def test_what_is_not_finite_is_not_packed(name, bad):
    rows = stored(name, 40).copy()
    if name in LAYOUTS:
        first = next(field for field, (dtype, *_) in LAYOUTS[name].fields.items() if dtype.kind == "f")
        rows.view(LAYOUTS[name])[first][39, 2] = bad
    elif name == "BF16":
        rows.view(np.uint16)[39, 5] = np.float32(bad).view(np.uint32) >> 16
    else:
        rows.view(f"f{FORMATS[name].nbytes}")[39, 5] = bad
    with pytest.raises(ArithmeticError, match="NaN or infinity"):
        packed(name, rows)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", [n for n, kind in FORMATS.items() if kind.head])
def test_scales_of_rows_are_finite(name, bad):
    rows = stored(name, 40).copy()
    rows[39, : FORMATS[name].head] = np.array([bad], "<f4").view(np.uint8)
    with pytest.raises(ArithmeticError, match="NaN or infinity"):
        packed(name, rows)


def reference(data: bytes, piece: int, before: int = 0) -> int:
    """The checksum of docs/native-file.md."""
    bits = 0xFFFFFFFFFFFFFFFF

    def step(total: int, word: int) -> int:
        x = total ^ word
        return ((x << 31 | x >> 33) & bits) * 0x9E3779B185EBCA87 & bits

    for at in range(0, len(data), piece):
        part = data[at : at + piece]
        lanes = list(range(1, 9))
        words = np.frombuffer(part.ljust(-(-len(part) // 64) * 64, b"\0"), "<u8")
        for i, word in enumerate(words.tolist()):
            lanes[i % 8] = step(lanes[i % 8], word)
        total = len(part)
        for lane in lanes:
            total = step(total, lane)
        before = step(before, total ^ total >> 32)
    return before


@pytest.mark.parametrize("size", [1, 7, 8, 63, 64, 65, 128, 1000])
@pytest.mark.parametrize("piece", [1, 64, 100, 5000])
def test_the_checksum_is_the_one_described(size, piece):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    assert _native.checksum(data, piece) == reference(data.tobytes(), piece)
    half = size // (2 * piece) * piece
    assert _native.checksum(data[half:], piece, _native.checksum(data[:half], piece)) == reference(
        data.tobytes(), piece
    )


def test_the_checksum_sees_every_bit_and_every_swap():
    data = np.random.default_rng(0).integers(0, 256, 200, np.uint8)
    whole = _native.checksum(data, 150)
    for i in range(8 * data.size):
        changed = data.copy()
        changed[i // 8] ^= 1 << i % 8
        assert _native.checksum(changed, 150) != whole
    assert _native.checksum(np.roll(data, 64), 150) != whole
    assert _native.checksum(data[:-1], 150) != whole
    assert _native.checksum(np.zeros(128, np.uint8), 128) != _native.checksum(np.zeros(64, np.uint8), 64)


@pytest.mark.parametrize(
    "call",
    [
        lambda: _native.pack(99, np.zeros((1, 34), np.uint8), 32),
        lambda: _native.pack(8, np.zeros((1, 33), np.uint8), 32),
        lambda: _native.pack(8, np.zeros((1, 34), np.uint8), 31),
        lambda: _native.pack(8, np.zeros((0, 34), np.uint8), 32),
        lambda: _native.pack(8, np.zeros((1, 34), np.uint8), -32),
        lambda: _native.unpack(8, np.zeros(1087, np.uint8), 1, 32),
        lambda: _native.unpack(8, np.zeros(1088, np.uint8), 33, 32),
        lambda: _native.unpack(8, np.zeros(1088, np.uint8), 1 << 40, 32),
        lambda: _native.unpack(8, np.zeros(1088, np.uint8), 2**31 - 1, 2**31 - 32),
        lambda: _native.group_bytes(8, 0),
        lambda: _native.layout_revision(5),
        lambda: _native.checksum(np.zeros(1, np.uint8), 0),
    ],
)
def test_sizes_that_cannot_be_are_refused(call):
    with pytest.raises(ValueError, match=r"wrong size|no such|empty|whole number"):
        call()
