"""Names chosen by strangers cannot steer the terminal."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from goldens import FOLDER
from safetensors.numpy import load_file, save_file

from rookery.cli.printable import printable, printable_json

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202eb\u2028"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢字 🙂", "plain ü 漢字 🙂"),
        ("wide\u3000and\u00a0fixed spaces", "wide\u3000and\u00a0fixed spaces"),
        ("\x1b[2J", r"\x1b[2J"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\x9b\x7f", r"\x9b\x7f"),
        ("abc\u202edef", r"abc\u202edef"),
        (os.fsdecode(b"\xff"), r"\udcff"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    written = json.dumps({"key": text}, ensure_ascii=False, indent=2)
    safe = printable_json(written)
    assert json.loads(safe) == {"key": text}
    assert printable(safe.replace("\n", "")) == safe.replace("\n", "")


def test_names_of_files_in_errors(rookery: Any, tmp_path: Path) -> None:
    rookery("show", tmp_path / HOSTILE).failed(r"a\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202eb\u2028: cannot be opened")


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_names_and_metadata_in_show(rookery: Any, tmp_path: Path, option: tuple[str]) -> None:
    path = tmp_path / HOSTILE
    save_file(load_file(FOLDER / "v7.safetensors"), path, metadata={HOSTILE: HOSTILE})
    out = rookery("show", path, *option).out
    assert "owned" in out
    assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028"} & set(out)


def test_tensor_names_in_errors(rookery: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    arrays = load_file(FOLDER / "v7.safetensors")
    save_file(arrays | {HOSTILE: arrays["ln_out.weight"]}, path)
    rookery("show", path).failed("owned", "is not part of RWKV-7")


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_names_that_are_no_utf8(rookery: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option) -> None:
    path = tmp_path / os.fsdecode(b"m\xff.safetensors")
    path.write_bytes((FOLDER / "v7.safetensors").read_bytes())
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", out)
    assert rookery("show", path, *option).code == 0
    out.flush()
    assert rb"m\udcff" in out.buffer.getvalue()
