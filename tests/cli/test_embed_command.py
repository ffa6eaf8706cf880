"""`rookery embed`: which text is which."""

import json

import pytest


def test_json_is_one_object(rookery, small):
    lines = [json.loads(line) for line in rookery("embed", small, "one", "two").out.splitlines()]
    said = rookery("embed", small, "one", "two", "--pool", "last", "--json").json
    assert (said["model"], said["pool"]) == (str(small), "last")
    assert [(row["index"], row["text"]) for row in said["embeddings"]] == [(0, "one"), (1, "two")]
    assert rookery("embed", small, "one", "two", "--json").json["embeddings"] == lines
    rookery("embed", small, "one", "--json", "-o", "x.npy").failed("--json and --output")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_the_index_is_the_lines(rookery, small, ends):
    out = rookery("embed", small, stdin=ends.join(["one", "two", ""]).encode()).out
    assert [(row["index"], row["text"]) for row in map(json.loads, out.splitlines())] == [(0, "one"), (1, "two")]


def test_blank_lines_are_refused_by_number(rookery, small, tmp_path):
    path = tmp_path / "texts"
    path.write_text("one\n\nthree\n")
    rookery("embed", small, "--file", path).failed(f"{path}: line 2 is blank")
    rookery("embed", small, stdin=b"one\ntwo\n \n").failed("stdin: line 3 is blank")
    rookery("embed", small, stdin=b"").failed("stdin holds no text")
