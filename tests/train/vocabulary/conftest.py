"""Some text, and no test touches the user's cache."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rookery.tokenizer import cache


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "_folder", lambda: folder)
        yield folder


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation of this project: prose, tables, code and signs."""
    path = tmp_path_factory.mktemp("book") / "book.txt"
    pages = sorted((Path(__file__).parents[3] / "docs").glob("*.md"))
    path.write_bytes(b"\n\n".join(page.read_bytes() for page in pages))
    return path
