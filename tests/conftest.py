"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared fixtures; the test is skipped where it is absent."""
    folder = Path(os.environ.get("ROOKERY_SHARED") or Path(__file__).parents[1] / "../shared")
    if not folder.is_dir():
        pytest.skip("shared fixtures are absent: set ROOKERY_SHARED")
    return folder
