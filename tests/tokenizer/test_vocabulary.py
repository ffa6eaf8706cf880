"""The text format of vocabularies: what it means, and what is refused."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import FormatError, RookeryError
from rookery.tokenizer import WorldTokenizer, load_tokenizer, vocabulary, world
from rookery.tokenizer.vocabulary import parse, table

FILE = Path("words.txt")


@pytest.mark.parametrize(
    ("line", "token"),
    [
        (rb"1 'a' 1", b"a"),
        (rb"1 ' ' 1", b" "),
        (rb"1 '  1 ' 4", b"  1 "),
        (rb"1 '\x80' 2", b"\xc2\x80"),
        (rb"1 b'\x80' 1", b"\x80"),
        (rb"1 b'\xF0\x9f' 2", b"\xf0\x9f"),
        (rb"1 '\u2028' 3", b"\xe2\x80\xa8"),
        (rb"1 '\n\t\r\\\'' 5", b"\n\t\r\\'"),
        (rb"1 '\\n' 2", b"\\n"),
        (rb"1 b'\\u' 2", b"\\u"),
        (rb"""1 "it's" 4""", b"it's"),
        (rb"""1 '"' 1""", b'"'),
        ("1 '你\u2028' 6".encode(), "你\u2028".encode()),
    ],
)
def test_literals(line, token):
    assert parse(line, FILE) == {1: token}
    assert parse(line + b"\r\n", FILE) == {1: token}
    assert ast.literal_eval(line.decode()[2:-2]) in (token, token.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (rb"2 'b' 2", "token 2 has 1 bytes, but the line says 2"),
        (rb"2 'b'", "expected: id, quoted token, byte length"),
        (rb"2 b 1", "expected: id, quoted token"),
        (rb"2  'b' 1", "expected: id"),
        (rb"02 'b' 1", "expected: id"),
        (rb"-2 'b' 1", "expected: id"),
        (rb"2 'b\" 1", "expected: id"),
        (rb"2 '' 0", "expected: id"),
        (rb"2 '' 1", "token 2 has 0 bytes"),
        (b"", "expected: id"),
        (rb"0 'b' 1", "id 0 means end of text"),
        (rb"1 'b' 1", "id 1 occurs twice"),
        (rb"2 'a' 1", "token 2 has the same bytes as token 1"),
        (rb"2 b'\x61' 1", "token 2 has the same bytes as token 1"),
        (rb"4194304 'b' 1", "id 4194304 is too high"),
        (b"2 '" + b"b" * 1025 + b"' 1025", "at most 1024"),
        (rb"2 'a'b' 3", "unescaped ' inside"),
        (rb'2 "a"b" 3', 'unescaped " inside'),
        (rb"2 '\q' 1", r"unknown escape \\q; known"),
        (rb"2 '\x4' 1", r"unknown escape \\x"),
        (rb"2 '\u12' 1", r"unknown escape \\u"),
        (rb"2 '\U00000041' 1", r"unknown escape \\U"),
        (rb"2 '\101' 1", r"unknown escape \\1"),
        (rb"2 '\' 1", r"unknown escape \\;"),
        (rb"2 '\ud800' 3", "surrogate"),
        (rb"2 b'\u0041' 1", "holds ASCII"),
        ("2 b'é' 1".encode(), "holds ASCII"),
        (b"2 '\xff' 1", "not UTF-8"),
        (rb"2 __import__('os') 1", "expected: id"),
    ],
)
def test_what_is_refused_and_where(line, message):
    with pytest.raises(FormatError, match=f"words.txt, line 2: .*{message}"):
        parse(b"1 'a' 1\n" + line + b"\n3 'c' 1\n", FILE)


def test_empty_file():
    with pytest.raises(FormatError, match="empty"):
        parse(b"", FILE)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_hostile_bytes_are_refused_or_read(tail):
    try:
        tokens = parse(b"7 'a' 1\n" + tail, FILE)
    except FormatError:
        return
    assert tokens[7] == b"a"


@settings(deadline=None)
@given(st.data())
def test_one_changed_byte_is_refused_or_harmless(data):
    lines = b"1 'a' 1\n2 b'\\xff\\xfe' 2\n3 '\\u00e9' 2\n4 \"'\" 1\n"
    at = data.draw(st.integers(0, len(lines) - 1))
    changed = lines[:at] + bytes([data.draw(st.integers(0, 255))]) + lines[at + 1 :]
    try:
        tokenizer = WorldTokenizer(parse(changed, FILE), "changed")
    except RookeryError:
        return
    for id, token in parse(changed, FILE).items():
        assert tokenizer.encode(token) == [id]


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=6).filter(lambda t: t.isprintable()), unique=True, min_size=1, max_size=9))
def test_a_written_vocabulary_is_read_back(tokens):
    lines = [f"{id} {token!r} {len(token.encode())}\n" for id, token in enumerate(tokens, 1) if "'" not in token]
    if lines:
        expected = {id: token.encode() for id, token in enumerate(tokens, 1) if "'" not in token}
        assert parse("".join(lines).encode(), FILE) == expected


def test_table_is_canonical():
    assert table({2: b"bc", 1: b"a", 0: b""}) == b"\1\0\0\0\1\0\0\0a\2\0\0\0\2\0\0\0bc"


def test_fingerprint_does_not_depend_on_the_source(tmp_path):
    unix, windows = tmp_path / "unix.txt", tmp_path / "windows.txt"
    unix.write_bytes(b"1 'a' 1\n2 'b' 1\n")
    windows.write_bytes(b"1 'a' 1\r\n2 'b' 1\r\n")
    given_directly = WorldTokenizer({2: b"b", 0: b"", 1: b"a"}, "direct")
    prints = {load_tokenizer(path).fingerprint for path in (unix, windows)} | {given_directly.fingerprint}
    assert len(prints) == 1
    assert load_tokenizer(unix).name == "unix"
    assert WorldTokenizer({1: b"b", 2: b"a"}, "other").fingerprint not in prints


def test_the_world_is_the_world_in_any_form():
    tokens = {id: world().token_bytes(id) for id in range(65536)}
    again = WorldTokenizer(tokens, "from a model")
    assert (again.name, again.fingerprint, again.vocab_size) == ("world", world().fingerprint, 65530)


def test_too_large_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(vocabulary, "_LARGEST_FILE", 1 << 20)
    path = tmp_path / "large.txt"
    path.write_bytes(b"1 'a' 1\n" * (1 << 17) + b"x")
    with pytest.raises(FormatError, match=r"large.txt: larger than 1 MiB"):
        load_tokenizer(path)
