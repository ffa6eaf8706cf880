"""`rookery vocabulary`."""

import json

from rookery.tokenizer import load_tokenizer


def text(tmp_path):
    path = tmp_path / "tales.jsonl"
    tales = [f"Once there was a goose, number {i}, and the goose was happy." for i in range(30)]
    path.write_text("".join(json.dumps({"text": tale, "title": "A Tale"}) + "\n" for tale in tales))
    return path


def test_makes_a_file(rookery, tmp_path):
    out = tmp_path / "v.txt"
    said = rookery("vocabulary", text(tmp_path), "-o", out, "--size", 300).out
    assert "v.txt: 300 ids, made from " in said
    assert "bytes per token" in said
    tokenizer = load_tokenizer(out)
    assert tokenizer.vocab_size == 300
    assert b" goose" in {tokenizer.token_bytes(i) for i in range(257, 300)}


def test_json(rookery, tmp_path):
    out = tmp_path / "v.txt"
    about = rookery("vocabulary", text(tmp_path), "-o", out, "--size", 280, "--field", "title", "--json").json
    assert about["path"] == str(out)
    assert about["bytes"] == 30 * len("A Tale")
    assert about["size"] == load_tokenizer(out).vocab_size <= 280


def test_what_is_there_stays(rookery, tmp_path):
    out = tmp_path / "v.txt"
    out.write_text("mine")
    rookery("vocabulary", text(tmp_path), "-o", out).failed("already exists; choose another name")
    assert out.read_text() == "mine"
    rookery("vocabulary", text(tmp_path), "-o", out, "--force", "--size", 280)
    assert out.read_text() != "mine"


def test_errors_are_sentences(rookery, tmp_path):
    out = tmp_path / "v.txt"
    rookery("vocabulary", tmp_path / "absent.txt", "-o", out).failed("there is no such file")
    rookery("vocabulary", text(tmp_path), "-o", out, "--size", 100).failed("--size is 100, expected 257")
    rookery("vocabulary", text(tmp_path), "-o", out, "--sample", 0).failed("--sample is 0, expected")
    assert not out.exists()
