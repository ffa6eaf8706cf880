"""The example runs, on a random model of the World vocabulary."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "rwkv_package.py"


def test_example(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config("7", layers=1, width=32, vocab=65536, head_size=16)
    save_checkpoint(random_model(config, 1, "F16"), tmp_path / "bird.pth")
    monkeypatch.setattr(sys, "argv", ["rwkv_package.py", str(tmp_path / "bird"), "Once upon a time"])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    loaded, found, likeliest, *after = capsys.readouterr().out.split("\n", 3)
    assert "bird.pth" in loaded
    assert "v7.0" in found
    assert likeliest.startswith("next could be: [")
    assert after[0].count(" then ") >= 3
