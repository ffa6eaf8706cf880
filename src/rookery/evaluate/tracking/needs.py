"""What can be said before hours of training: extras that are absent, files that cannot be written."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rookery.errors import MissingExtra, SettingsError

__all__ = ["check_plot", "check_results", "check_torch"]

SUFFIXES = (".svg", ".png", ".pdf")


def check_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra("state tracking trains models, which needs torch; install: pip install 'rookery[train]'")


def check_plot(path: Path) -> None:
    """MissingExtra without matplotlib, SettingsError for the path."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingExtra("a plot needs matplotlib; install it with: pip install 'rookery[plot]'")
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"--plot is {path}; expected a name that ends in {', '.join(SUFFIXES)}")
    _check_folder("--plot", path)


def check_results(path: Path) -> None:
    """SettingsError where no file can be."""
    if path.is_dir():
        raise SettingsError(f"--results is {path}, a folder; expected a file of JSON lines")
    _check_folder("--results", path)


def _check_folder(option: str, path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise SettingsError(f"{option} is {path}; there is no folder {path.absolute().parent}")
