"""
Checkpoints of a run: directories that are whole or not there.

`step-00001200/` holds what torch.distributed.checkpoint writes, for any number of processes, and `meta.json`: the
step, the settings, the model's config, the fingerprint of the data and the size and SHA-256 of every file.  It is
written under another name and renamed when all of it is on the disk.  A directory that is torn all the same, by a
disk that lied, is found out by its checksums and the one before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict

from rookery.errors import FormatError, SettingsError
from rookery.formats.target import said_of
from rookery.train import parallel

__all__ = ["Saved", "latest", "restore", "save"]

META = "meta.json"
_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)  # what is frozen comes with the model
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint on the disk."""

    path: Path
    meta: dict[str, Any]

    @property
    def step(self) -> int:
        return int(self.meta["step"])


def save(folder: Path, model: Any, optimizer: Any, meta: dict[str, Any], keep: int) -> Path:
    """Write the checkpoint of `meta["step"]` and remove all but the last `keep`; SettingsError for a full disk."""
    path = folder / f"step-{meta['step']:08d}"
    partial = path.with_name(path.name + _PARTIAL)
    with said_of(path):
        parallel.by_first(lambda: _begin(partial))
        if parallel.anyone(not partial.is_dir()):
            raise SettingsError(f"{folder}: not all machines see it; choose a folder that all of them share")
        parameters, state = get_state_dict(model, optimizer, options=_TRAINED)
        try:
            _alone_or_together(dcp.save, {"model": parameters, "optimizer": state}, partial)
        except dcp.api.CheckpointException as error:
            raise _cause(error) from None
        parallel.by_first(lambda: _finish(partial, path, meta))
        parallel.by_first(lambda: _prune(folder, keep))
    return path


def latest(folder: Path, torn: Callable[[Path, str], None] = lambda path, why: None) -> Saved | None:
    """The newest checkpoint that is whole; `torn` hears of each that is not, and why."""
    for path in sorted(folder.glob("step-*[0-9]"), reverse=True):
        try:
            return Saved(path, verified(path))
        except FormatError as error:
            torn(path, str(error))
    return None


def verified(path: Path) -> dict[str, Any]:
    """The meta data of a checkpoint; FormatError unless every file has the size and the bytes it was written with."""
    try:
        meta: dict[str, Any] = json.loads((path / META).read_text())
        files = meta["files"]
    except (OSError, ValueError, KeyError, TypeError):
        raise FormatError(f"{path}: no checkpoint: {META} is absent or damaged") from None
    for name, (size, digest) in files.items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size or _digest(file) != digest:
            raise FormatError(f"{file}: not as it was written; the checkpoint cannot be used")
    return meta


def restore(saved: Saved, model: Any, optimizer: Any) -> None:
    """Load what is trained of the parameters, and the optimizer's state, in place."""
    parameters, state = get_state_dict(model, optimizer, options=_TRAINED)
    values = {"model": parameters, "optimizer": state}
    try:
        _alone_or_together(dcp.load, values, saved.path)
    except dcp.api.CheckpointException as error:
        raise FormatError(
            f"{saved.path}: cannot be read on every machine ({_cause(error)}); the folder must be one that all share"
        ) from None
    set_state_dict(
        model, optimizer, model_state_dict=values["model"], optim_state_dict=values["optimizer"], options=_TRAINED
    )


def _alone_or_together(function: Callable[..., Any], values: dict[str, Any], path: Path) -> None:
    with warnings.catch_warnings():  # torch remarks on every single process that it is one
        warnings.simplefilter("ignore", UserWarning)
        function(values, checkpoint_id=path, no_dist=not dist.is_initialized())


def _begin(partial: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)


def _finish(partial: Path, path: Path, meta: dict[str, Any]) -> None:
    files = {file.name: (file.stat().st_size, _digest(file)) for file in sorted(partial.iterdir())}
    with open(partial / META, "w") as file:
        json.dump(meta | {"files": files, "torch": torch.__version__}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(path, ignore_errors=True)
    os.replace(partial, path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _prune(folder: Path, keep: int) -> None:
    for old in sorted(folder.glob("step-*[0-9]"), reverse=True)[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def _digest(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _cause(error: Any) -> BaseException:
    """What went wrong on the first process it went wrong on: torch wraps it."""
    failures = getattr(error, "failures", {})
    first = next(iter(failures.values()), error)
    found: BaseException = first[0] if isinstance(first, tuple) else first
    return found
