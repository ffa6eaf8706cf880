"""Vocabularies made for a text: every byte is in them, they beat simple choices, and they are repeatable."""

import re
from collections import Counter

import pytest

from rookery.errors import FormatError, SettingsError
from rookery.tokenizer import WorldTokenizer, load_tokenizer
from rookery.tokenizer import vocabulary as vocabularies
from rookery.train.data import open_sources
from rookery.train.vocabulary import train_vocabulary
from rookery.train.vocabulary.candidates import LEAST, LONGEST, candidates
from rookery.train.vocabulary.search import choose
from rookery.train.vocabulary.words import Words, counted


@pytest.fixture(scope="module")
def made(book):
    return train_vocabulary(open_sources(book), 1024)


WORD = r"\n+| +|[\r\t]+|['’][a-z]{1,2}| ?[^\W\d_]+| ?\d| ?(?:[^\w\s]|_)+"


def cost(tokens, text: bytes) -> int:
    """Tokens that greedy longest match needs, byte tokens included."""
    listed = [bytes([byte]) for byte in range(256)] + sorted(set(tokens))
    return len(WorldTokenizer(dict(enumerate(listed, 1)), "tried").encode(text))


def test_it_has_the_form_of_the_world(made):
    assert list(made.vocabulary) == list(range(1, 1024))
    assert [made.vocabulary[i] for i in range(1, 257)] == [bytes([b]) for b in range(256)]
    assert len(set(made.vocabulary.values())) == 1023
    rest = [made.vocabulary[i] for i in range(257, 1024)]
    assert rest == sorted(rest, key=lambda token: (len(token), token))
    assert all(token.decode() for token in rest)  # whole characters


def test_every_byte_survives(made, book):
    tokenizer = WorldTokenizer(made.vocabulary, "made")
    for text in (book.read_bytes(), bytes(range(256)) * 2, "日本 🪿 ü".encode()):
        assert tokenizer.decode_bytes(tokenizer.encode(text)) == text


def test_what_it_says_is_what_the_tokenizer_does(made, book):
    text = book.read_bytes()
    assert made.bytes == len(text)
    assert made.bytes_per_token == len(text) / len(WorldTokenizer(made.vocabulary).encode(text))


def test_it_beats_the_most_frequent_words_and_the_most_frequent_stretches(made, book):
    text = book.read_bytes()
    words = counted([text])
    wanted = 1023 - 256
    chosen = len(text) / made.bytes_per_token
    frequent = sorted(zip(-words.counts, words.words, strict=True))
    by_count = [word for _, word in frequent if len(word) > 1][:wanted]
    assert chosen < 0.92 * cost(by_count, text)
    assert chosen < 0.85 * cost(candidates(words, wanted), text)


def test_it_beats_byte_pair_encoding(made, book):
    """Of the `tokenizers` package, on the same text, with as many tokens."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers")
    bytelevel = tokenizers.pre_tokenizers.ByteLevel
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    peer.pre_tokenizer = bytelevel(add_prefix_space=False)
    text = book.read_text(encoding="utf-8")
    peer.train_from_iterator(
        [text],
        tokenizers.trainers.BpeTrainer(vocab_size=1023, initial_alphabet=bytelevel.alphabet(), show_progress=False),
    )
    assert made.bytes_per_token > len(text.encode()) / len(peer.encode(text).ids)


def test_equal_texts_give_equal_vocabularies(made, book):
    assert train_vocabulary(open_sources(book), 1024).vocabulary == made.vocabulary


def test_nothing_crosses_words(made):
    for token in list(made.vocabulary.values())[256:]:
        text = token.decode()
        assert re.fullmatch(WORD, text), text


def test_only_bytes(book):
    made = train_vocabulary(open_sources(book), 257)
    assert len(made.vocabulary) == 256
    assert made.bytes_per_token == 1


def test_fewer_words_than_asked_for(tmp_path):
    (tmp_path / "a.txt").write_text("the goose and the gander and the goose")
    made = train_vocabulary(open_sources(tmp_path / "a.txt"), 4096)
    assert 256 < len(made.vocabulary) < 300
    assert b" goose" in made.vocabulary.values()


@pytest.mark.parametrize("size", [256, 0, -1, 65537])
def test_impossible_sizes(book, size):
    with pytest.raises(SettingsError, match=f"size is {size}, expected 257"):
        train_vocabulary(open_sources(book), size)


def test_no_text(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(SettingsError, match="no text in the files"):
        train_vocabulary(open_sources(tmp_path / "a.txt"), 300)
    with pytest.raises(SettingsError, match="sample is 0"):
        train_vocabulary(open_sources(tmp_path / "a.txt"), 300, sample=0)


def test_a_sample_is_read_evenly(tmp_path):
    lines = (f"{'ab' if i < 100_000 else 'yz'}{i % 97} some words here\n" for i in range(200_000))
    (tmp_path / "a.txt").write_text("".join(lines))
    made = train_vocabulary(open_sources(tmp_path / "a.txt"), 400, sample=2_000_000)
    assert 1_000_000 < made.bytes < 3_200_000
    assert {b"ab", b"yz"} <= set(made.vocabulary.values())


# ---------------------------------------------------------------- parts


def test_words():
    text = "Don't stop! 42 geese ,, \n\n  deep\tein Süßes “Zitat” 世界和平万岁大家好 🪿".encode()
    assert [w.decode() for w in counted([text]).words] == sorted(
        ["Don", "'t", " stop", "!", " 4", "2", " geese", " ,,", " ", "\n\n", "  ", "deep", "\t", "ein", " Süßes", " “",
         "Zitat", "”", " 世界和平万岁", "大家好", " 🪿"], key=str.encode)  # fmt: skip


def test_rare_words_are_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr("rookery.train.vocabulary.words.MOST_WORDS", 50)
    found = counted(f" common w{'x' * (i % 20)}{chr(97 + i % 26) * (i // 26 % 30)}".encode() for i in range(500))
    assert b" common" in found.words
    assert len(found) <= 80


def slow_candidates(words):
    counts = Counter()
    for word, count in zip(words.words, words.counts.tolist(), strict=True):
        for length in range(2, min(len(word), LONGEST) + 1):
            for at in range(len(word) - length + 1):
                counts[word[at : at + length]] += count

    def whole(s):
        try:
            return bool(s.decode())
        except UnicodeDecodeError:
            return False

    return {s: c * (len(s) - 1) for s, c in counts.items() if c >= LEAST and whole(s)}


def test_candidates_are_what_counting_by_hand_finds():
    words = counted(["the goose, the geese; ünder the müller's mill, goosegoose. ".encode() * 2, b"aaaaaaaaaa aaaa"])
    slow = slow_candidates(words)
    assert set(candidates(words, 10_000)) == set(slow)
    best = candidates(words, 20)
    assert sorted(slow[s] for s in best) == sorted(slow.values())[-20:]
    assert candidates(Words(Counter({b"a": 1})), 10) == []


def test_the_best_pair_is_found_by_trying_all():
    """Small enough to try every choice of two tokens."""
    text = b" banana band ban bandana and a banana"
    words = counted([text])
    pool = candidates(words, 100)
    found = choose(words, pool, 2)
    tried = {frozenset((a, b)): cost((a, b), text) for a in pool for b in pool if a < b}
    assert found.cost <= min(tried.values()) + 2


# ---------------------------------------------------------------- the file


def test_the_file_is_read_back(made, tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(vocabularies.written(made.vocabulary))
    assert vocabularies.parse(path.read_bytes(), path) == made.vocabulary
    assert load_tokenizer(path).fingerprint == WorldTokenizer(made.vocabulary).fingerprint


def test_awkward_tokens_are_written_so_that_they_are_read():
    awkward = ["'", '"', "'\"", "\\", "\\U0001", "\U000e0001", "\u2028", "\xa0", "🪿", "\\\\U", "x\U000e0001\\U"]
    tokens = {i: t.encode() for i, t in enumerate(awkward, 1)} | {99: b"\\U\xff", 100: b"'\"\x80\n"}
    assert vocabularies.parse(vocabularies.written(tokens), None) == tokens


def test_the_world_is_written_as_it_was():
    from rookery.tokenizer import choose as chosen

    world = chosen.world()
    vocabulary = {id: world.token_bytes(id) for id in range(1, world.vocab_size)}
    assert vocabularies.parse(vocabularies.written(vocabulary), None) == {k: v for k, v in vocabulary.items() if v}
    with pytest.raises(FormatError):
        vocabularies.parse(b"1 'a' 2\n", __import__("pathlib").Path("x"))
