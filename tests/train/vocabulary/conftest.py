"""Some text."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation of this project: prose, tables, code and signs."""
    path = tmp_path_factory.mktemp("book") / "book.txt"
    pages = sorted((Path(__file__).parents[3] / "docs").glob("*.md"))
    path.write_bytes(b"\n\n".join(page.read_bytes() for page in pages))
    return path
