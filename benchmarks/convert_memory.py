"""
Peak memory of converting a model, which should not depend on the model's size.

    python benchmarks/convert_memory.py --layers 24 --width 2048 --to pth --dtype F16

Makes a sparse BF16 safetensors file of a RWKV-7 model (it takes no room on the disk), converts it, and prints the
time and the peak resident memory, pages of the mapped file included.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import tempfile
import time
from pathlib import Path

from rookery.config import Config, shapes
from rookery.formats import open_checkpoint, save_checkpoint

RANKS = {"w": 96, "a": 96, "v": 64, "g": 256}


def sparse_model(path: Path, config: Config) -> int:
    """A BF16 safetensors file of zeros; returns its size in bytes."""
    header: dict[str, object] = {}
    offset = 0
    for name, shape in shapes(config).items():
        end = offset + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + offset)
    return path.stat().st_size


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--vocab", type=int, default=65536)
    parser.add_argument("--to", choices=("pth", "safetensors", "hf", "rookery"), default="pth")
    parser.add_argument("--dtype", choices=("F32", "F16", "BF16"), default=None)
    parser.add_argument("--folder", type=Path, default=None, help="where to work; the output needs real room there")
    given = parser.parse_args()
    config = Config("7", given.layers, given.width, given.vocab, 4 * given.width, 64, RANKS)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        source, target = Path(folder) / "source.safetensors", Path(folder) / f"target.{given.to}"
        size = sparse_model(source, config)
        before = peak_mib()
        start = time.perf_counter()
        save_checkpoint(open_checkpoint(source), target, given.to, given.dtype)
        seconds = time.perf_counter() - start
        print(f"{size / 1e9:.2f} GB BF16 -> {given.to} {given.dtype or 'BF16'}: {seconds:.1f} s")
        print(f"peak resident memory {peak_mib():.0f} MiB, of which {before:.0f} MiB before converting")


if __name__ == "__main__":
    main()
