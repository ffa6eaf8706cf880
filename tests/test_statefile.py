"""State files: what is saved comes back, and nothing else is believed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from goldens import GOLDENS, load_golden
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from small_models import model_of

from rookery import State
from rookery.errors import FormatError, NumericError, RookeryError, SettingsError, StateError, TruncatedFile
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.statefile import CHECKSUM, KEY

_in_one_folder = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(path: Path, name: str = "v7") -> State:
    state = model_of(name).forward(load_golden(name).tokens)[1]
    path.unlink(missing_ok=True)  # what an earlier example damaged would not be replaced
    state.save(path)
    return state


def described(path: Path) -> tuple[str, dict[str, np.ndarray]]:
    with safe_open(path, "np") as file:
        return file.metadata()[KEY], load_file(path)


def written(path: Path, text: str, arrays: dict[str, np.ndarray], checksum: str | None = None) -> Path:
    """A state file with this description, by the library; with a checksum that is right unless given."""
    order = sorted(arrays, key=lambda n: (int(n.split(".")[1]), ["att_x", "wkv", "ffn_x"].index(n.split(".")[2])))
    digest = hashlib.sha256(text.encode())
    for name in order:
        digest.update(arrays[name].tobytes())
    save_file(arrays, path, {KEY: text, CHECKSUM: digest.hexdigest() if checksum is None else checksum})
    return path


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """The same file with its description changed and the checksum made right again."""
    text, arrays = described(path)
    about = json.loads(text)
    edit(about)
    return written(path, json.dumps(about), arrays)


@pytest.mark.parametrize("name", GOLDENS)
def test_what_is_saved_comes_back(name: str, tmp_path: Path) -> None:
    state = saved(tmp_path / "a.state", name)
    again = State.load(tmp_path / "a.state")
    assert again == state
    assert again.data.tobytes() == state.data.tobytes()
    assert again.layout.config == state.layout.config
    model = model_of(name)
    assert np.array_equal(model.forward([5], again)[0], model.forward([5], state)[0])
    assert not again.data.flags.writeable
    state.save(tmp_path / "b.state")
    assert (tmp_path / "a.state").read_bytes() == (tmp_path / "b.state").read_bytes()


def test_the_file_is_what_the_specification_says(tmp_path: Path) -> None:
    """Read with the safetensors package and the page in docs/, without our reader."""
    state = saved(tmp_path / "a.state")
    text, arrays = described(tmp_path / "a.state")
    about = json.loads(text)
    assert about == {
        "format_version": 1,
        "config": about["config"],
        "model": state.model,
        "tokenizer": state.tokenizer,
        "count": 24,
        "chain": state.chain.hex(),
    }
    assert about["config"]["version"] == "7"
    assert about["config"]["layers"] * 3 == len(arrays)
    assert arrays["blocks.2.att_x"].shape == arrays["blocks.2.ffn_x"].shape == (64,)
    golden = load_golden("v7")
    np.testing.assert_allclose(arrays["blocks.2.wkv"].swapaxes(1, 2), golden.state[7], atol=5e-5)
    written(tmp_path / "b.state", text, arrays)
    assert State.load(tmp_path / "b.state") == state


def test_v4_keeps_three_rows(tmp_path: Path) -> None:
    saved(tmp_path / "a.state", "v4")
    memory = described(tmp_path / "a.state")[1]["blocks.0.wkv"]
    np.testing.assert_allclose(memory, np.stack(load_golden("v4").state[1:4]), atol=5e-5)


def test_a_state_of_another_model_is_refused_when_used(tmp_path: Path) -> None:
    saved(tmp_path / "a.state", "v6")
    with pytest.raises(StateError, match="belongs to model"):
        model_of("v7").forward([1], State.load(tmp_path / "a.state"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_neither_saved_nor_loaded(value: float, tmp_path: Path) -> None:
    state = saved(tmp_path / "a.state")
    data = state.data.copy()
    data[-1] = value
    with pytest.raises(NumericError, match=r"blocks\.2\.ffn_x"):
        replace(state, data=data).save(tmp_path / "b.state")
    assert not (tmp_path / "b.state").exists()
    text, arrays = described(tmp_path / "a.state")
    arrays["blocks.2.ffn_x"][-1] = value
    with pytest.raises(StateError, match="NaN or infinity"):
        State.load(written(tmp_path / "a.state", text, arrays))


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    state = saved(tmp_path / "a.state")
    with pytest.raises(NumericError):
        replace(state, data=state.data * np.float32(np.nan)).save(tmp_path / "a.state")
    assert State.load(tmp_path / "a.state") == state
    assert [p.name for p in tmp_path.iterdir()] == ["a.state"]


# ------------------------------------------------------------ descriptions

HUGE = [0, -1, 2**31, 2**40, 2**63, 10**30, 1.0, "3", None, True, [3]]


@pytest.mark.parametrize("field", ["layers", "width", "vocab", "ffn", "head_size"])
@pytest.mark.parametrize("value", HUGE)
def test_sizes_out_of_range(field: str, value: Any, tmp_path: Path) -> None:
    saved(tmp_path / "a.state")
    with pytest.raises(FormatError, match=field):
        State.load(edited(tmp_path / "a.state", lambda about: about["config"].update({field: value})))


@pytest.mark.parametrize("field", ["layers", "width", "head_size"])
@pytest.mark.parametrize("value", [2**31 - 1, 2**30, 10**9])
def test_sizes_that_the_file_does_not_have_cost_nothing(field: str, value: int, tmp_path: Path) -> None:
    """A billion layers would be hours of work and a width of a billion terabytes, if they were believed."""
    saved(tmp_path / "a.state")
    with pytest.raises(FormatError):
        State.load(edited(tmp_path / "a.state", lambda about: about["config"].update({field: value})))


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda a: a.update(model=""), "model"),
        (lambda a: a.update(model="\x1b[2J"), "model"),
        (lambda a: a.update(model="m" * 129), "model"),
        (lambda a: a.update(model=7), "model"),
        (lambda a: a.update(tokenizer=None), "tokenizer"),
        (lambda a: a.update(count=-1), "count"),
        (lambda a: a.update(count=2**63), "count"),
        (lambda a: a.update(count="24"), "count"),
        (lambda a: a.update(count=True), "count"),
        (lambda a: a.update(chain="00"), "chain"),
        (lambda a: a.update(chain="g" * 32), "chain"),
        (lambda a: a.update(chain=0), "chain"),
        (lambda a: a.pop("chain"), "keys"),
        (lambda a: a.update(more=1), "keys"),
        (lambda a: a.update(config=[]), "config"),
        (lambda a: a["config"].pop("ranks"), "config"),
        (lambda a: a["config"].update(more=1), "config"),
        (lambda a: a["config"].update(ranks=[1]), "ranks"),
        (lambda a: a["config"].update(ranks={"w": 0}), "ranks"),
        (lambda a: a["config"].update(group_norm_eps=1), "group_norm_eps"),
        (lambda a: a["config"].update(group_norm_eps=float("nan")), "group_norm_eps"),
        (lambda a: a["config"].update(bonus_exp=0), "bonus_exp"),
        (lambda a: a["config"].update(version="9"), "version"),
        (lambda a: a["config"].update(version=7), "version"),
        (lambda a: a["config"].update(head_size=48), "head_size"),
        (lambda a: a["config"].update(head_size=16), "arrays do not fit"),
        (lambda a: a["config"].update(version="4"), "arrays do not fit"),
    ],
)
def test_descriptions_that_make_no_sense(edit: Any, says: str, tmp_path: Path) -> None:
    saved(tmp_path / "a.state")
    with pytest.raises(FormatError, match=says) as caught:
        State.load(edited(tmp_path / "a.state", edit))
    assert str(tmp_path / "a.state") in str(caught.value)


@pytest.mark.parametrize("version", [0, 2, "1", True, None, 10**400])
def test_other_versions_of_the_format(version: Any, tmp_path: Path) -> None:
    saved(tmp_path / "a.state")
    with pytest.raises(RookeryError, match=r"state format|not valid JSON"):
        State.load(edited(tmp_path / "a.state", lambda about: about.update(format_version=version)))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"a":1,"a":2}', "[" * 10000, '"\\ud800"', "é", "{}" + " " * 70000]
)
def test_descriptions_that_are_no_object(text: str, tmp_path: Path) -> None:
    saved(tmp_path / "a.state")
    _, arrays = described(tmp_path / "a.state")
    with pytest.raises(RookeryError, match=r"a\.state"):
        State.load(written(tmp_path / "a.state", text, arrays))


@pytest.mark.parametrize("checksum", ["", "0" * 64, "text"])
def test_wrong_checksums(checksum: str, tmp_path: Path) -> None:
    saved(tmp_path / "a.state")
    text, arrays = described(tmp_path / "a.state")
    with pytest.raises(FormatError, match="checksum"):
        State.load(written(tmp_path / "a.state", text, arrays, checksum))
    save_file(arrays, tmp_path / "a.state", {KEY: text})
    with pytest.raises(FormatError, match="checksum"):
        State.load(tmp_path / "a.state")


def test_arrays_that_do_not_belong(tmp_path: Path) -> None:
    saved(tmp_path / "a.state")
    text, good = described(tmp_path / "a.state")
    name = "blocks.1.att_x"
    wrong = [
        {k: v for k, v in good.items() if k != name},
        {("blocks.1.more" if k == name else k): v for k, v in good.items()},
        good | {name: good[name][:-1]},
        good | {name: good[name].astype(np.float16)},
        good | {name: good[name].view(np.int32)},
        good | {name: good[name].reshape(8, 8)},
    ]
    for arrays in wrong:
        save_file(arrays, tmp_path / "b.state", {KEY: text, CHECKSUM: ""})
        with pytest.raises(FormatError, match="array"):
            State.load(tmp_path / "b.state")
    swapped = good | {name: good["blocks.0.att_x"], "blocks.0.att_x": good[name]}
    correct = described(tmp_path / "a.state")[0]
    save_file(swapped, tmp_path / "b.state", {KEY: correct, CHECKSUM: _checksum_in(tmp_path / "a.state")})
    with pytest.raises(FormatError, match="checksum"):
        State.load(tmp_path / "b.state")


def _checksum_in(path: Path) -> str:
    with safe_open(path, "np") as file:
        return str(file.metadata()[CHECKSUM])


def test_files_that_are_something_else(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3)}, tmp_path / "x")
    with pytest.raises(FormatError, match="not a state file"):
        State.load(tmp_path / "x")
    for content in (b"", b"text", b"PK\x03\x04" + bytes(99), b"\xff" * 100):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(FormatError, match=str(tmp_path / "x")):
            State.load(tmp_path / "x")
    for absent in (tmp_path / "absent", tmp_path):
        with pytest.raises(FormatError, match="cannot be opened"):
            State.load(absent)


# ------------------------------------------------------------ damage


@_in_one_folder
@given(cut=st.integers(0, 100_000))
def test_truncated(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    saved(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % len(whole)])
    with pytest.raises((TruncatedFile, FormatError)):
        State.load(path)


@_in_one_folder
@given(data=st.data())
def test_damaged_files_are_refused_or_equal(data: st.DataObject, tmp_path: Path) -> None:
    """Half of the changes fall into the header, which is a twentieth of the file."""
    path = tmp_path / "a.state"
    state = saved(path, "v4")
    content = bytearray(path.read_bytes())
    header = int.from_bytes(content[:8], "little") + 8
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1)))
        content[place] = data.draw(st.one_of(st.integers(0, 255), st.just(content[place] ^ 1)))
    path.write_bytes(content)
    try:
        again = State.load(path)
    except RookeryError as error:
        says = str(error)
    else:
        says = str(path)
        assert again == state
        assert again.layout.config == state.layout.config
    assert str(path) in says


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@_in_one_folder
@given(data=st.data(), value=_json)
def test_any_value_anywhere_in_the_description(data: st.DataObject, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.state"
    state = saved(path)

    def edit(about: dict[str, Any]) -> None:
        where = data.draw(st.sampled_from([about, about["config"]]))
        where[data.draw(st.sampled_from(sorted(where)))] = value

    try:
        again = State.load(edited(path, edit))
    except RookeryError:
        return
    assert np.array_equal(again.data, state.data)


def test_a_state_replaces_a_state_and_nothing_else(tmp_path: Path) -> None:
    state = saved(tmp_path / "a")
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "empty").touch()
    (tmp_path / "cut").write_bytes((tmp_path / "a").read_bytes()[:-1])
    for name in ("a", "link", "empty", "cut"):
        model_of("v7").initial.save(tmp_path / name)
        assert State.load(tmp_path / name) == model_of("v7").initial != state
    assert (tmp_path / "link").is_symlink()
    model = load_golden("v7").checkpoint_path.read_bytes()
    for data in (model, b"a letter"):
        (tmp_path / "other").write_bytes(data)
        with pytest.raises(SettingsError, match="other: already exists and is not a state file"):
            state.save(tmp_path / "other")
        assert (tmp_path / "other").read_bytes() == data


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_state_is_not_saved_over_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="pipe: a pipe; expected a file"):
        model_of("v7").initial.save(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_an_error_of_the_system_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"/no/s: the directory .*/no does not exist; create it first"):
        model_of("v7").initial.save(tmp_path / "no" / "s")


@pytest.mark.parametrize("name", ["m.pth", "m.safetensors", "m.gguf", "m"])
def test_a_model_is_no_state_and_a_state_no_model(tmp_path: Path, name: str) -> None:
    save_checkpoint(model_of("v7").checkpoint, tmp_path / name)
    with pytest.raises(StateError, match=f"{name}: this is a model, not a state"):
        State.load(tmp_path / name)
    saved(tmp_path / "s")
    with pytest.raises(FormatError, match="s: this is a state, not a model"):
        open_checkpoint(tmp_path / "s")
