"""
A pickle reader that cannot run anything.

Pickle is a small stack language whose programs may call any function.  This machine knows the instructions that
`torch.save` writes for tensors, and nothing is ever looked up or called: a global is only a name, and applying it
(`REDUCE`) is one of three cases spelled out here.  Python's own unpickler is not used even with a filter, because
its memory use is in the hands of the file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rookery.errors import FormatError, RookeryError, UnsafeFile

__all__ = ["Global", "Storage", "TensorRecord", "load"]

_MAX_STEPS = 2_000_000  # instructions; a tensor takes about 40

# Storage classes of torch to element types.
STORAGES = {
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "DoubleStorage": "F64",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
_CALLS = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
}


@dataclass(frozen=True, slots=True)
class Global:
    """A name the pickle asked for.  Never resolved."""

    module: str
    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A block of numbers: element type, key of the data entry, and how many elements it is said to have."""

    format: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor as the pickle describes it.  Nothing in it has been checked against the storage's real size."""

    storage: Storage
    offset: Any
    shape: Any
    strides: Any


class _Mark:
    """The instruction MARK left this on the stack."""


_MARK = _Mark()


def load(data: bytes, origin: str) -> Any:
    """What a pickle describes: dicts, lists, tuples, strings, numbers and `TensorRecord`s.

    UnsafeFile, naming it, for any global or instruction outside the list; FormatError for damage.
    """
    try:
        return _Machine(data, origin).run()
    except RookeryError:
        raise
    except (IndexError, KeyError, OverflowError, TypeError, ValueError, struct.error) as error:
        raise FormatError(f"{origin}: data.pkl is damaged ({type(error).__name__}); fetch the file again") from None


class _Machine:
    """Stack, memo and position.  Malformed programs surface as IndexError, TypeError ... which `load` translates."""

    def __init__(self, data: bytes, origin: str) -> None:
        self.data = data
        self.origin = origin
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}  # a dict: an index of 2^31 costs no more than an index of 1

    def run(self) -> Any:
        for _ in range(_MAX_STEPS):
            code = self.take(1)
            if code == b".":
                return self.stack.pop()
            if code in _REFUSED:
                raise UnsafeFile(
                    f"{self.origin}: data.pkl uses the pickle instruction {_REFUSED[code]}, which a weight file never "
                    "needs; it may run code when opened with other tools. Get the model from a source you trust"
                )
            if code not in _STEPS:
                raise FormatError(f"{self.origin}: data.pkl holds the unexpected byte {code!r}; fetch the file again")
            _STEPS[code](self)
        raise FormatError(f"{self.origin}: data.pkl is longer than {_MAX_STEPS} instructions; this is no checkpoint")

    def take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise FormatError(f"{self.origin}: data.pkl ends too early; fetch the file again")
        piece, self.at = self.data[self.at : end], end
        return piece

    def number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self) -> str:
        end = self.data.index(b"\n", self.at)
        return self.take(end + 1 - self.at)[:-1].decode()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def above_mark(self) -> list[Any]:
        """What was pushed since the last MARK."""
        items: list[Any] = []
        while (value := self.stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def find(self, module: Any, name: Any) -> None:
        known = (module, name) in _CALLS or (module == "torch" and name in STORAGES)
        if not known:
            raise UnsafeFile(
                f"{self.origin}: data.pkl asks for {f'{module}.{name}'[:120]!r}, which a weight file never needs; "
                "it may run code when opened with other tools. Get the model from a source you trust"
            )
        self.push(Global(module, name))

    def find_on_stack(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError
        self.find(module, name)

    def storage(self) -> None:
        """BINPERSID: ('storage', class, key, location, count)."""
        kind, cls, key, location, count = self.stack.pop()
        strings = isinstance(key, str) and isinstance(location, str)
        if kind != "storage" or type(cls) is not Global or cls.module != "torch" or not strings:
            raise TypeError
        if type(count) is not int or count < 0:
            raise ValueError
        self.push(Storage(STORAGES[cls.name], key, count))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            raise TypeError
        self.push(_apply(function.name, arguments))

    def build(self) -> None:
        """Attributes of an OrderedDict (`_metadata`): dropped."""
        self.stack.pop()
        if not isinstance(self.stack[-1], dict):
            raise UnsafeFile(f"{self.origin}: data.pkl sets attributes of an object; only dictionaries are expected")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise TypeError
            if key in target:
                raise FormatError(f"{self.origin}: data.pkl lists {str(key)[:120]!r} twice; fetch the file again")
            target[key] = value

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        self.stack[-1].extend(items)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise IndexError
        self.stack[-count:] = [tuple(self.stack[-count:])]


def _apply(function: str, arguments: tuple[Any, ...]) -> Any:
    """The three calls a checkpoint may make."""
    if function == "OrderedDict" and not arguments:
        return {}
    if function == "_rebuild_tensor_v2" and len(arguments) in (6, 7) and type(arguments[0]) is Storage:
        return TensorRecord(*arguments[:4])
    if function == "_rebuild_parameter" and len(arguments) == 3 and type(arguments[0]) is TensorRecord:
        return arguments[0]
    raise TypeError


_STEPS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda m: m.take(1),  # PROTO: the instructions of all versions are disjoint
    b"\x95": lambda m: m.take(8),  # FRAME: a hint for readers of streams
    b"(": lambda m: m.push(_MARK),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("<B")), "little", signed=True)),
    b"G": lambda m: m.push(m.number(">d")),
    b"X": lambda m: m.push(m.take(m.number("<I")).decode()),
    b"\x8c": lambda m: m.push(m.take(m.number("<B")).decode()),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.above_mark())),
    b"\x85": lambda m: m.tuple_of(1),
    b"\x86": lambda m: m.tuple_of(2),
    b"\x87": lambda m: m.tuple_of(3),
    b"q": lambda m: m.memo.__setitem__(m.number("<B"), m.stack[-1]),
    b"r": lambda m: m.memo.__setitem__(m.number("<I"), m.stack[-1]),
    b"\x94": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    b"h": lambda m: m.push(m.memo[m.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.number("<I")]),
    b"c": lambda m: m.find(m.line(), m.line()),
    b"\x93": _Machine.find_on_stack,
    b"Q": _Machine.storage,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"s": lambda m: m.set_items([m.stack.pop(), m.stack.pop()][::-1]),
    b"u": lambda m: m.set_items(m.above_mark()),
    b"a": lambda m: m.extend([m.stack.pop()]),
    b"e": lambda m: m.extend(m.above_mark()),
}

# Instructions that construct objects or reach outside: named in the error.
_REFUSED = {
    b"i": "INST",
    b"o": "OBJ",
    b"\x81": "NEWOBJ",
    b"\x92": "NEWOBJ_EX",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"P": "PERSID",
    b"\x97": "NEXT_BUFFER",
}
