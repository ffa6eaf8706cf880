"""`rookery tokenize`."""

import io
import random

import pyrwkv_tokenizer
import pytest

from rookery.cli import tokenize
from rookery.tokenizer import world

TEXT = "Hello 世界, \\ tab\tand\n\nnew lines 🪿"


def official(text: str) -> list[int]:
    return pyrwkv_tokenizer.RWKVTokenizer().encode(text)


def test_lists_id_bytes_and_text(rookery):
    lines = rookery("tokenize", TEXT).out.splitlines()
    assert [int(line.split()[1]) for line in lines] == official(TEXT)
    assert any("世" in line and "e4 b8 96" in line for line in lines)
    assert any(line.endswith("\\n\\n") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_prints_ids_and_counts(rookery):
    ids = official(TEXT)
    assert rookery("tokenize", "--ids", TEXT).out == " ".join(map(str, ids)) + "\n"
    assert rookery("tokenize", "--count", "-", stdin=TEXT.encode()).out == f"{len(ids)}\n"
    assert rookery("tokenize", "--ids", "").out == "\n"


def test_json_holds_every_byte(rookery):
    about = rookery("tokenize", "--json", stdin=b"caf\xc3 \xff").json
    assert bytes.fromhex("".join(token["hex"] for token in about["tokens"])) == b"caf\xc3 \xff"
    assert about["count"] == len(about["ids"]) == len(about["tokens"])
    assert "\\xff" in about["tokens"][-1]["text"]


def test_decodes_ids(rookery, tmp_path):
    ids = rookery("tokenize", "--ids", TEXT).out
    assert rookery("tokenize", "--decode", stdin=ids.encode()).out == TEXT
    assert rookery("tokenize", "--decode", "--json", "[33155, 45]").json["text"] == "Hello,"
    (tmp_path / "ids").write_text(ids.replace(" ", ",\n"))
    assert rookery("tokenize", "--decode", "--file", tmp_path / "ids").out == TEXT


def test_uses_the_vocabulary_of_a_model(rookery, small):
    assert rookery("tokenize", "--ids", "--model", small, "AZ").out == "65 90\n"


def test_uses_a_vocabulary_file(rookery, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("1 'a' 1\n2 'ab' 2\n3 'b' 1\n")
    assert rookery("tokenize", "--ids", "--tokenizer", path, "aabb").out == "1 2 3\n"
    rookery("tokenize", "--ids", "--tokenizer", path, "abc").failed("words")


@pytest.mark.parametrize("chunk", [1025, 2048, 5000])
def test_streams_exactly_as_if_whole(monkeypatch, chunk):
    """Chunks end inside words, characters and long runs, which have tokens of up to 128 bytes."""
    monkeypatch.setattr(tokenize, "_CHUNK", chunk)
    parts = [b" " * 99, "国会".encode(), b"\n" * 37, b"the ", b"=" * 70, b"\xff\xfe", "é".encode(), b"word" * 9]
    data = b"".join(random.Random(chunk).choices(parts, k=700))
    found = [id for piece in tokenize.encoded(world(), io.BytesIO(data)) for id in piece.tolist()]
    assert found == world().encode(data)


def test_streams_short_reads(monkeypatch):
    monkeypatch.setattr(tokenize, "_CHUNK", 4096)

    class Pipe(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(7, size or 7))

    data = b"Some words through a slow pipe. " * 40
    found = [id for piece in tokenize.encoded(world(), Pipe(data)) for id in piece.tolist()]
    assert found == world().encode(data)


def test_refuses_in_one_sentence(rookery, tmp_path, small, garbage):
    rookery("tokenize", "--decode", "1 x").failed("'x'")
    rookery("tokenize", "--decode", "70000").failed("70000", "world")
    rookery("tokenize", "--decode", "--model", small, "256").failed("256")
    rookery("tokenize", "--ids", "--count", "a").failed("--ids")
    rookery("tokenize", "--model", small, "--tokenizer", "world", "a").failed("--model")
    rookery("tokenize", "--file", tmp_path / "absent").failed("absent")
    rookery("tokenize", "--file", tmp_path / "absent", "text").failed("--file")
    rookery("tokenize", "--tokenizer", tmp_path / "absent", "a").failed("absent")
    rookery("tokenize", "--tokenizer", garbage, "a").failed("garbage.pth")
