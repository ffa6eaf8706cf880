"""The products alone."""

import pytest

from rookery.bench import kernels as module
from rookery.bench.kernels import kernels
from rookery.errors import SettingsError


@pytest.fixture
def quick(monkeypatch):
    """Little memory and few products."""
    monkeypatch.setattr(module, "last_level_cache", lambda: 1 << 16)
    monkeypatch.setattr(module, "_ROWS", 64)
    monkeypatch.setattr(module, "_COLS", 256)
    monkeypatch.setattr(module, "_CACHED_ROWS", 32)


def test_every_format(quick):
    found = kernels([1], 1)
    (run,) = found["runs"]
    assert {"F32", "F16", "BF16", "Q8_0", "Q4_K", "Q6_K"} <= set(run["formats"])
    assert found["tokens"] == [2, 8, 32, 480]
    for name, row in run["formats"].items():
        assert row["streamed"]["bytes_per_s"]["median"] > 0
        assert 0 < row["streamed"]["of_read"] < 1000  # all of it lies in a cache here
        assert row["cached"]["bytes_per_s"]["median"] > 0
        assert list(row["tokens"]) == ["2", "8", "32", "480"]
        for found in row["tokens"].values():
            assert found["ops_per_s"]["median"] > 0
            assert found["of_int8"] is None if name in ("F32", "F16", "BF16") else 0 < found["of_int8"] < 20


def test_an_unknown_format():
    with pytest.raises(SettingsError, match="Q9_9"):
        kernels([1], 1, ["Q9_9"])
