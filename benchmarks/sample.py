"""
Microseconds per drawn token over a vocabulary of 65,536, beside plain numpy.

    PYTHONPATH=src python benchmarks/sample.py [--draws 200]

The numpy column does what a straightforward implementation of the same settings does: softmax, one full sort for
top-p and top-k, `random.choice`; no penalties, no min_p, no typical_p.  Medians; one thread.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from rookery.sampling import Sampler

VOCAB = 65536
PENALTIES = {"presence_penalty": 0.2, "frequency_penalty": 0.2}
CASES = {
    "greedy": Sampler.greedy(),
    "top_p 0.5 (default)": Sampler(seed=1),
    "top_p 0.85, penalties (rwkv package)": Sampler(top_p=0.85, seed=1, **PENALTIES),
    "top_p 0.5, top_k 100": Sampler(top_k=100, seed=1),
    "no filter": Sampler(top_p=1.0, seed=1),
    "usual: T 0.8, top_k 40, top_p 0.95, min_p 0.05": Sampler(
        order="usual", temperature=0.8, top_k=40, top_p=0.95, min_p=0.05, seed=1
    ),
    "usual: T 0.8, top_p 0.95": Sampler(order="usual", temperature=0.8, top_p=0.95, seed=1),
    "usual: typical_p 0.9, top_p 0.95": Sampler(order="usual", typical_p=0.9, top_p=0.95, seed=1),
    "top_p 0.5, 20 log-probabilities": Sampler(seed=1, logprobs=20),
}


def rows() -> dict[str, np.ndarray]:
    """Logits like a model's (a steep Zipf law with noise), and a nearly flat row: the worst case."""
    rng = np.random.default_rng(0)
    rank = rng.permutation(VOCAB) + 1
    steep = -1.6 * np.log(rank) + rng.standard_normal(VOCAB)
    return {"steep": steep.astype(np.float32), "flat": (rng.standard_normal(VOCAB) * 0.1).astype(np.float32)}


def plain(settings: Sampler, logits: np.ndarray, rng: np.random.Generator) -> int:
    """The same choice in numpy."""
    if settings.temperature == 0:
        return int(np.argmax(logits))
    p = np.exp(logits - logits.max())
    p /= p.sum()
    order = np.argsort(p)[::-1]
    if settings.top_p < 1:
        cut = p[order[np.argmax(np.cumsum(p[order]) >= settings.top_p)]]
        p[p < cut] = 0
    if settings.top_k:
        p[order[settings.top_k :]] = 0
    if settings.temperature != 1:
        p **= 1 / settings.temperature
    p = p.astype(np.float64)
    return int(rng.choice(len(p), p=p / p.sum()))


def median_us(work: Callable[[], int], draws: int) -> float:
    times = []
    for _ in range(draws):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="time the sampler")
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    print(f"{platform.machine()} {platform.system()}, numpy {np.__version__}; microseconds per draw, V = {VOCAB}\n")
    print("| logits | settings | support | rookery | numpy |\n|---|---|---:|---:|---:|")
    rng = np.random.default_rng(0)
    for shape, logits in rows().items():
        for name, settings in CASES.items():
            draw = settings.start(VOCAB)
            support = np.count_nonzero(draw.distribution(logits))
            ours = median_us(partial(draw.sample, logits), draws)
            theirs = median_us(partial(plain, settings, logits, rng), max(5, draws // 10))
            print(f"| {shape} | {name} | {support} | {ours:.0f} | {theirs:.0f} |")


if __name__ == "__main__":
    main()
