"""The World tokenizer against published pairs, the official vectors, another implementation and a naive encoder."""

import base64
import json
import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import TokenError
from rookery.tokenizer import WorldTokenizer, world

PAIRS = [
    ("", []),
    ("Hello, world!", [33155, 45, 40213, 34]),
    ("\n", [11]),
    ("\n\n", [261]),
    ("\n\n\n", [3328]),
    ("\n\n\n\n", [19239]),
    ("\n\n\n\n\n", [28349]),
    ("\r\n", [263]),
    ("\r\n\r\n", [19244]),
    ("\t", [10]),
    ("\t\t", [257]),
    (" ", [33]),
    ("  ", [267]),
    ("   ", [3340]),
    ("    ", [19250]),
    (" " * 8, [49927]),
    (" " * 200, [65529, 65522]),
    (".\n\n", [47, 261]),
    ("。\n", [28329]),
    ("。\n\n", [28329, 11]),
    ("…\n", [28324]),
    ("，\n", [28331]),
    (" \n\n", [3336]),
    ("User: hi\n\nAssistant:", [24281, 59, 4571, 261, 5585, 41693, 59]),
    ("Assistant: ", [5585, 41693, 59, 33]),
    (
        "System: You are helpful.\n\nUser: hi\n\nAssistant:",
        [40812, 59, 21189, 21286, 51922, 47, 261, 24281, 59, 4571, 261, 5585, 41693, 59],
    ),
    ("<think>", [61, 35762, 63]),
    ("Assistant: <think", [5585, 41693, 59, 295, 35762]),
    ("<think>\n</think>", [61, 35762, 63, 11, 754, 35762, 63]),
    ("<think></think>", [61, 35762, 5439, 35762, 63]),
    ("<|endoftext|>", [61, 125, 25258, 7588, 2318, 125, 63]),
    ("12345", [632, 654, 54]),
    ("3.14159", [52, 47, 634, 635, 58]),
    ("2024-01-01", [640, 644, 46, 621, 46, 621]),
    ("def f(x):\n    return x**2\n", [7334, 337, 41, 121, 501, 28352, 42178, 355, 520, 51, 11]),
    ('```json\n{"a": 1}\n```', [6884, 26060, 11, 2364, 98, 388, 284, 126, 11, 6884]),
    ("The Eiffel tower is in the city of", [6699, 304, 25740, 109, 39990, 4600, 4596, 22590, 30449, 4706]),
    ("你好，世界", [10464, 11685, 19137, 10267, 14610]),
    ("こんにちは", [10115, 10165, 10136, 10127, 10139]),
    ("안녕하세요", [18815, 3266, 150, 19052, 18777, 18862]),
    ("Привет", [27858, 27950, 27930]),
    ("😀", [3319, 153, 129]),
    ("👨\u200d👩\u200d👧", [3319, 146, 169, 9810, 3319, 146, 170, 9810, 3319, 146, 168]),
    ("\u00e9", [2503]),
    ("e\u0301", [102, 2672]),
    (b"\xff\xfe", [256, 255]),
    (b"\xe4\xbd", [3030]),
    (b"\xf0\x9f\x98", [3319, 153]),
    (b"\xc3\x28", [196, 41]),
    ("\0", [1]),
    ("\x7f", [128]),
]

SCRIPTS = st.sampled_from(
    [
        "aetho ",
        "0123.,",
        "\n\r\t ",
        "的一是。，\n",
        "あいうの",
        "한국어",
        "прив",
        "مرحبا",
        "हिन्",
        "ελλη",
        "😀👩\u200d🏽🇫🇷",
        "(){};=_\"'`",
    ]
)
TEXT = st.lists(st.one_of(SCRIPTS.flatmap(st.text), st.text(max_size=8)), max_size=8).map("".join)


@pytest.mark.parametrize(("text", "ids"), PAIRS)
def test_reference_pairs(text, ids):
    assert world().encode(text) == ids
    raw = text.encode() if isinstance(text, str) else text
    assert world().decode_bytes(ids) == raw
    assert world().encode(raw) == ids


def test_what_it_is():
    tokenizer = world()
    assert (tokenizer.name, tokenizer.vocab_size) == ("world", 65530)
    assert tokenizer is world()
    assert [tokenizer.token_bytes(byte + 1) for byte in range(256)] == [bytes([byte]) for byte in range(256)]
    assert tokenizer.token_bytes(65529) == b" " * 128


@pytest.mark.parametrize("id", [0, 65530, 65535, 65536, 2**40, np.int32(65531)])
def test_ids_without_a_token_are_silent(id):
    assert world().token_bytes(id) == b""
    assert world().decode([33155, id, 34]) == "Hello!"


@pytest.mark.parametrize("ids", [[-1], [3, -(2**40)], [2**70], [1.5], ["a"], [None], 7, np.array([1.0]), "text"])
def test_impossible_ids(ids):
    with pytest.raises(TokenError):
        world().decode(ids)


def test_ids_in_any_container():
    ids = [33155, 45, 40213, 34]
    for given_ids in (
        ids,
        tuple(ids),
        iter(ids),
        np.array(ids),
        np.array(ids, np.uint16),
        np.array(ids)[::1],
        np.array([ids, ids]).T[:, 0],
    ):
        assert world().decode(given_ids) == "Hello, world!"


def test_text_in_any_container():
    for text in ("hé", "hé".encode(), bytearray("hé".encode()), memoryview("hé".encode())):
        assert world().decode(world().encode(text)) == "hé"
    for wrong in (5, None, ["a"]):
        with pytest.raises(TokenError, match="expected str or bytes"):
            world().encode(wrong)


def test_surrogates():
    assert world().encode("\ud83d\ude00") == world().encode("😀")
    assert world().decode(world().encode("a\ud800b\udc80")) == "a\ufffdb\ufffd"


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("pyrwkv_tokenizer").RWKVTokenizer()


@settings(max_examples=300, deadline=None)
@given(text=TEXT)
def test_encode_equals_another_implementation(peer, text):
    assert world().encode(text) == peer.encode(text)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_round_trip_of_any_bytes(raw):
    ids = world().encode(raw)
    assert world().decode_bytes(ids) == raw
    assert world().decode(ids) == raw.decode("utf-8", "replace")


@settings(deadline=None)
@given(st.lists(st.integers(0, 65535), max_size=20))
def test_stream_equals_whole(ids):
    stream = world().stream()
    pieces = [stream.feed(id) for id in ids] + [stream.flush()]
    assert "".join(pieces) == world().decode(ids)
    assert stream.flush() == ""


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=3), max_size=12))
def test_stream_of_broken_bytes_holds_back_little(chunks):
    stream = world().stream()
    text = ""
    for end, chunk in enumerate(chunks, 1):
        text += "".join(stream.feed(byte + 1) for byte in chunk)
        sure = b"".join(chunks[:end])[:-3].decode("utf-8", "ignore")
        assert len(text) >= len(sure)
    assert text + stream.flush() == b"".join(chunks).decode("utf-8", "replace")


def test_stream_emits_as_soon_as_a_character_is_complete():
    stream = world().stream()
    assert [stream.feed(id) for id in (3319, 153, 129, 33)] == ["", "", "😀", " "]
    assert [stream.feed(id) for id in (3319, 98)] == ["", "\ufffda"]
    assert (stream.feed(3319), stream.flush(), stream.feed(98)) == ("", "\ufffd", "a")


@st.composite
def vocabularies(draw):
    tokens = draw(st.sets(st.binary(min_size=1, max_size=5), max_size=30))
    ids = draw(st.lists(st.integers(0, 3000), min_size=len(tokens), max_size=len(tokens), unique=True))
    return dict(zip(ids, tokens, strict=True))


def longest_match(vocabulary, text):
    ids = {token: id for id, token in vocabulary.items()}
    out, position = [], 0
    while position < len(text):
        lengths = [n for n in range(1, 6) if text[position : position + n] in ids and position + n <= len(text)]
        if not lengths:
            return position
        out.append(ids[text[position : position + lengths[-1]]])
        position += lengths[-1]
    return out


@settings(max_examples=200, deadline=None)
@given(vocabularies(), st.data())
def test_any_vocabulary_equals_the_naive_encoder(vocabulary, data):
    text = b"".join(data.draw(st.lists(st.sampled_from([*vocabulary.values(), b"a", b"\xff"]), max_size=10)))
    expected = longest_match(vocabulary, text)
    tokenizer = WorldTokenizer(vocabulary, "odd")
    if isinstance(expected, int):
        with pytest.raises(TokenError, match=f"begins with byte {text[expected]} at position {expected} "):
            tokenizer.encode(text)
    else:
        assert tokenizer.encode(text) == expected
        assert tokenizer.decode_bytes(expected) == text


def test_wide_and_deep_vocabularies():
    wide = {i: i.to_bytes(2, "big") for i in range(65536)}
    text = np.random.default_rng(1).bytes(5000)
    assert WorldTokenizer(wide, "wide").encode(text) == np.frombuffer(text, ">u2").tolist()
    deep = {n: b"a" * n for n in range(1, 1025)}
    assert WorldTokenizer(deep, "deep").encode(b"a" * 2500) == [1024, 1024, 452]
    sparse = {i: bytes([i % 256, 0, i // 256 * 37 % 256, 255 * (i % 2), i // 256]) for i in range(4096)}
    text = b"".join(sparse.values())
    assert WorldTokenizer(sparse, "sparse").encode(text) == list(range(4096))


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ({1: b"a", 2: b"a"}, "tokens 1 and 2 have the same bytes"),
        ({-1: b"a"}, "got id -1"),
        ({1 << 22: b"a"}, "got id 4194304"),
        ({1: "a"}, "got id 1"),
        ({1: b"a" * 1025}, "token 1 has 1025 bytes; expected 1 to 1024"),
    ],
)
def test_impossible_vocabularies(vocabulary, message):
    with pytest.raises(TokenError, match=message):
        WorldTokenizer(vocabulary, "mine")


def test_empty_vocabulary():
    tokenizer = WorldTokenizer({}, "none")
    assert (tokenizer.encode(""), tokenizer.decode([1, 2]), tokenizer.vocab_size) == ([], "", 0)
    with pytest.raises(TokenError, match="begins with byte 97 at position 0"):
        tokenizer.encode("a")


@pytest.mark.shared
def test_shared_vectors(shared):
    with lzma.open(shared / "data/tokenizer/world_vectors.dev.jsonl.xz", "rt", encoding="utf-8") as lines:
        cases = [json.loads(line) for line in lines]
    assert len(cases) > 100
    for case in cases:
        raw = base64.b64decode(case["bytes_b64"])
        assert world().encode(raw) == case["ids"], case["tag"]
        assert world().decode_bytes(case["ids"]) == raw


@pytest.mark.shared
def test_official_vectors(shared):
    for case in json.loads((shared / "fixtures/official_vectors/world_tokenizer.json").read_text()):
        assert world().encode(bytes.fromhex(case["hex"])) == case["ids"]
