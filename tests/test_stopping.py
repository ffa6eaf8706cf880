"""Stop strings and tokens, against a search over the whole stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import SettingsError
from rookery.stopping import Stop, StopMatcher


def expected(stream: bytes, stops: list[bytes]) -> tuple[int, int] | None:
    """(start, end) of the string completed first; the longest among several."""
    for end in range(1, len(stream) + 1):
        ends = [s for s in stops if stream[:end].endswith(s)]
        if ends:
            return end - max(map(len, ends)), end
    return None


def held_back(stream: bytes, stops: list[bytes]) -> int:
    return max((k for s in stops for k in range(1, len(s)) if stream.endswith(s[:k])), default=0)


few = st.binary(max_size=40).map(lambda b: bytes(x % 3 + 97 for x in b))
pieces = st.lists(few, max_size=12)
patterns = st.lists(few.filter(bool).map(lambda b: b[:6]), min_size=1, max_size=5)


@given(pieces, patterns)
def test_against_a_search(parts, stops):
    matcher, released, seen = StopMatcher(stops), b"", b""
    for part in parts:
        seen += part
        got = matcher.feed(part)
        released += got.release
        want = expected(seen, stops)
        if want is None:
            assert got.stop is None
            assert matcher.pending == held_back(seen, stops)
            assert released == seen[: len(seen) - matcher.pending]
            continue
        assert got.stop == Stop(*want, text=seen[slice(*want)]) == matcher.stop
        assert released == seen[: want[0]]
        assert matcher.finish() == b""
        return
    assert released + matcher.finish() == seen


@given(pieces, patterns, patterns)
def test_late_stops_count_after_the_gate_only(parts, stops, late):
    gate, stream = b"ab", b"".join(parts)
    opens = stream.find(gate) + len(gate) if gate in stream else len(stream)
    candidates = [
        (found[1], found[0])
        for found in (expected(stream, stops), _shift(expected(stream[opens:], late), opens))
        if found is not None
    ]
    matcher = StopMatcher(stops, late=late, gate=gate)
    released = b""
    for part in parts:
        got = matcher.feed(part)
        released += got.release
        if got.stop is not None:
            break
    stop = matcher.stop
    assert (stop and (stop.end, stop.start)) == (min(candidates) if candidates else None)
    assert released + matcher.finish() == stream[: stop.start if stop else None]


def _shift(found, by):
    return found and (found[0] + by, found[1] + by)


@given(pieces, patterns, st.integers(0, 12))
def test_a_clone_goes_on_independently(parts, stops, at):
    def rest(matcher):
        return [matcher.feed(part) for part in parts[at:] if matcher.stop is None]

    matcher = StopMatcher(stops)
    for part in parts[:at]:
        if matcher.stop is None:
            matcher.feed(part)
    twin = matcher.clone()
    assert rest(matcher) == rest(twin)
    assert matcher.finish() == twin.finish()


def test_a_stop_across_tokens_and_inside_a_character():
    matcher = StopMatcher(["\n\nUser:", "。\n"])
    assert matcher.feed("好".encode()) == ("好".encode(), None)
    assert matcher.feed(b"\n") == (b"", None)
    assert matcher.feed(b"\nUse") == (b"", None)
    assert matcher.feed(b"d\xe3\x80") == (b"\n\nUsed", None)
    assert matcher.pending == 2
    assert matcher.feed(b"\x82\nrest") == (b"", Stop(9, 13, text="。\n".encode()))
    half = StopMatcher([b"\x80"])
    assert half.feed("。".encode()) == (b"\xe3", Stop(1, 2, text=b"\x80"))


def test_the_string_completed_first_wins_and_then_the_longest():
    assert StopMatcher(["abcd", "bc"]).feed(b"xabcd").stop == Stop(2, 4, text=b"bc")
    assert StopMatcher(["c", "abc", "bc"]).feed(b"xabc").stop == Stop(1, 4, text=b"abc")


def test_reasoning_may_hold_blank_lines():
    matcher = StopMatcher(["\n\nUser:"], late=["\n\n"], gate="</think>")
    assert matcher.feed(b">a\n\nb</think").release == b">a\n\nb</think"
    assert matcher.feed(b">\n") == (b">", None)
    assert matcher.feed(b"\n") == (b"", Stop(13, 15, text=b"\n\n"))


def test_stop_tokens_release_what_was_held_back():
    matcher = StopMatcher(["\n\n"], [0])
    assert matcher.feed(b"a\n", 5) == (b"a", None)
    assert matcher.feed(b"<end>", 0) == (b"\n", Stop(2, 2, token=0))
    with pytest.raises(SettingsError, match="after a stop"):
        matcher.feed(b"b")
    matcher.reset()
    assert matcher.feed(b"b", 5) == (b"b", None)


def test_without_stops_everything_passes():
    matcher = StopMatcher()
    assert matcher.feed(b"abc", 0) == (b"abc", None)
    assert matcher.pending == 0


def test_adversarial_strings_take_linear_work():
    """Failure links followed are at most the bytes fed, whatever the strings."""

    class Counting(list):
        reads = 0

        def __getitem__(self, index):
            Counting.reads += 1
            return super().__getitem__(index)

    matcher = StopMatcher([b"a" * 1000 + b"b", b"a" * 500 + b"c"])
    matcher._automata[0]._fail = Counting(matcher._automata[0]._fail)
    stream = (b"a" * 999 + b"d") * 10
    for i in range(0, len(stream), 3):
        assert matcher.feed(stream[i : i + 3]).stop is None
    assert 0 < Counting.reads <= len(stream)


@pytest.mark.parametrize(
    ("given_", "options", "message"),
    [
        ([""], {}, "stop holds ''.*not empty"),
        ([b""], {}, "not empty"),
        ([None], {}, "stop holds None"),
        ("\n\n", {}, "expected a list of strings"),
        (["\ud800"], {}, "not valid Unicode"),
        (["x" * 70000], {}, "more than 65536 bytes"),
        ([], {"late": ["x"]}, "come together"),
        ([], {"gate": "x"}, "come together"),
        ([], {"gate": "", "late": ["x"]}, "gate holds"),
    ],
)
def test_impossible_strings(given_, options, message):
    with pytest.raises(SettingsError, match=message):
        StopMatcher(given_, **options)
