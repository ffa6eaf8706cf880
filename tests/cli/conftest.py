"""Running the command line as a user does: arguments in, text and exit code out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rookery.cli import main
from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    def failed(self, *words: str) -> None:
        """One sentence on stderr, exit code 1, nothing on stdout."""
        assert self.code == 1
        assert self.out == ""
        assert self.err.startswith("rookery: ")
        assert self.err.count("\n") == 1
        for word in words:
            assert word in self.err


Rookery = Callable[..., Result]


@pytest.fixture
def rookery(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Rookery:
    """rookery("show", path): the command in this process.  stdin: bytes for it to read."""

    def run(*arguments: object, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["rookery", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            main()
        code = exit.value.code
        return Result(code if isinstance(code, int) else 0 if code is None else 1, *capsys.readouterr())

    return run


@pytest.fixture
def garbage(tmp_path: Path) -> Path:
    path = tmp_path / "garbage.pth"
    path.write_bytes(bytes(range(256)) * 8)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RWKV-7 over bytes, float32, as .pth."""
    return _saved(tmp_path_factory, "7", 256)


@pytest.fixture(scope="session")
def worldly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small RWKV-6 with as many rows as the World vocabulary."""
    return _saved(tmp_path_factory, "6", 65536)


def _saved(factory: pytest.TempPathFactory, version: str, vocab: int) -> Path:
    path = factory.mktemp("models") / f"v{version}.pth"
    config = make_config(version, layers=2, width=32, vocab=vocab, head_size=16)
    save_checkpoint(random_model(config, 1), path)
    return path
