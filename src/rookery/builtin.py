"""
The model that comes with rookery: `gosling`, a small RWKV-7 that tells stories and chats.

How it was made, of what, and what it can do: gosling/README.md in the repository.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from rookery.errors import SettingsError

__all__ = ["GOSLING", "gosling"]

GOSLING = "gosling"  # what stands for its path


def gosling() -> Path:
    """The file of the built-in model; SettingsError in an installation without it."""
    path = Path(str(resources.files("rookery").joinpath("gosling.rookery")))
    if not path.is_file():
        raise SettingsError("this installation has no built-in model; give the path of a model")
    return path
