"""Documents from every kind of file, and one sentence for what is wrong with it."""

import gzip
import json
import lzma
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from rookery.errors import FormatError, MissingExtra, SettingsError, TruncatedFile, UnsupportedError
from rookery.train.data import Options, Settings, open_sources, tokenised
from rookery.train.data.sources import hub
from rookery.train.data.sources import text as text_module
from rookery.train.data.sources.binidx import write_binidx


def texts(given, **options):
    """The text of every document."""
    found = []
    for source in open_sources(given, Options(**options)):
        documents = list(source.documents())
        assert [d.read for d in documents] == sorted(d.read for d in documents)
        assert all(0 < d.read <= source.size for d in documents)
        found += [b"".join(bytes(p.text[: len(p.text)]) for p in d.pieces).decode() for d in documents]
    return found


def test_a_text_is_one_document(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n\ntwo\r\n\xff")
    (document,) = open_sources(path)[0].documents()
    assert document.pieces[0].text[:100] == b"one\n\ntwo\r\n\xff"


@pytest.mark.parametrize(
    ("separator", "content", "expected"),
    [
        ("<|endoftext|>", "one\n\n1\n<|endoftext|>\n\n two\n<|endoftext|>\n", ["one\n\n1", " two"]),
        ("<|endoftext|>", "<|endoftext|>\n<|endoftext|>\nx", ["x"]),
        ("", "one\nmore\n\n \n\ntwo\n", ["one\nmore", "two"]),
        ("%", "one\r\n%\r\ntwo", ["one", "two"]),
        ("%", "no % alone\n", ["no % alone"]),
    ],
)
def test_a_text_with_separators(tmp_path, separator, content, expected):
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    assert texts(path, separator=separator) == expected


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_packed_files(tmp_path, suffix, pack):
    (tmp_path / f"a.txt{suffix}").write_bytes(pack(b"whole"))
    (tmp_path / f"b.jsonl{suffix}").write_bytes(pack(b'{"text": "first"}\n\n{"text": "second\\n"}'))
    assert texts(tmp_path) == ["whole", "first", "second\n"]
    assert texts(str(tmp_path / "*.jsonl*")) == ["first", "second\n"]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
def test_damaged_packed_files(tmp_path, suffix, pack):
    whole = pack(np.random.default_rng(0).bytes(100_000))
    for damaged in (whole[:-500], b"not packed at all", whole[:200] + b"xxxxxxxx" + whole[208:]):
        path = tmp_path / f"a.txt{suffix}"
        path.write_bytes(damaged)
        with pytest.raises(
            FormatError, match=r"a\.txt\.[gx]z: the compressed data are damaged .* fetch the file again"
        ):
            texts(path)


def test_fields_of_records(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"title": "T", "text": "x", "body": "y"}))
    assert texts(path) == ["x"]
    assert texts(path, field="body") == ["y"]
    with pytest.raises(FormatError, match=r"a.jsonl, line 1: no field 'none'; it has 'title', 'text', 'body'"):
        texts(path, field="none")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", r"not JSON \(.*\); expected one object"),
        ("[1]", "expected an object with a field 'text', got a list"),
        ("3", "expected an object with a field 'text', got a number"),
        ('{"text": 3}', "field 'text' is a number, expected a text"),
        ('{"text": null}', "field 'text' is null"),
        ('{"words": "x"}', "no text and no conversation; it has 'words'"),
        ("{}", "no text and no conversation; it has none"),
        ("[" * 100_000, "not JSON"),
        ('{"messages": [{"role": "wizard", "content": "x"}]}', "message 0: unknown role 'wizard'; known: system,"),
        ('{"messages": [{"role": "user"}]}', "message 0: expected .* both of them texts"),
        ('{"messages": ["hello"]}', "message 0: expected"),
        ('{"messages": [["user", "x"]]}', "the assistant says nothing"),
        (
            '{"messages": [["user", "x"], ["system", "x"], ["assistant", "x"]]}',
            "message 1: a system message stands only",
        ),
    ],
)
def test_wrong_lines_are_named(tmp_path, line, sentence):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n\n' + line + "\n")
    with pytest.raises(FormatError, match=rf"a\.jsonl, line 3(, |: ){sentence}"):
        texts(path)


def test_lines_that_are_not_utf8(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(FormatError, match="line 1: not JSON"):
        texts(path)


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(text_module, "LONGEST_LINE", 1 << 20)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * (1 << 21))
    with pytest.raises(FormatError, match="line 1: longer than 1 MiB"):
        texts(path)


def test_halves_of_surrogate_pairs(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "\\ud83d\\ude00 \\ud83d"}')
    assert texts(path) == ["😀 \ufffd"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.txt", "there is no such file"),
        ("none/*.txt", "there is no such file|no training data"),
        ("image.png", "not a known kind of training data; known are files named \\*.txt"),
        ("table.parquet.xz", "not a known kind"),
        ("empty", "no training data in it"),
    ],
)
def test_what_is_no_source(tmp_path, name, sentence):
    (tmp_path / "image.png").touch()
    (tmp_path / "table.parquet.xz").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(SettingsError, match=sentence):
        open_sources(tmp_path / name)


def test_unknown_prompt_format(tmp_path):
    with pytest.raises(SettingsError, match="no prompt format 'klingon'"):
        open_sources(tmp_path, Options(format="klingon"))


# ---------------------------------------------------------------- binidx


def official_binidx(path, documents, dtype=np.uint16, code=8):
    """As Megatron's builder writes it, a sequence for each document."""
    path.with_suffix(".bin").write_bytes(b"".join(np.array(d, dtype).tobytes() for d in documents))
    sizes = np.array([len(d) for d in documents], np.int32)
    pointers = (np.cumsum(sizes) - sizes).astype(np.int64) * np.dtype(dtype).itemsize
    index = np.arange(len(documents) + 1, dtype=np.int64)
    head = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + struct.pack("<B", code)
    head += struct.pack("<Q", len(sizes)) + struct.pack("<Q", len(index))
    path.with_suffix(".idx").write_bytes(head + sizes.tobytes() + pointers.tobytes() + index.tobytes())


@pytest.mark.parametrize(("dtype", "code"), [(np.uint16, 8), (np.int32, 4), (np.int64, 5), (np.uint8, 1)])
@pytest.mark.parametrize("name", ["d.idx", "d.bin", "d", ""])
def test_binidx_is_read(tmp_path, letters, dtype, code, name):
    official_binidx(tmp_path / "d.idx", [[98, 99, 0], [], [100, 0], [101]], dtype, code)
    tokens = tokenised(open_sources(tmp_path / name), letters, tmp_path / "t")
    assert tokens.ids.tolist() == [0, 98, 99, 0, 100, 0, 101]
    assert tokens.documents.tolist() == [0, 3, 5, 7]
    assert tokens.meta["bytes"] == 4


def test_binidx_is_written_as_it_was(tmp_path, letters, tokens_of):
    documents = [[98, 99, 0], [100, 0], [101, 101, 101, 0]]
    official_binidx(tmp_path / "d.idx", documents)
    tokens = tokenised(open_sources(tmp_path / "d"), letters, tmp_path / "t")
    write_binidx(tokens, tmp_path / "e")
    assert (tmp_path / "e.bin").read_bytes() == (tmp_path / "d.bin").read_bytes()
    assert (tmp_path / "e.idx").read_bytes() == (tmp_path / "d.idx").read_bytes()
    again = tokenised(open_sources(tmp_path / "e.bin"), letters, tmp_path / "t")
    assert again.fingerprint == tokens.fingerprint


def test_documents_of_several_sequences(tmp_path, letters):
    official_binidx(tmp_path / "d.idx", [[98], [99], [100]])
    raw = bytearray((tmp_path / "d.idx").read_bytes())
    struct.pack_into("<Q", raw, 26, 3)  # three entries: documents of two sequences and of one
    raw[-32:] = struct.pack("<3q", 0, 2, 3)
    (tmp_path / "d.idx").write_bytes(raw)
    tokens = tokenised(open_sources(tmp_path / "d"), letters, tmp_path / "t", Settings(leading=None))
    assert tokens.documents.tolist() == [0, 2, 3]


def spoil(at, value):
    return lambda raw: raw[:at] + value + raw[at + len(value) :]


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        (lambda raw: b"", FormatError, "expected it to begin with MMIDIDX"),
        (lambda raw: raw[:20], FormatError, "expected it to begin with MMIDIDX"),
        (spoil(9, b"\2"), UnsupportedError, "version 2"),
        (spoil(17, b"\7"), UnsupportedError, "element type 7"),
        (lambda raw: raw[:-1], TruncatedFile, "ends too early"),
        (spoil(18, b"\xff" * 8), TruncatedFile, "ends too early"),
        (spoil(34, b"\xff\xff\xff\x7f"), FormatError, "sequence 0 lies outside d.bin of 10 bytes"),
        (spoil(34, b"\xff\xff\xff\xff"), FormatError, "sequence 0 lies outside"),
        (spoil(42, b"\1"), FormatError, "sequence 0 lies outside"),
        (spoil(50, b"\xff" * 8), FormatError, "sequence 1 lies outside"),
    ],
)
def test_hostile_binidx(tmp_path, change, error, sentence):
    official_binidx(tmp_path / "d.idx", [[98, 99, 0], [100, 0]])
    (tmp_path / "d.idx").write_bytes(change((tmp_path / "d.idx").read_bytes()))
    with pytest.raises(error, match=rf"d\.idx: .*{sentence}"):
        texts(tmp_path / "d.idx")


def test_binidx_without_its_other_half(tmp_path):
    official_binidx(tmp_path / "d.idx", [[98]])
    (tmp_path / "d.bin").unlink()
    with pytest.raises(FormatError, match=r"d\.bin: cannot be read"):
        texts(tmp_path / "d.idx")


# ---------------------------------------------------------------- tables and data sets


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = {"id": [1, 2], "text": ["one", "two"], "turns": [[["User", "q"], ["Assistant", "a"]]] * 2}
    parquet.write_table(pyarrow.table(rows), tmp_path / "a.parquet")
    assert texts(tmp_path / "a.parquet", field="text") == ["one", "two"]
    assert texts(tmp_path / "a.parquet") == ["User: q\n\nAssistant: a\n\n"] * 2
    with pytest.raises(FormatError, match="no column 'none'; it has 'id', 'text', 'turns'"):
        texts(tmp_path / "a.parquet", field="none")
    with pytest.raises(FormatError, match=r"a\.parquet, row 1: field 'id' is a number"):
        texts(tmp_path / "a.parquet", field="id")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(FormatError, match=r"b\.parquet: not a parquet file"):
        texts(tmp_path / "b.parquet")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").touch()
    with pytest.raises(MissingExtra, match="pip install pyarrow"):
        texts(tmp_path / "a.parquet")


def fake_datasets(monkeypatch, calls):
    def load_dataset(name, split):
        calls.append((name, split))
        if name == "absent":
            raise FileNotFoundError("no data set of this name\nand much more")
        return [{"text": "one", "story": "two"}, {"text": "three", "story": "four"}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))


def test_data_sets(monkeypatch):
    calls = []
    fake_datasets(monkeypatch, calls)
    assert texts("hf:me/tales") == ["one", "three"]
    assert texts("hf:me/tales:test:story") == ["two", "four"]
    assert calls == [("me/tales", "train"), ("me/tales", "test")]
    assert len({json.dumps(open_sources(s)[0].identity()) for s in ("hf:a", "hf:b", "hf:a:test")}) == 3


def test_data_sets_that_cannot_be(monkeypatch):
    fake_datasets(monkeypatch, [])
    with pytest.raises(
        FormatError, match=r"hf:absent: the split 'train' cannot be loaded \(no data set of this name\)"
    ):
        texts("hf:absent")
    for spec in ("hf:", "hf:a:b:c:d"):
        with pytest.raises(SettingsError, match="expected hf:name"):
            open_sources(spec)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match="pip install datasets"):
        texts("hf:me/tales")
    assert hub.PREFIX == "hf:"
