"""The Pile tokenizer against `tokenizers` itself and the shared vectors; small files of our own for the errors."""

import json
import lzma
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import FormatError, MissingExtra, TokenError
from rookery.tokenizer import PileTokenizer, load_tokenizer
from rookery.tokenizer.pile import _characters

pytest.importorskip("tokenizers")


def small(**changes):
    """A byte-level BPE of 256 bytes, one merge, one special token and one added run of spaces."""
    vocab = {character: id for id, character in enumerate(_characters(), 1)}
    vocab["ab"] = 257
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    content = {
        "version": "1.0",
        "added_tokens": [
            {"id": 0, "content": "<|endoftext|>", "special": True, **added},
            {"id": 258, "content": "   ", "special": False, **added},
        ],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": level,
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocab | {"<|endoftext|>": 0}, "merges": ["a b"]},
    }
    return content | changes


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("pile") / "tiny.json"
    path.write_text(json.dumps(small()))
    return PileTokenizer(path)


@pytest.fixture(scope="module")
def pile(shared):
    return load_tokenizer(shared / "data/tokenizer/20B_tokenizer.json")


def test_characters_are_those_of_the_library():
    from tokenizers.pre_tokenizers import ByteLevel

    characters = _characters()
    assert set(characters) == set(ByteLevel.alphabet())
    assert sorted(characters.values()) == list(range(256))
    assert (characters["Ġ"], characters["Ċ"], characters["Ń"]) == (0x20, 0x0A, 0xAD)


def test_tiny(tiny):
    assert (tiny.name, tiny.vocab_size) == ("tiny", 259)
    ids = tiny.encode("ab   é")
    assert ids[:2] == [257, 258]
    assert tiny.decode_bytes(ids) == "ab   é".encode()
    assert tiny.encode("e\u0301") == tiny.encode("é"), "NFC"
    assert tiny.decode([257, 0, 259, 300]) == "ab"
    assert tiny.encode(b"ab") == tiny.encode("ab")
    assert tiny.encode("") == []


@settings(deadline=None)
@given(st.binary(max_size=30))
def test_any_bytes_decode_exactly(tiny, raw):
    byte_id = {tiny.token_bytes(id): id for id in range(1, 257)}
    ids = [byte_id[bytes([byte])] for byte in raw]
    assert tiny.decode_bytes(ids) == raw
    stream = tiny.stream()
    assert "".join([stream.feed(id) for id in ids] + [stream.flush()]) == raw.decode("utf-8", "replace")


def test_errors(tiny):
    with pytest.raises(TokenError, match="not UTF-8 at position 1"):
        tiny.encode(b"a\xff")
    for ids in ([-1], ["a"], [1.5]):
        with pytest.raises(TokenError):
            tiny.decode(ids)


def test_surrogates_do_not_crash(tiny):
    assert tiny.decode(tiny.encode("a\ud800")) == "a\ufffd"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b'{"model": 5}',
        b'{"model": {"vocab": {}}, "added_tokens": []}',
        b'{"model": {"vocab": {"a": -1}}, "added_tokens": []}',
        b'{"model": {"vocab": {"a": "x"}}, "added_tokens": []}',
        b'{"model": {"vocab": {"a": 1}}, "added_tokens": [5]}',
        b'{"model": {"vocab": {"a": 1}}, "added_tokens": []}',
        b'{"model": {"vocab": {"\\u2581a": 1}}, "added_tokens": []}',
        b"{\xff}",
        b'{"a":' * 100_000,
    ],
)
def test_what_is_refused(tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"bad\.json"):
        load_tokenizer(path)


def test_without_the_library(tmp_path, monkeypatch):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(small()))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtra, match=r"rookery\[pile\]"):
        PileTokenizer(path)


def test_truncation_in_the_file_is_not_applied(tmp_path):
    path = tmp_path / "short.json"
    truncation = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(small(truncation=truncation)))
    assert len(PileTokenizer(path).encode("x" * 9)) == 9


@pytest.mark.shared
def test_pile_facts(pile):
    assert (pile.name, pile.vocab_size) == ("pile", 50277)
    assert (pile.encode("\n"), pile.encode("\n\n")) == ([187], [535])
    assert pile.token_bytes(0) == pile.token_bytes(1) == pile.token_bytes(50300) == b""
    assert [pile.token_bytes(id) for id in range(50254, 50277)] == [b" " * n for n in range(24, 1, -1)]


@pytest.mark.shared
def test_shared_vectors(shared, pile):
    with lzma.open(shared / "data/tokenizer/neox20b_vectors.dev.jsonl.xz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    assert len(cases) > 100
    for case in cases:
        assert pile.encode(case["text"]) == case["ids"], case["tag"]


@pytest.mark.shared
@settings(max_examples=50, deadline=None)
@given(ids=st.lists(st.integers(2, 50276), max_size=10))
def test_decode_equals_the_library(pile, ids):
    assert pile.decode(ids) == pile._bpe.decode(ids, skip_special_tokens=False)
