"""
Where a generation ends.

`StopMatcher` watches the bytes of a reply for stop strings and its tokens for stop tokens.  It works on bytes, so
a stop may be spread over tokens and begin or end inside a character.  It knows nothing of models or decoding.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rookery.errors import SettingsError

__all__ = ["Fed", "Stop", "StopMatcher"]

MAX_STOP_BYTES = 1 << 16  # all strings of one matcher together


@dataclass(frozen=True, slots=True)
class Stop:
    """What ended the reply, and where.

    start, end: byte offsets in everything fed: of the stop's first byte, and just after its last.  For a stop
                token, whose own bytes are not part of the stream, both are the number of bytes fed before it.
    text:       the stop string, or None if a token stopped.
    token:      the stop token, or None if a string stopped.
    """

    start: int
    end: int
    text: bytes | None = None
    token: int | None = None


class Fed(NamedTuple):
    """release: bytes that are certainly not part of a stop; stop: what ended the reply, if it has ended."""

    release: bytes
    stop: Stop | None


class StopMatcher:
    """Finds the first stop in a stream of pieces, holding back only what may still become one.

    stop:        strings that end the reply, wherever they occur.
    stop_tokens: token ids that end it; the bytes of such a token are dropped.
    late, gate:  strings that end the reply only if they begin after the first occurrence of `gate`: a line break
                 that ends a turn may stand inside the reasoning before it.

    The string completed first wins; among several completed by the same byte, the longest.  How the stream is cut
    into pieces changes nothing.  Time is linear in the bytes fed, whatever the strings.

    Raises SettingsError for an empty string, for a `late` without a `gate`, and beyond 64 KiB of strings.
    """

    def __init__(
        self,
        stop: Sequence[str | bytes] = (),
        stop_tokens: Iterable[int] = (),
        *,
        late: Sequence[str | bytes] = (),
        gate: str | bytes | None = None,
    ) -> None:
        always, after = _texts("stop", stop), _texts("late", late)
        if bool(after) != (gate is not None):
            raise SettingsError(
                "late stop strings and the gate after which they count come together; give both or none"
            )
        opening = _texts("gate", [gate]) if gate is not None else []
        if sum(map(len, always + after + opening)) > MAX_STOP_BYTES:
            raise SettingsError(f"stop strings hold more than {MAX_STOP_BYTES} bytes in all; use fewer or shorter ones")
        self._tokens = frozenset(stop_tokens)
        self._stop: Stop | None
        self._automata = [_Automaton(always), _Automaton(opening), _Automaton(after)]
        self.reset()

    @property
    def pending(self) -> int:
        """How many bytes are held back: the longest end of the stream that begins some stop string."""
        return len(self._held)

    @property
    def stop(self) -> Stop | None:
        """What ended the reply; None while it goes on."""
        return self._stop

    def feed(self, piece: bytes, token: int | None = None) -> Fed:
        """Take the next token's bytes.

        token: its id, needed only where stop tokens are to be seen.

        Returns the bytes to pass on and the stop if there was one; what follows a stop in `piece` is dropped.
        Raises SettingsError after a stop: `reset` first.
        """
        if self._stop is not None:
            raise SettingsError("the stop matcher was fed after a stop; call reset() to begin another reply")
        if token is not None and token in self._tokens:
            self._stop = Stop(self._fed, self._fed, token=token)
            return Fed(self.finish(), self._stop)
        begin = self._fed - len(self._held)  # the offset of the first byte held
        self._held += piece
        for byte in piece:
            found = self._step(byte)
            self._fed += 1
            if found is not None:
                self._stop = Stop(self._fed - len(found), self._fed, text=found)
                return Fed(self.finish()[: self._stop.start - begin], self._stop)
        return Fed(self._take(len(self._held) - self._depth()), None)

    def finish(self) -> bytes:
        """The bytes held back, when the reply ends for another reason."""
        return self._take(len(self._held))

    def clone(self) -> StopMatcher:
        """A snapshot that goes on independently."""
        twin = object.__new__(StopMatcher)
        twin.__dict__.update(self.__dict__)
        twin._nodes, twin._held = self._nodes.copy(), self._held.copy()
        return twin

    def reset(self) -> None:
        """Begin another reply."""
        self._nodes = [0, 0, 0]  # in the automata of stops, gate and late stops
        self._open = False  # has the gate been passed?
        self._held = bytearray()
        self._fed = 0
        self._stop = None

    def _take(self, count: int) -> bytes:
        taken = bytes(self._held[:count])
        del self._held[:count]  # moves nothing: a bytearray remembers where it begins
        return taken

    def _step(self, byte: int) -> bytes | None:
        """Advance by a byte; the stop string it completes, if any."""
        nodes, (always, gate, late) = self._nodes, self._automata
        nodes[0] = always.step(nodes[0], byte)
        found = always.found[nodes[0]]
        if not self._open:
            nodes[1] = gate.step(nodes[1], byte)
            self._open = gate.found[nodes[1]] is not None
            return found
        nodes[2] = late.step(nodes[2], byte)
        return max(found, late.found[nodes[2]], key=lambda text: len(text or b""))

    def _depth(self) -> int:
        always, _, late = self._automata
        return max(always.depth[self._nodes[0]], late.depth[self._nodes[2]])


class _Automaton:
    """Aho and Corasick's automaton: node 0 is the root, a node is the longest known prefix ending at this byte.

    depth: the length of each node's prefix.
    found: the longest text that ends at the node, or None.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        self._next: list[dict[int, int]] = [{}]
        self._fail = [0]
        self.depth = [0]
        self.found: list[bytes | None] = [None]
        for text in texts:
            self._insert(text)
        self._link()

    def step(self, node: int, byte: int) -> int:
        while node and byte not in self._next[node]:
            node = self._fail[node]
        return self._next[node].get(byte, 0)

    def _insert(self, text: bytes) -> None:
        node = 0
        for byte in text:
            if byte not in self._next[node]:
                self._next[node][byte] = len(self._next)
                self._next.append({})
                self._fail.append(0)
                self.found.append(None)
                self.depth.append(self.depth[node] + 1)
            node = self._next[node][byte]
        self.found[node] = text

    def _link(self) -> None:
        """Breadth first: the failure link of a node is its longest proper suffix that is a prefix of some text."""
        queue = deque(self._next[0].values())
        while queue:
            node = queue.popleft()
            self.found[node] = self.found[node] or self.found[self._fail[node]]
            for byte, child in self._next[node].items():
                self._fail[child] = self.step(self._fail[node], byte)
                queue.append(child)


def _texts(name: str, texts: Sequence[str | bytes]) -> list[bytes]:
    if isinstance(texts, str | bytes):
        raise SettingsError(f"{name} is {texts!r}, expected a list of strings")
    return [_text(name, text) for text in texts]


def _text(name: str, text: str | bytes) -> bytes:
    if not isinstance(text, str | bytes) or not text:
        raise SettingsError(f"{name} holds {text!r}, expected strings or bytes that are not empty")
    try:
        return text.encode() if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError:
        raise SettingsError(f"{name} holds {text!r}, which is not valid Unicode; give it as bytes") from None
