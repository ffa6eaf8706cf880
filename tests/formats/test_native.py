"""Native files: the same model, bit for bit, whoever looks at it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from models_at_hand import VERSIONS, Small, opened, random_small
from native_files import changed, put_together, taken_apart
from tiny_models import CONFIGS, assert_same, checkpoint

from rookery import _native
from rookery.config import optional
from rookery.errors import NumericError, SettingsError
from rookery.fingerprint import fingerprint
from rookery.formats import Checkpoint, lazy, open_checkpoint, save_checkpoint
from rookery.formats.native_views import program_order, views
from rookery.formats.saving import dtypes
from rookery.ops.record import record
from rookery.quant import FORMATS
from rookery.weights import Tensor


def again(model: Checkpoint, folder: Path, **options: str) -> Checkpoint:
    save_checkpoint(model, folder / "m.rookery", **options)  # type: ignore[arg-type]
    found = open_checkpoint(folder / "m.rookery")
    found.verify()
    return found


def matrices(small: Small) -> list[Tensor]:
    """What the recorded program multiplies with, in order."""
    program = record(small.layout, small.leaves())
    order = dict.fromkeys(op.matrix for op in program.ops if op.name == "linear")
    return [program.matrices[i] for i in order]


def answers(small: Small, threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits after each of some tokens, and the state."""
    state, tokens = small.layout.zeros(), small.tokens(9)
    return small.native(threads=threads).run(tokens, [9], [state], np.arange(9, dtype=np.int32)), state


@pytest.mark.parametrize("format", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("version", CONFIGS)
def test_odd_sizes_come_back_bit_for_bit(tmp_path, version, format):
    model = checkpoint(CONFIGS[version], format, state=version != "4")
    found = again(model, tmp_path)
    assert found.format == "rookery"
    assert_same(found, model)
    assert fingerprint(found) == fingerprint(model) == fingerprint(replace(found, fingerprint=None))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_weight_format_comes_back_bit_for_bit(tmp_path, version, format):
    model = random_small(version, format, width=256, ffn=512, head_size=64).checkpoint
    found = again(model, tmp_path)
    assert_same(found, model)
    assert found.fingerprint == fingerprint(model)


@pytest.mark.parametrize("table", _native.kernel_tables())
@pytest.mark.parametrize("version", VERSIONS)
def test_logits_have_the_same_bits(tmp_path, monkeypatch, version, table):
    monkeypatch.setenv("ROOKERY_CPU", table)
    source = random_small(version, "Q8_0", width=192, ffn=256, head_size=64)
    again(source.checkpoint, tmp_path)
    logits, state = answers(source, 1)
    for threads in (1, 2, 3):
        found = answers(opened(tmp_path / "m.rookery"), threads)
        np.testing.assert_array_equal(found[0], logits)
        np.testing.assert_array_equal(found[1], state)


@pytest.mark.parametrize("table", _native.kernel_tables())
@pytest.mark.parametrize("format", FORMATS)
def test_logits_of_every_weight_format(tmp_path, monkeypatch, format, table):
    monkeypatch.setenv("ROOKERY_CPU", table)
    source = random_small("7", format, width=256, ffn=512, head_size=64)
    again(source.checkpoint, tmp_path)
    found = answers(opened(tmp_path / "m.rookery"), 3)
    for got, wanted in zip(found, answers(source, 2), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_large_matrices_are_copied_by_all_threads(tmp_path):
    source = random_small("4", width=800, ffn=800, head_size=800)
    again(source.checkpoint, tmp_path)
    sizes = [w.packed[w.name].load().nbytes for w in matrices(opened(tmp_path / "m.rookery"))]
    assert max(sizes) > 2 << 20
    wanted = answers(source, 1)
    for threads in (1, 2, 3):
        for got, expected in zip(answers(opened(tmp_path / "m.rookery"), threads), wanted, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_program_finds_all_its_matrices_packed_and_in_order(tmp_path, version):
    again(random_small(version).checkpoint, tmp_path)
    used = matrices(opened(tmp_path / "m.rookery"))
    names = [w.name for w in used]
    assert [name for w, name in zip(used, names, strict=True) if name not in w.packed] == []
    header, _ = taken_apart((tmp_path / "m.rookery").read_bytes())
    stored = [e["name"] + e["view"] for e in header["tensors"] if "view" in e]
    assert stored == names
    offsets = [e["offset"] for e in header["tensors"]]
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("version", CONFIGS)
def test_views_are_what_definitions_make_of_a_tensor(version):
    model = checkpoint(CONFIGS[version])
    for name in program_order(model.config):
        if name not in model.tensors:
            continue
        tensor = replace(model.tensors[name], name=name)
        for view in views(name, tensor.shape):
            same = eval(f"tensor{view.words}", {"tensor": tensor})
            assert same.name == name + view.words
            assert view.shape(tensor.shape) == same.shape
            np.testing.assert_array_equal(view.of(tensor.load()), same.load())


def test_vectors_first_then_the_embedding_then_the_matrices(tmp_path):
    again(checkpoint(CONFIGS["7"], state=True), tmp_path)
    header, _ = taken_apart((tmp_path / "m.rookery").read_bytes())
    names = [(e["name"], "view" in e) for e in header["tensors"]]
    embedding = names.index(("emb.weight", False))
    assert not any(packed for _, packed in names[:embedding])
    later = [name for name, packed in names[embedding + 1 :] if not packed]
    assert later == ["blocks.0.att.v1", "blocks.0.att.v2"]  # which no program reads
    assert all(optional(name) for name in later)


def test_data_are_aligned(tmp_path):
    model = random_small("7", width=256, ffn=512, head_size=64).checkpoint
    again(model, tmp_path)
    raw = (tmp_path / "m.rookery").read_bytes()
    header, data = taken_apart(raw)
    assert (len(raw) - len(data)) % 4096 == 0
    assert int.from_bytes(raw[16:24], "little") == len(raw)
    for e in header["tensors"]:
        assert e["offset"] % (4096 if e["bytes"] >= 65536 else 64) == 0


def test_equal_models_give_equal_files(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(checkpoint(CONFIGS["6"]), tmp_path / f"{name}.rookery")
    assert (tmp_path / "a.rookery").read_bytes() == (tmp_path / "b.rookery").read_bytes()


@pytest.mark.parametrize("version", CONFIGS)
@pytest.mark.parametrize("target", ["m.pth", "m.safetensors", "n.rookery"])
def test_back_into_other_formats(tmp_path, version, target):
    model = checkpoint(CONFIGS[version], "BF16", state=version != "4")
    save_checkpoint(again(model, tmp_path), tmp_path / target)
    assert_same(open_checkpoint(tmp_path / target), model)


BLOCKS = [name for name, kind in FORMATS.items() if kind.block > 1]


@pytest.mark.parametrize(
    ("target", "format"),
    [("m.safetensors", name) for name in BLOCKS] + [("m.gguf", name) for name in BLOCKS if name in dtypes("gguf")],
)
def test_quantised_models_back_into_other_formats(tmp_path, format, target):
    model = random_small("7", format, width=256, ffn=512, head_size=64).checkpoint
    save_checkpoint(again(model, tmp_path), tmp_path / target)
    found = open_checkpoint(tmp_path / target)
    for name, tensor in model.tensors.items():
        if not optional(name) and tensor.kind.block > 1:
            assert found.tensors[name].format == format
            np.testing.assert_array_equal(found.tensors[name].load(), tensor.load(), err_msg=name)


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("format", ["F32", "Q5_0"])
def test_a_dtype_is_one_for_all(tmp_path, format, dtype):
    model = random_small("6", format).checkpoint
    found = again(model, tmp_path, dtype=dtype)
    save_checkpoint(model, tmp_path / "m.safetensors", dtype=dtype)
    wanted = open_checkpoint(tmp_path / "m.safetensors")
    assert_same(found, wanted)
    assert found.fingerprint == fingerprint(wanted)


def test_low_rank_matrices_in_blocks_stay_rows(tmp_path):
    """Blocks cannot be transposed; such a model does not run natively, but it keeps."""
    model = checkpoint(replace(CONFIGS["7"], ranks={"w": 32, "a": 6, "v": 7, "g": 32}))
    x = model.tensors["blocks.1.att.w1"].numpy()
    rows = FORMATS["Q8_0"].encode(x)
    model.tensors["blocks.1.att.w1"] = Tensor("Q8_0", x.shape, lambda: rows)
    found = again(model, tmp_path)
    assert_same(found, model)
    assert found.tensors["blocks.1.att.w1"].packed == {}
    dense = again(model, tmp_path, dtype="F32")
    assert list(dense.tensors["blocks.1.att.w1"].packed) == ["blocks.1.att.w1.T"]
    np.testing.assert_array_equal(dense.tensors["blocks.1.att.w1"].load(), FORMATS["Q8_0"].decode(rows))


def test_the_vocabulary_and_the_metadata_come_along(tmp_path):
    words = {3: b"a", 1: b"\xff\0", 18: "é".encode(), 7: b"x" * 300}
    told = {"rookery.quality": '{"recipe": "q8_0"}', "general.license": "Apache-2.0", "general.quantization_version": 2}
    model = replace(checkpoint(CONFIGS["7"]), vocabulary=words, metadata=told | {"format": "pt", "rwkv7.x": 1})
    found = again(model, tmp_path)
    assert found.vocabulary == words
    assert (len(found.vocabulary), found.vocabulary[18]) == (4, "é".encode())
    save_checkpoint(found, tmp_path / "n.rookery")
    assert open_checkpoint(tmp_path / "n.rookery").vocabulary == words
    save_checkpoint(found, tmp_path / "m.gguf")
    assert open_checkpoint(tmp_path / "m.gguf").vocabulary == words
    del told["general.quantization_version"]
    assert found.metadata == told
    assert again(checkpoint(CONFIGS["7"]), tmp_path).vocabulary is None


@pytest.mark.parametrize("words", [{40: b"a"}, {-1: b"a"}, {3: b""}, {1 << 40: b"a"}])
def test_words_that_no_model_has_are_not_written(tmp_path, words):
    with pytest.raises(SettingsError, match="of the vocabulary is empty or beyond the model's 19 rows"):
        save_checkpoint(replace(checkpoint(CONFIGS["7"]), vocabulary=words), tmp_path / "m.rookery")
    assert list(tmp_path.iterdir()) == []


def test_metadata_without_room_are_left_out(tmp_path):
    """In JSON each character of the text takes six bytes: more than any reader's header has room for."""
    given = {"general.description": "\u6771" * (3 << 20), "general.name": "goose", "rookery.quality": "{}"}
    found = again(replace(checkpoint(CONFIGS["7"]), metadata=given), tmp_path)
    assert found.metadata == {"general.name": "goose", "rookery.quality": "{}"}


def test_a_quantised_copy_has_another_fingerprint(tmp_path):
    from rookery.quantize import quantized, recipe

    found = again(random_small("7", width=64).checkpoint, tmp_path)
    other = quantized(found, recipe("q8_0"))
    assert other.fingerprint is None
    assert fingerprint(other) != fingerprint(found)
    other.verify()


@pytest.mark.parametrize("name", ["blocks.1.att.w1", "blocks.0.ffn.key.weight"])
def test_nothing_is_written_that_cannot_run(tmp_path, name):
    model = checkpoint(CONFIGS["7"])
    model.tensors[name].load()[3, 2] = np.nan
    with pytest.raises(NumericError, match=name):
        save_checkpoint(model, tmp_path / "m.rookery")
    assert list(tmp_path.iterdir()) == []


def test_a_large_tensor_passes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("rookery.formats.native_writer._PIECE", 20_000)
    calls: list[tuple[int, int]] = []
    model = random_small("7", "Q8_0", width=192, ffn=256, head_size=64).checkpoint
    save_checkpoint(model, tmp_path / "m.rookery", progress=lambda done, total: calls.append((done, total)))
    found = open_checkpoint(tmp_path / "m.rookery")
    found.verify()
    assert_same(found, model)
    assert calls[-1][0] == calls[-1][1]
    assert len(calls) > len(model.tensors)
    save_checkpoint(model, tmp_path / "n.rookery")
    assert calls[-1][1] > 0


def test_each_tensor_is_loaded_once(tmp_path):
    """Loading may mean encoding, which takes long."""
    model, loads = random_small("6").checkpoint, []

    def load(name: str, tensor: Tensor) -> np.ndarray:
        loads.append(name)
        return tensor.load()

    counted = {name: replace(t, load=partial(load, name, t)) for name, t in model.tensors.items()}
    save_checkpoint(replace(model, tensors=counted), tmp_path / "m.rookery")
    assert sorted(loads) == sorted(counted)


def test_the_header_may_be_written_by_others(tmp_path):
    """Order of entries, white space and holes are the writer's affair."""
    model = checkpoint(CONFIGS["7"])
    raw = (again(model, tmp_path).path).read_bytes()
    header, data = taken_apart(raw)
    header["tensors"].reverse()
    header["writer"] = "another program"
    (tmp_path / "n.rookery").write_bytes(put_together(header, data))
    assert_same(open_checkpoint(tmp_path / "n.rookery"), model)
    (tmp_path / "o.rookery").write_bytes(changed(raw, lambda header: header.pop("metadata")))
    assert open_checkpoint(tmp_path / "o.rookery").metadata == {}


def test_array_tensors_have_no_packed_form():
    assert lazy.array("F32", np.ones((2, 2), np.float32)).packed == {}
