"""
What weight formats cost: bits against error, for every block format there is.

    python benchmarks/formats.py [--random] [--text TEXT [--calibrate TEXT]] [MODEL ...]

Without models: the error of random matrices, relative to their own size (root mean square), and that of their outputs
for inputs with channels of very different size, rounded to 8 bits as the kernels do.  "lost" is how many bits more
than the best possible code of gaussian numbers a format takes for its error.

With models: the divergence of every recipe's predictions from the source's, in nats per token, and the bits per number
of the matrices.  --random adds a random RWKV-7 of width 768, wide enough for blocks of 256, and tokens of Zipf's law.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rookery.formats import Checkpoint, open_checkpoint
from rookery.formats.check import checked
from rookery.initialise import make_config, random_model
from rookery.model import load
from rookery.quant import FORMATS, WeightFormat, encode_rows
from rookery.quantize import Text, compare, quantized, recipe, sample
from rookery.quantize.calibrate import second_moments
from rookery.quantize.encoding import Moments
from rookery.tokenizer import tokenizer_for

ROWS, COLUMNS = 256, 1024
DRAWS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "gaussian": lambda rng: rng.standard_normal((ROWS, COLUMNS)),
    "laplace": lambda rng: rng.laplace(size=(ROWS, COLUMNS)),
    "Student t, 4": lambda rng: rng.standard_t(4, (ROWS, COLUMNS)),
}
RECIPES = ("nf4", "q4_0", "q4_k", "c4", "q4_1", "q5_0", "q5_k", "c5", "q5_1", "q6_k", "int8", "q8_0")


def main() -> None:
    options = _options()
    if not options.models and not options.random:
        return _errors()
    for path in options.models:
        _divergences(path.name, open_checkpoint(path), *_tokens(open_checkpoint(path), options))
    if options.random:
        config = make_config("7", layers=4, width=768, vocab=256)
        ranks = np.random.default_rng(0).zipf(1.3, 3000) % 256
        model = checked(random_model(config))
        _divergences("random, width 768", model, ranks[:1000].tolist(), ranks[1000:].tolist())


def _errors() -> None:
    names = ["outputs", *DRAWS]
    print(f"{'format':8}{'bits':>8}" + "".join(f"{name:>14}" for name in DRAWS) + f"{'outputs':>14}{'lost':>10}")
    for kind in sorted((k for k in FORMATS.values() if k.block > 1), key=lambda k: (k.bits, k.name)):
        found = {name: _relative(kind, draw(np.random.default_rng(0))) for name, draw in DRAWS.items()}
        found["outputs"] = _of_outputs(kind, DRAWS["gaussian"](np.random.default_rng(0)))
        bits = 8 * kind.row_bytes(COLUMNS) / COLUMNS
        values = "".join(f"{100 * found[name]:13.2f}%" for name in (*names[1:], names[0]))
        print(f"{kind.name:8}{bits:8.3f}{values}{bits + np.log2(found['gaussian']):10.2f}")


def _stored(kind: WeightFormat, x: np.ndarray) -> np.ndarray:
    w = np.ascontiguousarray(x, np.float32)
    return kind.decode(encode_rows(kind, w, np.ones(COLUMNS, np.float32)))


def _relative(kind: WeightFormat, x: np.ndarray) -> float:
    return _size(_stored(kind, x) - x) / _size(x)


def _of_outputs(kind: WeightFormat, w: np.ndarray) -> float:
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((256, COLUMNS)) * np.exp(rng.standard_normal(COLUMNS))
    blocks = inputs.reshape(256, -1, 32)
    step = np.abs(blocks).max(axis=-1, keepdims=True) / 127
    rounded = (np.rint(blocks / step) * step).reshape(inputs.shape)
    right = inputs @ w.T
    return _size(rounded @ _stored(kind, w).T.astype(np.float64) - right) / _size(right)


def _size(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def _tokens(checkpoint: Checkpoint, options: argparse.Namespace) -> tuple[Sequence[int], Sequence[int]]:
    """What to measure on, and what to calibrate with."""
    assert checkpoint.config is not None
    words = tokenizer_for(checkpoint.vocabulary, checkpoint.config.vocab)
    measure = Text(options.text.read_bytes(), "", options.tokens) if options.text else sample()
    calibrate = Text(options.calibrate.read_bytes(), "", 8192).tokens(words) if options.calibrate else ()
    return measure.tokens(words), calibrate


def _divergences(name: str, source: Checkpoint, measure: Sequence[int], calibrate: Sequence[int]) -> None:
    moments = second_moments(source, calibrate) if calibrate else None
    print(f"\n{name}\n{'recipe':8}{'bits':>8}{'plain':>12}{'calibrated':>14}", flush=True)
    for each in RECIPES:
        plain = _divergence(source, each, None, measure)
        better = f"{_divergence(source, each, moments, measure):14.2e}" if moments else ""
        print(f"{each:8}{_bits(source, each):8.3f}{plain:12.2e}{better}", flush=True)


def _divergence(source: Checkpoint, name: str, moments: Moments | None, tokens: Sequence[int]) -> float:
    return compare(load(source), load(quantized(source, recipe(name), moments)), tokens).kl_mean


def _bits(source: Checkpoint, name: str) -> float:
    """Bits per number of the matrices of the blocks."""
    tensors = [t for key, t in quantized(source, recipe(name)).tensors.items() if key.startswith("blocks.")]
    matrices = [t for t in tensors if FORMATS[t.format].block > 1]
    stored = sum(t.shape[0] * t.kind.row_bytes(t.shape[1]) for t in matrices)
    return 8 * stored / max(sum(t.shape[0] * t.shape[1] for t in matrices), 1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--calibrate", type=Path)
    parser.add_argument("--tokens", type=int, default=8000)
    return parser.parse_args()


if __name__ == "__main__":
    main()
