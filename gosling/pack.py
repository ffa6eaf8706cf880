"""
From a training run to the file that comes with rookery: quantised, with its vocabulary and its prompt format.

    python gosling/pack.py RUN/model.rookery src/rookery/gosling.rookery
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from rookery.formats import open_checkpoint, save_checkpoint
from rookery.prompts import FORMAT_KEY
from rookery.quantize import Texts, quantize, sample

ABOUT = {"general.name": "Gosling", "general.license": "apache-2.0", FORMAT_KEY: "world"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--recipe", default="q8_0")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        named = Path(folder) / "gosling.rookery"
        trained = open_checkpoint(options.model)
        save_checkpoint(replace(trained, metadata=trained.metadata | ABOUT), named)
        card = quantize(named, options.target, options.recipe, Texts(measure=sample()))
    print(f"{options.target}: {options.target.stat().st_size / 2**20:.2f} MiB, {card}")


if __name__ == "__main__":
    main()
