"""Text to tokens, once: exact, cached, and whole or not at all."""

import errno
import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from rookery.errors import FormatError, SettingsError, TokenError, TruncatedFile
from rookery.tokenizer import WorldTokenizer, world
from rookery.train.data import Settings, Tokens, encoding, open_sources, tokenised, tokenising, writing


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.jsonl"
    path.write_text("".join(json.dumps({"text": f"Tale {i}: " + "hum " * i}) + "\n" for i in range(50)))
    return path


def folder_of(tmp_path):
    (found,) = (tmp_path / "t").iterdir()
    return found


def test_documents_are_encoded_each_alone(story, tmp_path):
    tokens = tokenised(open_sources(story), world(), tmp_path / "t")
    expected = [[0, *world().encode(json.loads(line)["text"])] for line in story.read_text().splitlines()]
    assert [tokens.ids[a:b].tolist() for a, b in pairwise(tokens.documents)] == expected
    assert tokens.ids.dtype == np.uint16
    assert tokens.mask is None
    assert len(tokens) == 50
    assert tokens.meta["bytes"] == sum(len(json.loads(line)["text"]) for line in story.read_text().splitlines())
    assert tokens.bytes_per_token == tokens.meta["bytes"] / len(tokens.ids)
    assert (tokens.leading, tokens.ending) == (0, 0)


@pytest.mark.parametrize("leading", [None, 7])
def test_the_leading_token(story, tmp_path, leading):
    tokens = tokenised(open_sources(story), world(), tmp_path / "t", Settings(leading=leading, ending=None))
    assert tokens.ids[tokens.documents[1]] == (leading or world().encode("Tale")[0])
    assert tokens.leading == leading
    assert tokens.ending is None


@pytest.mark.parametrize(("threads", "group"), [(1, 1), (3, 100), (8, 1 << 20)])
def test_threads_and_groups_change_nothing(story, tmp_path, monkeypatch, threads, group):
    plain = tokenised(open_sources(story), world(), tmp_path / "a")
    monkeypatch.setattr(tokenising, "GROUP", group)
    seen = []

    def report(done, total):
        seen.append((done, total))

    other = tokenised(open_sources(story), world(), tmp_path / "b", Settings(threads=threads), report)
    assert np.array_equal(plain.ids, other.ids)
    assert plain.fingerprint == other.fingerprint
    assert seen == sorted(seen)
    assert seen[-1] == (story.stat().st_size,) * 2


@pytest.mark.parametrize("chunk", [2100, 5000])
def test_a_long_document_is_encoded_as_if_whole(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(encoding, "CHUNK", chunk)
    text = "".join(np.random.default_rng(1).choice(["Once ", "upon", " a time", "\n\n", "日本", "ing", " the"], 9000))
    (tmp_path / "long.txt").write_text(text, encoding="utf-8")
    tokens = tokenised(open_sources(tmp_path / "long.txt"), world(), tmp_path / "t")
    assert tokens.ids.tolist() == [0, *world().encode(text)]


def test_it_is_made_once(story, tmp_path, monkeypatch):
    first = tokenised(open_sources(story), world(), tmp_path / "t")
    monkeypatch.setattr(WorldTokenizer, "encode_array", lambda *_: pytest.fail("encoded again"))
    second = tokenised(open_sources(story), world(), tmp_path / "t")
    assert second.fingerprint == first.fingerprint
    moved = story.rename(tmp_path / "elsewhere.jsonl").rename(tmp_path / "story.jsonl")
    os.utime(moved, (1, 1))
    assert tokenised(open_sources(moved), world(), tmp_path / "t").fingerprint == first.fingerprint


def test_other_data_or_settings_never_meet_old_tokens(story, tmp_path, letters):
    made = [
        tokenised(open_sources(story), world(), tmp_path / "t"),
        tokenised(open_sources(story), letters, tmp_path / "t"),
        tokenised(open_sources(story), world(), tmp_path / "t", Settings(leading=None)),
        tokenised(open_sources(story), world(), tmp_path / "t", Settings(ending=None)),
    ]
    story.write_text(story.read_text().replace("Tale 3", "Tale 8"))
    made.append(tokenised(open_sources(story), world(), tmp_path / "t"))
    assert len({tokens.fingerprint for tokens in made}) == 5
    tokenised(open_sources(story), world(), tmp_path / "t", Settings(threads=2))
    assert len(list((tmp_path / "t").iterdir())) == 5


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: (f / "tokens.bin").write_bytes((f / "tokens.bin").read_bytes()[:-1]),
        lambda f: (f / "tokens.bin").write_bytes(b"\7" + (f / "tokens.bin").read_bytes()[1:]),
        lambda f: (f / "documents.idx").unlink(),
        lambda f: (f / "meta.json").unlink(),
        lambda f: (f / "meta.json").write_text("{"),
        lambda f: (f / "meta.json").write_text("[]"),
        lambda f: (f / "meta.json").write_text((f / "meta.json").read_text().replace('"version": 1', '"version": 9')),
        lambda f: (f / "meta.json").write_text((f / "meta.json").read_text().replace('"tokens": ', '"tokens": 1')),
    ],
)
def test_a_torn_folder_is_refused_and_made_again(story, tmp_path, harm):
    good = tokenised(open_sources(story), world(), tmp_path / "t")
    ids = good.ids.tolist()
    del good
    harm(folder_of(tmp_path))
    with pytest.raises((FormatError, TruncatedFile), match=r"tokenise the data again|delete the folder"):
        Tokens.open(folder_of(tmp_path))
    assert tokenised(open_sources(story), world(), tmp_path / "t").ids.tolist() == ids


def test_a_full_disk_leaves_nothing(story, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.TokenWriter, "_append", full)
    with pytest.raises(SettingsError, match=r"tokens-\w+: cannot be written \(No space left on device\); free some"):
        tokenised(open_sources(story), world(), tmp_path / "t")
    assert list((tmp_path / "t").iterdir()) == []


def test_a_folder_that_cannot_be(story, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="cannot be written"):
        tokenised(open_sources(story), world(), tmp_path / "file" / "t")


@pytest.mark.parametrize("content", ["", "\n\n", '{"text": ""}\n'])
def test_no_text_is_an_error(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"a\.jsonl: no text in it; training needs a document of one byte or more"):
        tokenised(open_sources(path), world(), tmp_path / "t")
    assert not list((tmp_path / "t").iterdir())


def test_empty_documents_are_left_out(tmp_path, letters):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": ""}\n{"text": "x"}\n{"text": ""}\n')
    tokens = tokenised(open_sources(path), letters, tmp_path / "t")
    assert tokens.ids.tolist() == [0, ord("x") + 1]
    assert (tokens.meta["documents"], tokens.meta["empty"]) == (1, 2)


def test_the_mask_begins_with_the_first_that_is_not_learned(tmp_path, letters):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "plain"}\n{"turns": [["User", "q"], ["Assistant", "a"]]}\n{"text": "end"}\n')
    tokens = tokenised(open_sources(path), letters, tmp_path / "t")
    learned = bytes((tokens.ids[tokens.mask == 1] - 1).astype(np.uint8)).replace(b"\xff", b"|")
    assert learned == b"|plain| a\n\n|end"
    assert tokens.meta["targets"] == int(tokens.mask.sum())


def test_large_vocabularies_take_four_bytes(tmp_path):
    wide = WorldTokenizer({70_000: b"a", 3: b"b"}, "wide")
    (tmp_path / "a.txt").write_text("ab")
    tokens = tokenised(open_sources(tmp_path / "a.txt"), wide, tmp_path / "t")
    assert tokens.ids.dtype == np.uint32
    assert tokens.ids.tolist() == [0, 70_000, 3]


@pytest.mark.parametrize("size", [10, 6000])
def test_text_that_the_vocabulary_lacks_is_named(tmp_path, monkeypatch, size):
    monkeypatch.setattr(encoding, "CHUNK", 4096)
    (tmp_path / "a.txt").write_text("a" * size + "b")
    with pytest.raises(TokenError, match=r"a\.txt: vocabulary few"):
        tokenised(open_sources(tmp_path / "a.txt"), WorldTokenizer({1: b"a"}, "few"), tmp_path / "t")


def test_ids_of_another_vocabulary_are_named(tmp_path, letters):
    from test_sources import official_binidx

    official_binidx(tmp_path / "d.idx", [[5, 300]])
    with pytest.raises(TokenError, match=r"d\.idx, document 0: token 300 is outside the vocabulary letters of 257 ids"):
        tokenised(open_sources(tmp_path / "d"), letters, tmp_path / "t")


def test_impossible_settings(story, tmp_path, letters):
    with pytest.raises(SettingsError, match="nothing to train on"):
        tokenised([], letters, tmp_path)
    with pytest.raises(SettingsError, match="leading is 257, expected a token of the vocabulary, below 257"):
        tokenised(open_sources(story), letters, tmp_path, Settings(leading=257))
    with pytest.raises(SettingsError, match="threads is -1"):
        tokenised(open_sources(story), letters, tmp_path, Settings(threads=-1))


def test_large_files_are_known_by_samples_and_date(tmp_path, monkeypatch):
    from rookery.train.data.sources import base

    monkeypatch.setattr(base, "WHOLE", 1000)
    path = tmp_path / "a.txt"
    path.write_bytes(bytes(1_000_000))
    before = base.file_identity(path)
    assert base.file_identity(path) == before
    os.utime(path, (1, 1))
    assert base.file_identity(path) != before


def test_what_a_killed_process_left_is_removed_a_day_later(story, tmp_path):
    name = tokenised(open_sources(story), world(), tmp_path / "t") and folder_of(tmp_path).name
    (tmp_path / "t" / name / "meta.json").unlink()
    old, new = (tmp_path / "t" / f".{name}.{which}" for which in ("old", "new"))
    for left in (old, new):
        left.mkdir()
        (left / "tokens.bin").write_bytes(b"half")
    for path in (old / "tokens.bin", old):
        os.utime(path, (1, 1))
    tokenised(open_sources(story), world(), tmp_path / "t")
    assert not old.exists()
    assert new.exists()


def test_nothing_heavy_is_imported():
    code = "import rookery.train.data, rookery.train.vocabulary, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pyarrow", "datasets", "rich", "click", "platformdirs"} & set(done.stdout.split())


def test_two_at_once(story, tmp_path, monkeypatch):
    """Another process finishes the same folder while this one writes."""
    done = []

    def meanwhile(_done, _total):
        if not done:
            done.append(True)
            tokenised(open_sources(story), world(), tmp_path / "t")

    tokens = tokenised(open_sources(story), world(), tmp_path / "t", progress=meanwhile)
    assert len(tokens) == 50
    assert len(list((tmp_path / "t").iterdir())) == 1
