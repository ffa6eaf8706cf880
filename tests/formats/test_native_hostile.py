"""Native files that are damaged, cut off, or made to break the reader."""

from __future__ import annotations

import contextlib
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models_at_hand import random_small
from native_files import HEAD, changed, entry, put_together, taken_apart, written

import rookery
from rookery import _native
from rookery.errors import FormatError, NumericError, RookeryError, TokenError, TruncatedFile, UnsupportedError
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.formats.native_header import MAGIC
from rookery.quant import FORMATS
from rookery.quant.layouts import LAYOUTS

reuse = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEY = "blocks.1.att.key.weight"


def model_bytes(folder, version="7", format="Q8_0", dtype=None, **sizes):
    words = {i: bytes([i]) for i in range(1, 30)}
    model = random_small(version, format, **sizes).checkpoint
    model.vocabulary = words
    save_checkpoint(model, folder / "model.rookery", dtype=dtype)
    return (folder / "model.rookery").read_bytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_bytes(tmp_path_factory.mktemp("native"))


@pytest.fixture(scope="module")
def finch(tmp_path_factory):
    return model_bytes(tmp_path_factory.mktemp("native"), "6", "F16", "F16")


def use(path):
    """Everything a user may do with a file."""
    checkpoint = open_checkpoint(path)
    checkpoint.verify()
    for tensor in (checkpoint.tensors | checkpoint.initial_state).values():
        assert tensor.numpy().shape == tensor.shape
    rookery.load(checkpoint, threads=2, tokenizer="world").forward([1, 2, 3])


def set_to(name, key, value, view=None):
    return lambda header: entry(header, name, view).update({key: value})


def twice(name):
    return lambda header: header["tensors"].append(dict(entry(header, name)))


def without(name, view=None):
    return lambda header: header["tensors"].remove(entry(header, name, view))


def exchanged(header):
    """Two matrices of one size."""
    a, b = entry(header, KEY), entry(header, "blocks.1.att.value.weight")
    a["offset"], b["offset"] = b["offset"], a["offset"]


HEADERS = {
    "no tensors": (lambda h: h.pop("tensors"), FormatError, "lists no tensors"),
    "tensors as an object": (lambda h: h.update(tensors={}), FormatError, "lists no tensors"),
    "an empty list": (lambda h: h.update(tensors=[]), FormatError, "claimed by nothing"),
    "an entry that is none": (lambda h: h["tensors"].append(3), FormatError, "lists no tensors"),
    "an unknown key": (set_to(KEY, "extra", 1), FormatError, "no valid entry"),
    "a layout without a view": (lambda h: entry(h, KEY).pop("view"), FormatError, "no valid entry"),
    "a name that is none": (set_to(KEY, "name", 7), FormatError, "no valid entry"),
    "a long name": (set_to(KEY, "name", "x" * 600), FormatError, "no valid entry"),
    "an unknown weight format": (set_to(KEY, "format", "Q9_9"), UnsupportedError, "'Q9_9'"),
    "a weight format that is none": (set_to(KEY, "format", ["F32"]), UnsupportedError, "weight format"),
    "another weight format": (set_to(KEY, "format", "Q4_0"), FormatError, "needs"),
    "a negative shape": (set_to(KEY, "shape", [-64, 64]), FormatError, "no valid shape"),
    "a shape of floats": (set_to(KEY, "shape", [64.0, 64]), FormatError, "no valid shape"),
    "another shape": (set_to(KEY, "shape", [32, 64]), FormatError, "needs"),
    "half a block": (set_to(KEY, "shape", [64, 48]), FormatError, "multiple of 32"),
    "an empty shape": (set_to(KEY, "shape", []), FormatError, "no packed view"),
    "a shape of zero": (set_to(KEY, "shape", [0, 64]), FormatError, "no packed matrix"),
    "a huge shape": (set_to(KEY, "shape", [1 << 40, 1 << 40]), FormatError, "no packed matrix"),
    "a shape beyond the kernels": (set_to(KEY, "shape", [1 << 31, 64]), FormatError, "no packed matrix"),
    "a large shape": (set_to(KEY, "shape", [(1 << 31) - 64, 64]), FormatError, "needs"),
    "an unknown view": (set_to(KEY, "view", "[0]"), FormatError, "no packed view"),
    "a view that is none": (set_to(KEY, "view", None), FormatError, "no packed view"),
    "the transpose of blocks": (set_to(KEY, "view", ".T"), FormatError, "no packed view"),
    "a newer layout": (set_to(KEY, "layout", 2), UnsupportedError, "layout 2 of Q8_0.*convert the model again"),
    "a layout that is none": (set_to(KEY, "layout", "x" * 99), UnsupportedError, "layout x{40} of"),
    "a packed vector": (lambda h: entry(h, "ln_out.bias").update(view="", layout=1), FormatError, "no packed view"),
    "an odd offset": (set_to(KEY, "offset", 65), FormatError, "no valid place"),
    "a negative offset": (set_to(KEY, "offset", -64), FormatError, "no valid place"),
    "an offset that is none": (set_to(KEY, "offset", "0"), FormatError, "no valid place"),
    "an offset far away": (set_to(KEY, "offset", 1 << 40), TruncatedFile, "should occupy"),
    "an offset beyond all": (set_to(KEY, "offset", 1 << 70), FormatError, "no valid place"),
    "too many bytes": (set_to(KEY, "bytes", 1 << 40), TruncatedFile, "should occupy"),
    "no bytes": (set_to(KEY, "bytes", 0), FormatError, "claims 0 bytes"),
    "a checksum that is none": (set_to(KEY, "checksum", "xyz"), FormatError, "no valid checksum"),
    "a checksum as a number": (set_to(KEY, "checksum", 7), FormatError, "no valid checksum"),
    "an overlap": (set_to(KEY, "offset", 0), FormatError, "claimed twice"),
    "an entry twice": (twice(KEY), FormatError, "claimed twice"),
    "a hole": (without("head.weight"), FormatError, "claimed by nothing"),
    "a hole in the middle": (without("blocks.0.ffn.key.weight"), FormatError, "claimed by nothing"),
    "metadata as a list": (lambda h: h.update(metadata=[]), FormatError, "'metadata'"),
    "metadata of lists": (lambda h: h.update(metadata={"a": []}), FormatError, "'metadata'"),
    "no fingerprint": (lambda h: h.pop("fingerprint"), FormatError, "fingerprint"),
    "a short fingerprint": (lambda h: h.update(fingerprint="abc"), FormatError, "fingerprint"),
    "another config": (lambda h: h["config"].update(layers=3), FormatError, "other sizes"),
    "a config that is none": (lambda h: h.update(config=[]), FormatError, "other sizes"),
    "a vocabulary that is none": (lambda h: h.update(vocabulary=3), FormatError, "vocabulary"),
    "a vocabulary elsewhere": (lambda h: h["vocabulary"].update(offset=64), FormatError, "claimed twice"),
    "no number of tokens": (lambda h: h["vocabulary"].update(tokens=-1), FormatError, "number of tokens"),
    "too many tokens": (lambda h: h["vocabulary"].update(tokens=1 << 31), FormatError, "has room for"),
    "another vocabulary": (lambda h: h["vocabulary"].update(checksum="0" * 16), FormatError, "checksum is wrong"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_headers_that_cannot_be_are_refused(model, tmp_path, what):
    change, error, words = HEADERS[what]
    with pytest.raises(error, match=words) as caught:
        open_checkpoint(written(tmp_path / "m.rookery", changed(model, change)))
    assert type(caught.value) is error or error is FormatError
    assert "m.rookery" in str(caught.value)
    assert "\n" not in str(caught.value)


FINCH = {
    "a view too few": (without("blocks.0.att.time_maa_w2", "[2].T"), "listed wrongly|claimed by nothing"),
    "a view of another part": (set_to("blocks.0.att.time_maa_w2", "view", "[1].T", "[0].T"), "listed wrongly"),
    "a view that is not there": (set_to("blocks.0.att.time_maa_w2", "view", "[5].T", "[0].T"), "no packed view"),
    "views of two types": (set_to("blocks.0.att.time_maa_w2", "format", "BF16", "[0].T"), "listed wrongly"),
    "views of two shapes": (set_to("blocks.0.att.time_maa_w1", "shape", [64, 165], "[:, 0:32].T"), "no packed view"),
}


@pytest.mark.parametrize("what", FINCH)
def test_parts_of_a_tensor_belong_together(finch, tmp_path, what):
    change, words = FINCH[what]
    with pytest.raises(FormatError, match=words):
        open_checkpoint(written(tmp_path / "m.rookery", changed(finch, change)))


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        (MAGIC, TruncatedFile, "the header"),
        (MAGIC + bytes(24), UnsupportedError, "version 0"),
        (MAGIC + b"\2\0\0\0" + bytes(20), UnsupportedError, "version 2.*convert the model again from its source"),
        (MAGIC + b"\1\0\0\0" + bytes(20), FormatError, "do not fit"),
        (MAGIC + b"\1\0\0\0" + b"\xff" * 20, TruncatedFile, "not copied completely"),
        (MAGIC + b"\1\0\0\0" + b"\xff" * 4 + (32).to_bytes(8, "little") + bytes(8), FormatError, "do not fit"),
    ],
)
def test_the_first_bytes(tmp_path, content, error, words):
    with pytest.raises(error, match=words):
        open_checkpoint(written(tmp_path / "m.rookery", content))


def with_vocabulary(raw, table, tokens):
    """The file with other bytes in the place of its vocabulary, as many or fewer."""
    header, data = taken_apart(raw)
    room = header["vocabulary"]["bytes"]
    content = np.frombuffer(table, np.uint8)
    header["vocabulary"].update(
        tokens=tokens, bytes=len(table), checksum=f"{_native.checksum(content, len(table)):016x}"
    )
    return put_together(header, table.ljust(room, b"\0") + data[room:])


TOKEN = b"\1\0\0\0\1\0\0\0a"


@pytest.mark.parametrize(
    ("table", "tokens"),
    [
        (TOKEN * 2, 2),  # an id twice
        (TOKEN + TOKEN[:8], 1),  # cut off
        (TOKEN + b"\2\0\0\0\xff\xff\xff\xff" + b"b" * 9, 2),
        (TOKEN + b"\2\0\0\0\0\0\0\0" + b"b" * 9, 2),  # a token without bytes
        (TOKEN + b"\0\0\0\0\1\0\0\0b", 2),  # ids that descend
        (TOKEN + b"\2\0\0\0\1\0\0\0b", 1),  # more than it says
    ],
)
def test_a_vocabulary_that_cannot_be_is_refused_when_it_is_used(model, tmp_path, table, tokens):
    path = written(tmp_path / "m.rookery", with_vocabulary(model, table, tokens))
    found = open_checkpoint(path)
    with pytest.raises(FormatError, match=r"m\.rookery: the vocabulary is damaged"):
        dict(found.vocabulary)
    with contextlib.suppress(TokenError):  # the trie is content with any order, and with names for one token
        rookery.load(path).tokenizer.encode("a")


@reuse
@given(noise=st.binary(min_size=9, max_size=200), tokens=st.integers(1, 20))
def test_any_bytes_as_a_vocabulary(model, tmp_path, noise, tokens):
    path = written(tmp_path / "m.rookery", with_vocabulary(model, noise, tokens))
    with contextlib.suppress(RookeryError):
        rookery.load(path, threads=1).tokenizer.encode("abc")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"a": 1, "a": 2}', b"\xff", b"[" * 100000])
def test_a_header_that_is_no_object(tmp_path, text):
    front = MAGIC + (1).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    data = -(-(HEAD + len(text)) // 4096) * 4096
    front += data.to_bytes(8, "little")
    whole = np.frombuffer(front + text, np.uint8)
    content = (front + _native.checksum(whole, whole.size).to_bytes(8, "little") + text).ljust(data, b"\0")
    with pytest.raises(FormatError, match="header"):
        open_checkpoint(written(tmp_path / "m.rookery", content))


def test_every_bit_of_the_header_counts(model, tmp_path):
    length = int.from_bytes(model[12:16], "little")
    for at in [*range(len(MAGIC), HEAD), *range(HEAD, HEAD + length, 97)]:
        damaged = bytearray(model)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(RookeryError):
            open_checkpoint(written(tmp_path / "m.rookery", bytes(damaged)))


def test_bytes_at_the_end_are_noticed(model, tmp_path):
    for content, words in ((model + b"\0", "do not fit"), (model[:-1], "not copied completely")):
        with pytest.raises(FormatError, match=words):
            open_checkpoint(written(tmp_path / "m.rookery", content))


@reuse
@given(data=st.data())
def test_a_truncated_file_is_refused(model, tmp_path, data):
    cut = data.draw(st.integers(1, len(model) - 1))
    with pytest.raises(FormatError):
        open_checkpoint(written(tmp_path / "m.rookery", model[:cut]))


def damaged_at(raw, name, byte, tmp_path):
    """The file with a byte of a tensor changed, its checksum as it was."""
    header, data = taken_apart(raw)
    spoiled = bytearray(data)
    spoiled[entry(header, name)["offset"] + byte] ^= 0x10
    return written(tmp_path / "m.rookery", put_together(header, bytes(spoiled)))


@pytest.mark.parametrize("name", [KEY, "blocks.1.att.w1", "blocks.0.ln1.weight", "head.weight", "emb.weight"])
def test_damage_is_found(model, tmp_path, name):
    path = damaged_at(model, name, 5, tmp_path)
    found = open_checkpoint(path)
    with pytest.raises(FormatError, match=rf"m\.rookery: tensor '{name}' is not what was written"):
        found.verify()
    with pytest.raises(FormatError, match=name):
        found.tensors[name].load()
    if name != "emb.weight":  # small enough here to be checked, but a program only looks at rows of it
        with pytest.raises(FormatError, match=rf"m\.rookery: tensor '{name}(\.T)?' is not what was written"):
            rookery.load(path, tokenizer="world")


def test_matrices_in_each_others_place_are_found(model, tmp_path):
    path = written(tmp_path / "m.rookery", changed(model, exchanged))
    with pytest.raises(FormatError, match="not what was written"):
        rookery.load(path, tokenizer="world")


def poisoned(raw, name, byte, value):
    """The file with a number of a packed tensor replaced, and a checksum that is right."""
    header, data = taken_apart(raw)
    about, spoiled = entry(header, name), bytearray(data)
    spoiled[about["offset"] + byte : about["offset"] + byte + len(value)] = value
    columns = about["shape"][0] if about["view"] == ".T" else about["shape"][1]
    whole = np.frombuffer(bytes(spoiled[about["offset"] : about["offset"] + about["bytes"]]), np.uint8)
    sum = _native.checksum(whole, _native.group_bytes(FORMATS[about["format"]].ggml, columns))
    about["checksum"] = f"{sum:016x}"
    return put_together(header, bytes(spoiled))


def places_of_scales(name, rows, cols):
    """Where the scales of the last row's last block lie when packed: found by changing them."""
    kind = FORMATS[name]
    before = np.zeros((rows, kind.row_bytes(cols)), np.uint8)
    for field, (dtype, *_) in LAYOUTS[name].fields.items():
        if dtype.kind == "f":
            after = before.copy()
            after.view(LAYOUTS[name])[field][-1, -1] = 1.0  # 0x3c00: one byte differs, the upper one
            moved = np.flatnonzero(_native.pack(kind.ggml, before, cols) != _native.pack(kind.ggml, after, cols))
            yield int(moved[-1]) - dtype.itemsize + 1, dtype


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("format", LAYOUTS)
def test_scales_that_are_not_finite_are_found_while_loading(tmp_path, format, bad):
    raw = model_bytes(tmp_path, "7", format, width=256, ffn=512, head_size=64)
    for byte, dtype in places_of_scales(format, 256, 256):
        content = poisoned(raw, KEY, byte, np.array(bad, dtype).tobytes())
        path = written(tmp_path / "m.rookery", content)
        open_checkpoint(path).verify()
        with pytest.raises(NumericError, match=rf"m\.rookery: tensor '{KEY}' holds NaN or infinity"):
            rookery.load(path, threads=2, tokenizer="world")


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("format", [name for name, kind in FORMATS.items() if kind.head])
def test_scales_of_rows_that_are_not_finite_are_found_while_loading(tmp_path, format, bad):
    raw = model_bytes(tmp_path, "7", format, width=256, ffn=512, head_size=64)
    size = _native.group_bytes(FORMATS[format].ggml, 256)
    content = poisoned(raw, KEY, 7 * size + 4 * 31, np.array(bad, "<f4").tobytes())
    with pytest.raises(NumericError, match=rf"m\.rookery: tensor '{KEY}' holds NaN or infinity"):
        rookery.load(written(tmp_path / "m.rookery", content), threads=2, tokenizer="world")


@pytest.mark.parametrize("format", ["F32", "F16", "BF16"])
def test_numbers_that_are_not_finite_are_found_while_loading(tmp_path, format):
    raw = model_bytes(tmp_path, "7", format, format)
    bad = {"F32": b"\0\0\x80\x7f", "F16": b"\0\xfc", "BF16": b"\xc0\x7f"}[format]
    for name in (KEY, "blocks.1.att.w1", "head.weight"):
        path = written(tmp_path / "m.rookery", poisoned(raw, name, 200 * len(bad), bad))
        with pytest.raises(NumericError, match=f"tensor '{name}.*' holds NaN or infinity"):
            rookery.load(path, threads=3, tokenizer="world")


def test_rows_that_do_not_exist_are_checked_too(model, tmp_path):
    """The head has 53 rows: scales of row 63 would reach no result, and yet the file is wrong."""
    path = written(tmp_path / "m.rookery", poisoned(model, "head.weight", 2 * 1088 + 62, b"\0\x7c"))
    with pytest.raises(NumericError, match=r"head\.weight"):
        rookery.load(path, tokenizer="world")


def test_huge_claims_allocate_nothing(model, tmp_path):
    claims = [
        set_to(KEY, "shape", [(1 << 31) - 64, (1 << 31) - 64]),
        set_to("emb.weight", "shape", [1 << 40, 1 << 40]),
        lambda h: h["vocabulary"].update(tokens=(1 << 32) - 1),
        lambda h: h["tensors"].extend([{"name": "x"}] * 1000),
    ]
    files = [written(tmp_path / f"{i}.rookery", changed(model, claim)) for i, claim in enumerate(claims)]
    tracemalloc.start()
    for path in files:
        with pytest.raises(RookeryError):
            open_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@settings(reuse, max_examples=300)
@given(data=st.data())
def test_changed_values_give_an_error_or_a_model(model, tmp_path, data):
    """The checksum of the header is right, so that every check behind it is met."""
    header, rest = taken_apart(model)
    some = data.draw(st.sampled_from(header["tensors"]))
    key = data.draw(st.sampled_from(sorted(some)))
    others = st.sampled_from([e.get(key) for e in header["tensors"]])
    numbers = st.one_of(st.integers(-(2**70), 2**70), st.lists(st.integers(-1, 2**33), max_size=4))
    some[key] = data.draw(st.one_of(others, numbers, st.none(), st.text(max_size=5)))
    path = written(tmp_path / "m.rookery", put_together(header, rest))
    with contextlib.suppress(RookeryError):
        use(path)


@settings(reuse, max_examples=300)
@given(data=st.data())
def test_flipped_bits_of_the_data_are_found(model, tmp_path, data):
    header, rest = taken_apart(model)
    about = data.draw(st.sampled_from(header["tensors"]))
    at = about["offset"] + data.draw(st.integers(0, about["bytes"] - 1))
    damaged = bytearray(rest)
    damaged[at] ^= data.draw(st.integers(1, 255))
    path = written(tmp_path / "m.rookery", put_together(header, bytes(damaged)))
    with pytest.raises(FormatError, match="not what was written"):
        open_checkpoint(path).verify()


@settings(reuse, max_examples=60)
@given(data=st.data())
def test_any_packed_bytes_give_an_error_or_finite_logits(tmp_path_factory, model, data):
    """Random units under right checksums: whatever runs gives numbers."""
    header, rest = taken_apart(model)
    about = data.draw(st.sampled_from([e for e in header["tensors"] if "view" in e]))
    seed = data.draw(st.integers(0, 2**32))
    noise = np.random.default_rng(seed).integers(0, 256, about["bytes"], np.uint8)
    noise[np.random.default_rng(seed).random(noise.size) < 0.9] = 0
    path = tmp_path_factory.getbasetemp() / "noise.rookery"
    written(path, poisoned(put_together(header, rest), about["name"], 0, noise.tobytes()))
    with contextlib.suppress(NumericError):
        logits, _ = rookery.load(path, threads=2, tokenizer="world").forward([1, 2, 3])
        assert logits.dtype == np.float32


@reuse
@given(content=st.binary(max_size=300))
def test_any_bytes_after_the_magic(tmp_path, content):
    with pytest.raises(RookeryError):
        open_checkpoint(written(tmp_path / "m.rookery", MAGIC + b"\1\0\0\0" + content))


def test_a_json_that_is_large_is_refused_before_it_is_read(tmp_path):
    size = 40 << 20
    path = tmp_path / "m.rookery"
    with path.open("wb") as file:
        file.write(MAGIC + (1).to_bytes(4, "little") + (20 << 20).to_bytes(4, "little") + size.to_bytes(8, "little"))
        file.truncate(size)
    with pytest.raises(FormatError, match="do not fit"):
        open_checkpoint(path)


def test_the_writer_of_headers_used_here_is_the_one_described(model):
    header, data = taken_apart(model)
    assert put_together(header, data) == model
    text = json.dumps(header, separators=(",", ":")).encode()
    assert model[HEAD : HEAD + len(text)] == text
