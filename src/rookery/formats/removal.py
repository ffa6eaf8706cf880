"""
RWKV-7 with a larger removal term (`Config.removal`): what a file says that its tensors do not.

It stands in the metadata, under one name.  The formats of other programs are refused, even those with room for it: who
knows nothing of it would read the file and compute something else.
"""

from __future__ import annotations

from pathlib import Path

from rookery.config import REMOVALS, Config
from rookery.errors import FormatError, UnsupportedError
from rookery.formats.checkpoint import Checkpoint

__all__ = ["KEY", "check_removal", "noted", "removal_in"]

KEY = "rookery.removal"
_OURS = ("rookery", "safetensors")


def removal_in(checkpoint: Checkpoint, version: str) -> str:
    """What an opened file says, "1" where it says nothing; FormatError for what no model of the version has."""
    found: str = checkpoint.metadata.get(KEY, "1")
    if found not in (REMOVALS if version == "7" else REMOVALS[:1]):
        raise FormatError(
            f"{checkpoint.path}: the metadata {KEY!r} is {str(found)[:20]!r}; expected "
            f"{', '.join(REMOVALS)}, for RWKV-7 alone"
        )
    return found


def noted(config: Config | None) -> dict[str, str]:
    """The entry for the metadata of a file; none for released models, and for what is no RWKV."""
    return {KEY: config.removal} if isinstance(config, Config) and config.removal != "1" else {}


def check_removal(config: Config | None, format: str, path: Path) -> None:
    """UnsupportedError where files of a format (a key of `WRITERS`) would be taken for a released model's."""
    if noted(config) and format not in _OURS:
        assert config is not None
        raise UnsupportedError(
            f"{path}: who reads {format} files does not know of removal={config.removal!r} and would compute something "
            "else; write .safetensors or .rookery instead"
        )
