"""No test of training touches the user's cache."""

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
