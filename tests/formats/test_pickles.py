"""The pickle machine: what torch writes is understood, everything else is refused, nothing is ever run."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import FormatError, RookeryError, UnsafeFile
from rookery.formats import pickles


class Run:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def load(data: bytes) -> Any:
    return pickles.load(data, "file")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": [1, 300, 70000, -5, 1 << 40, 1 << 70], "c": (1, (2, 3), (), (1, 2, 3, 4))},
        ["x" * 300, "ключ", None, True, False, 1.5],
        OrderedDict(a=1, b=OrderedDict()),
        {str(i): i for i in range(2500)},
    ],
)
def test_agrees_with_python(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    ),
    st.integers(2, 5),
)
def test_agrees_with_python_on_anything(value: Any, protocol: int) -> None:
    assert load(pickle.dumps(value, protocol)) == value


def test_attributes_of_an_ordered_dict_are_dropped() -> None:
    value: Any = OrderedDict(a=1)
    value._metadata = {"": {"version": 1}}
    assert load(pickle.dumps(value, 2)) == {"a": 1}


HOSTILE = {
    "os.system": (Run(os.system, "echo hacked > hacked"), "system"),
    "eval": (Run(eval, "1"), "builtin.*eval"),
    "nested in a dict": ({"a": [1, {"b": Run(exec, "1")}]}, "exec"),
    "getattr": (Run(getattr, OrderedDict, "clear"), "getattr"),
    "a class": (Path("x"), "athlib"),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("case", HOSTILE)
def test_calls_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    value, name = HOSTILE[case]
    with pytest.raises(UnsafeFile, match=name):
        load(pickle.dumps(value, protocol))
    assert list(tmp_path.iterdir()) == []


PROGRAMS = {
    "INST": (b"(S'ls'\nios\nsystem\n.", FormatError),
    "INST first": (b"(ios\nsystem\n.", UnsafeFile),
    "OBJ": (b"(ccollections\nOrderedDict\no.", UnsafeFile),
    "NEWOBJ": (b"ccollections\nOrderedDict\n)\x81.", UnsafeFile),
    "NEWOBJ_EX": (b"ccollections\nOrderedDict\n)}\x92.", UnsafeFile),
    "EXT1": (b"\x82\x01.", UnsafeFile),
    "EXT2": (b"\x83\x01\x00.", UnsafeFile),
    "EXT4": (b"\x84\x01\x00\x00\x00.", UnsafeFile),
    "PERSID": (b"Pstorage\n.", UnsafeFile),
    "BUILD on a list": (b"]}b.", UnsafeFile),
    "torch function": (b"ctorch\nload\n.", UnsafeFile),
    "torch._utils function": (b"ctorch._utils\n_rebuild_sparse_tensor\n.", UnsafeFile),
    "dotted name": (b"ccollections\nOrderedDict.fromkeys\n.", UnsafeFile),
    "STACK_GLOBAL": (b"\x8c\x02os\x8c\x06system\x93.", UnsafeFile),
    "STACK_GLOBAL of numbers": (b"K\x01K\x02\x93.", FormatError),
    "REDUCE of a string": (b"X\x01\x00\x00\x00x)R.", FormatError),
    "REDUCE of a storage class": (b"ctorch\nFloatStorage\n)R.", FormatError),
    "OrderedDict with arguments": (b"ccollections\nOrderedDict\n]\x85R.", FormatError),
    "tensor of nothing": (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", FormatError),
    "tensor of numbers": (b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01K\x01K\x01K\x01K\x01tR.", FormatError),
    "parameter of nothing": (b"ctorch._utils\n_rebuild_parameter\n(NNNtR.", FormatError),
    "persistent id: number": (b"K\x01Q.", FormatError),
    "persistent id: short": (b"K\x01\x85Q.", FormatError),
    "persistent id: not a storage": (b"(X\x01\x00\x00\x00xNNNNtQ.", FormatError),
    "persistent id: class is a call": (
        b"(X\x07\x00\x00\x00storageccollections\nOrderedDict\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ.",
        FormatError,
    ),
    "persistent id: negative count": (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ\xff\xff\xff\xfftQ.",
        FormatError,
    ),
    "empty": (b"", FormatError),
    "only STOP": (b".", FormatError),
    "no STOP": (b"\x80\x02}", FormatError),
    "unmatched mark": (b"t.", FormatError),
    "memo that was never set": (b"hh.", FormatError),
    "append to a tuple": (b")Na.", FormatError),
    "set in a list": (b"]NNs.", FormatError),
    "odd items": (b"}(Nu.", FormatError),
    "unhashable key": (b"}]Ns.", FormatError),
    "tuple key": (b"})Ns.", FormatError),
    "repeated key": (b"}(K\x01NK\x01Nu.", FormatError),
    "string longer than the file": (b"X\xff\xff\xff\x7fx.", FormatError),
    "string that is not UTF-8": (b"X\x01\x00\x00\x00\xff.", FormatError),
    "unfinished global": (b"cos", FormatError),
    "too deep a TUPLE3": (b"N\x87.", FormatError),
}


@pytest.mark.parametrize("case", PROGRAMS)
def test_hostile_programs(case: str) -> None:
    program, error = PROGRAMS[case]
    with pytest.raises(FormatError) as caught:
        load(program)
    assert type(caught.value) is error
    assert str(caught.value).startswith("file: data.pkl")


def test_a_huge_memo_index_costs_nothing() -> None:
    assert load(b"}r" + struct.pack("<I", 0xFFFFFFFE) + b".") == {}


def test_deep_nesting_is_only_data() -> None:
    value = load(b")" + b"\x85" * 200_000 + b".")
    assert isinstance(value, tuple)
    with pytest.raises(FormatError):
        load(b"})" + b"\x85" * 200_000 + b"Ns.")  # hashing such a key would exhaust the C stack


def test_endless_programs_stop() -> None:
    with pytest.raises(FormatError, match="longer than"):
        load(b"N" * 2_000_001 + b".")


@given(st.binary(max_size=60))
def test_random_bytes(data: bytes) -> None:
    try:
        load(data)
    except RookeryError as error:
        assert str(error).startswith("file: data.pkl")  # noqa: PT017


@given(st.lists(st.sampled_from([bytes([b]) for b in b"(N)}]tRbsuaeQ\x85\x86\x87\x88\x93"] + [b"K\1", b"q\1", b"h\1"])))
def test_random_programs(steps: list[bytes]) -> None:
    try:
        load(b"".join(steps) + b".")
    except RookeryError as error:
        assert str(error).startswith("file: data.pkl")  # noqa: PT017
