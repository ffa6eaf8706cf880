"""The cache: used when whole, rebuilt when not, never an error; and the packed form it holds."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery._native import Trie
from rookery.tokenizer import cache
from rookery.tokenizer.vocabulary import table

TOKENS = {1: b"a", 2: b"ab", 3: b"b", 9: b"abc"}
PACKED = Trie(table(TOKENS)).pack()
HEAD = 32 + len(table(TOKENS))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_folder", lambda: tmp_path / "new" / "cache")
    return tmp_path / "new" / "cache"


def never():
    raise AssertionError("the vocabulary was parsed although it is cached")


def stored(folder):
    (path,) = folder.iterdir()
    return path


def test_the_second_time_comes_from_the_cache(folder):
    first = cache.trie_for(b"source", lambda: table(TOKENS))
    second = cache.trie_for(b"source", never)
    assert first.table == second.table == table(TOKENS)
    assert second.encode(b"abcab").tolist() == [9, 2]
    with pytest.raises(AssertionError):
        cache.trie_for(b"other source", never)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:31],
        lambda b: b[:-1],
        lambda b: b + b"x",
        lambda b: b[:90] + bytes([b[90] ^ 1]) + b[91:],
    ],
)
def test_a_damaged_file_is_rebuilt(folder, damage):
    cache.trie_for(b"source", lambda: table(TOKENS))
    path = stored(folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert cache.trie_for(b"source", lambda: table(TOKENS)).table == table(TOKENS)
    assert path.read_bytes() == whole


def test_a_file_of_another_source_is_not_taken(folder):
    cache.trie_for(b"source", lambda: table(TOKENS))
    path = stored(folder)
    other = cache.trie_for(b"other", lambda: table({5: b"z"}))
    (other_path,) = set(folder.iterdir()) - {path}
    other_path.write_bytes(path.read_bytes())
    assert cache.trie_for(b"other", lambda: table({5: b"z"})).table == other.table


def test_without_a_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(cache, "_folder", lambda: tmp_path / "file" / "below")
    for _ in range(2):
        assert cache.trie_for(b"source", lambda: table(TOKENS)).table == table(TOKENS)


def test_without_a_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cache, "_folder", lambda: Path("~/.cache/rookery"))
    assert cache.trie_for(b"source", lambda: table(TOKENS)).table == table(TOKENS)
    assert not list(tmp_path.iterdir())


def test_two_processes_at_once(tmp_path):
    code = "from rookery.tokenizer import world; print(world().encode('Hello, world!'))"
    env = os.environ | {name: str(tmp_path) for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME")}
    env["PYTHONPATH"] = os.pathsep.join(sys.path)
    both = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate(timeout=60)[0].strip() for process in both] == [b"[33155, 45, 40213, 34]"] * 2
    files = list(tmp_path.rglob("*vocabulary-*"))
    assert len(files) == 1, "one finished file, nothing left half-written"
    assert cache._read(files[0], bytes.fromhex(files[0].name.split("-")[1].split(".")[0])) is not None


def test_packed_round_trip():
    trie = Trie.unpack(PACKED)
    assert trie.pack() == PACKED
    assert [trie.token(id) for id in range(11)] == [TOKENS.get(id, b"") for id in range(11)]


@settings(deadline=None)
@given(st.integers(0, len(PACKED) - 1))
def test_any_truncation_is_refused(size):
    with pytest.raises(ValueError, match="packed vocabulary"):
        Trie.unpack(PACKED[:size])


@settings(deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.integers(0, HEAD + 40), st.integers(0, len(PACKED) - 1)),
        st.integers(0, 255),
        min_size=1,
        max_size=4,
    ),
    st.binary(max_size=30),
)
def test_a_changed_packed_form_is_refused_or_stays_inside_itself(changes, text):
    changed = bytearray(PACKED)
    for at, byte in changes.items():
        changed[at] = byte
    try:
        trie = Trie.unpack(bytes(changed))
        ids = trie.encode(text + b"abcb").tolist()
    except ValueError:
        return
    assert all(0 <= id < trie.size for id in ids)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (b"\1\0\0", "ends inside an entry"),
        (b"\1\0\0\0\2\0\0\0a", "ends inside token 1"),
        (b"\1\0\0\0\0\0\0\0", "token 1 has 0 bytes"),
        (b"\1\0\0\0\xff\xff\xff\xffa", "token 1 has 4294967295 bytes"),
        (b"\0\0\x40\0\1\0\0\0a", "token 4194304 is too high"),
        (table({5: b"a"}) + table({5: b"b"}), "token 5 is out of order"),
    ],
)
def test_hostile_tables(entries, message):
    with pytest.raises(ValueError, match=message):
        Trie(entries)


def test_native_code_lets_others_run():
    """While one thread encodes, another must get on with its work."""
    trie, text, events = Trie(table(TOKENS)), b"abcab" * 8_000_000, []

    def encode():
        events.append("begin")
        trie.encode(text)
        events.append("end")

    worker = threading.Thread(target=encode)
    worker.start()
    while worker.is_alive():
        events.append("turn")
        time.sleep(0.005)
    turns = events[events.index("begin") : events.index("end")].count("turn")
    assert turns > 2, "one or two can fall between the call and its neighbours"
