"""Which kernel table the core uses."""

from __future__ import annotations

import os

from rookery import _native
from rookery.errors import SettingsError

__all__ = ["table"]


def table() -> str:
    """The kernel table that ROOKERY_CPU forces; empty, which means the best, where it is not set."""
    name = os.environ.get("ROOKERY_CPU", "")
    if name and name not in _native.kernel_tables():
        raise SettingsError(f"ROOKERY_CPU={name!r}: this processor runs {', '.join(_native.kernel_tables())}")
    return name
