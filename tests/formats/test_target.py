"""What is written appears whole or not at all, where it was asked for, and never over what is no file."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tiny_models import CONFIGS, checkpoint

from rookery.errors import RookeryError, SettingsError
from rookery.formats import open_checkpoint, save_checkpoint
from rookery.formats.target import atomic, check_target

resource = pytest.importorskip("resource")

NAMES = ["m.pth", "m.safetensors", "m.gguf", "m"]


def put(path: Path, data: bytes = b"new") -> None:
    with atomic(path) as file:
        file.write(data)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can become longer than 1000 bytes; not even a log, so nothing else may run inside."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("far/file")
    (tmp_path / "fresh").symlink_to("far/absent")
    put(tmp_path / "link")
    put(tmp_path / "fresh")
    assert (tmp_path / "link").is_symlink()
    assert {p.name: p.read_bytes() for p in (tmp_path / "far").iterdir()} == {"file": b"new", "absent": b"new"}


@pytest.mark.parametrize(
    ("make", "kind"),
    [(os.mkfifo, "a pipe"), (os.mkdir, "a directory"), (lambda p: p.symlink_to(p), "cannot be written")],
)
def test_what_is_no_file_is_left_alone(tmp_path: Path, make: object, kind: str) -> None:
    path = tmp_path / "taken"
    make(path)  # type: ignore[operator]
    before = os.lstat(path)
    for write in (put, check_target, lambda p: save_checkpoint(checkpoint(CONFIGS["7"]), p, "pth")):
        with pytest.raises(SettingsError, match=f"taken: {kind}"):
            write(path)
    assert os.lstat(path).st_ino == before.st_ino
    assert list(tmp_path.iterdir()) == [path]


def test_a_device_is_refused() -> None:
    """Only looked at: nothing is written."""
    with pytest.raises(SettingsError, match="null: a device; expected a file"):
        check_target(Path("/dev/null"))


def test_what_is_in_the_way_is_said_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name, reason in [
        ("nowhere/x", "directory .*nowhere does not exist; create it"),
        ("file/x", "cannot be written"),
        ("x" * 300, "cannot be written .*; choose a shorter name"),
        ("zero\0byte", "cannot be written"),
    ]:
        with pytest.raises(SettingsError, match=reason):
            put(tmp_path / name)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SettingsError, match="cannot be written to; choose another place"):
        check_target(tmp_path / "x")


def test_a_long_name_is_written(tmp_path: Path) -> None:
    put(tmp_path / ("x" * 250))
    assert [len(p.name) for p in tmp_path.iterdir()] == [250]


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(RookeryError) as caught, full_disk():
        save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written (")
    assert str(caught.value).count(str(tmp_path)) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_what_failed(tmp_path: Path) -> None:
    for name in NAMES:
        save_checkpoint(checkpoint(CONFIGS["7"]), tmp_path / name)
        assert open_checkpoint(tmp_path / name).config == CONFIGS["7"]
