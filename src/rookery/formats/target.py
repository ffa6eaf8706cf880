"""
Writing files nobody can half-read, and never over what is no file.

`check_target` says beforehand what is in the way; `atomic` writes beside the target and renames when everything is on
the disk.  Links are followed: what they point to is written, and they stay.  Every error is one sentence about the
path that was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rookery.errors import SettingsError

__all__ = ["atomic", "check_target", "flush", "said_of"]

_KINDS = (
    (stat.S_ISREG, "a file"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_REMEDIES = {
    errno.ENOSPC: "free some space or choose another place",
    getattr(errno, "EDQUOT", errno.ENOSPC): "free some space or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def check_target(path: Path, *, directory: bool = False) -> Path:
    """What writing `path` makes or replaces, links followed; SettingsError when nothing can be written there.

    Refused are devices, pipes, directories (files, for a `directory`), and folders that are absent or cannot be
    written to.
    """
    path = Path(path)
    with said_of(path):
        _check_kind(path, directory)
        target = Path(os.path.realpath(path))
        folder = target.parent
        if not folder.is_dir():
            raise SettingsError(f"{path}: the directory {folder} does not exist; create it first")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SettingsError(f"{path}: the directory {folder} cannot be written to; choose another place")
    return target


def _check_kind(path: Path, directory: bool) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    kind = next((name for is_a, name in _KINDS if is_a(mode)), "a device")
    wanted = _KINDS[directory][1]
    if kind != wanted:
        raise SettingsError(f"{path}: {kind}; expected {wanted}, or a name that is not taken")


@contextlib.contextmanager
def said_of(path: Path) -> Iterator[None]:
    """Errors of the system while `path` is written, as SettingsError about it."""
    try:
        yield
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "\0" not in str(path):  # the system's word for a zero byte in a name
            raise
        code, reason = getattr(error, "errno", None), getattr(error, "strerror", None) or error
        remedy = _REMEDIES.get(code or 0, "choose another place")
        raise SettingsError(f"{path}: cannot be written ({reason}); {remedy}") from None


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file open for writing that becomes `path` only when the block ends without an error.

    SettingsError, about `path`, for whatever the system refuses.
    """
    target = check_target(path)
    with said_of(path), _beside(target) as file:
        yield file


@contextlib.contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:40]}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            flush(file)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        os.chmod(name, mode)
        os.replace(name, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def flush(file: BinaryIO) -> None:
    """Everything written so far is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
