"""
How many inputs of the channel mix's value matrix are zero while a model reads a text.

    python benchmarks/sparsity.py MODEL... --text FILE [--tokens 4096]

The inputs are squares of rectified numbers, so many are exactly zero; the integer kernels round them to int8, 32 at a
time, which makes more.  One line per layer, shares in per cent:

    exact     of inputs that are zero
    int8      that are zero once rounded: what a kernel could skip
    fours     of four inputs in a row (a vector of the layout) that are all zero once rounded
    runs      of 32 inputs in a row (a run of the layout) that are all zero
    chance    fours, were the zeros spread evenly
    B=2, B=4  of inputs that are zero, rounded, in two and in four tokens of distant places at once: a batch
"""

from __future__ import annotations

import argparse
import lzma
from pathlib import Path

import numpy as np

from rookery import Model, load
from rookery.evaluate import perplexity
from rookery.ops.sparsity import inputs, rounded
from rookery.parameters import parameters

RUN = 32
COLUMNS = ("exact", "int8", "fours", "runs", "chance", "B=2", "B=4")


def main() -> None:
    options = _options()
    text = _read(options.text)
    for path in options.models:
        model = load(path, threads=1)
        tokens = model.check_tokens(model.tokenizer.encode(text)[: options.tokens])
        bits = perplexity(model, tokens.tolist()).bits_per_byte
        print(f"\n{path.name}: {model}, ffn {model.config.ffn}; {len(tokens)} tokens, {bits:.2f} bits per byte")
        print(f"{'layer':>8}" + "".join(f"{name:>8}" for name in COLUMNS))
        rows = []
        for layer, read in enumerate(_layers(model, tokens)):
            rows.append(shares(read))
            _line(str(layer), rows[-1])
        _line("mean", np.mean(rows, 0))


def shares(x: np.ndarray) -> np.ndarray:
    """The figures of COLUMNS for the inputs of one layer, float32 (tokens, columns)."""
    zero = rounded(x) == 0
    quarter = len(x) // 4
    four_tokens = zero[: 4 * quarter].reshape(4, quarter, -1)
    return np.array(
        [
            np.mean(x == 0),
            zero.mean(),
            _all_zero(zero, 4),
            _all_zero(zero, RUN),
            np.mean(zero.mean(1) ** 4),
            four_tokens[:2].all(0).mean(),
            four_tokens.all(0).mean(),
        ]
    )


def _all_zero(zero: np.ndarray, width: int) -> float:
    return float(zero.reshape(len(zero), -1, width).all(-1).mean())


def _layers(model: Model, tokens: np.ndarray) -> list[np.ndarray]:
    """What the value matrix of each layer reads, float32 (tokens, ffn)."""
    p = parameters(model.config, model.checkpoint.tensors)
    return [np.concatenate(parts) for parts in zip(*inputs(model.layout, p, tokens), strict=True)]


def _read(path: Path) -> str:
    data = path.read_bytes()
    return (lzma.decompress(data) if path.suffix == ".xz" else data).decode()


def _line(name: str, figures: np.ndarray) -> None:
    print(f"{name:>8}" + "".join(f"{100 * figure:8.1f}" for figure in figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--text", type=Path, required=True, help="UTF-8, or such a text packed with xz")
    parser.add_argument("--tokens", type=int, default=4096)
    options = parser.parse_args()
    for path in (options.text, *options.models):
        if not path.exists():
            parser.error(f"{path}: there is no such file")
    return options


if __name__ == "__main__":
    main()
