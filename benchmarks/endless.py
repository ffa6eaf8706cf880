"""
Constant memory: 100,000 tokens through one conversation, one by one.

    python benchmarks/endless.py [--tokens 100000] [--versions 4,6,7] [--layers 4 --width 256 --vocab 4096]
    python benchmarks/endless.py --tokens 20000 --layers 12 --width 768 --vocab 65536   # the shape of a 0.1B model

Prints a table, then JSON: resident memory after a warm-up and at the end, and the time per token (median) in the
first and the last tenth.  The exit code is 1 if memory grew by more than 1 MiB.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from rookery import Model, load
from rookery.bench.memory import resident_bytes
from rookery.bench.speed import random_tokens
from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model
from rookery.tokenizer import WorldTokenizer

WARM_UP = 1000  # tokens; the conversation repeats them, so that every row of the mapped embedding it uses is there
GROWTH_LIMIT = 1 << 20  # bytes


def main() -> None:
    options = _options()
    rows = [_measure(version, options) for version in options.versions.split(",")]
    print(
        f"{'version':8}{'tokens':>9}{'resident, start':>18}{'end':>12}{'growth':>12}{'us/token, first':>18}{'last':>9}"
    )
    for row in rows:
        start, end = row["resident_start"], row["resident_end"]
        print(
            f"{row['version']:8}{row['tokens']:9}{start / 2**20:14.2f} MiB{end / 2**20:8.2f} MiB"
            f"{(end - start) / 1024:8.0f} KiB{row['first_us']:18.1f}{row['last_us']:9.1f}"
        )
    print(json.dumps(rows))
    if any(row["resident_end"] - row["resident_start"] > GROWTH_LIMIT for row in rows):
        raise SystemExit("memory grew")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Constant memory and time per token.")
    parser.add_argument("--versions", default="4,6,7")
    for name, default in (("tokens", 100_000), ("layers", 4), ("width", 256), ("vocab", 4096), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def _measure(version: str, options: argparse.Namespace) -> dict[str, Any]:
    """One long conversation with a random model."""
    config = make_config(version, layers=options.layers, width=options.width, vocab=options.vocab)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_checkpoint(random_model(config), path)
        model = load(path, threads=options.threads, tokenizer=WorldTokenizer({1: b"?"}, "none"))
        return {"version": version, "tokens": options.tokens, **_walk(model, options.tokens)}


def _walk(model: Model, count: int) -> dict[str, Any]:
    tenth = max(count // 10, 1)
    tokens = random_tokens(model.config.vocab, WARM_UP)
    state, first, last = None, np.ones(tenth), np.ones(tenth)  # not lists: those would grow by an object a token
    for token in tokens:
        _, state = model.forward([token], state)
    gc.collect()
    before = resident_bytes()["now"]
    for i in range(count):
        start = time.perf_counter()
        logits, state = model.forward([tokens[i % WARM_UP]], state)
        seconds = time.perf_counter() - start
        if i < tenth:
            first[i] = seconds
        elif i >= count - tenth:
            last[i - count + tenth] = seconds
    gc.collect()
    after = resident_bytes()["now"]
    assert state is not None
    assert state.count == count + WARM_UP
    assert abs(logits).max() < 1e6
    return {
        "resident_start": before,
        "resident_end": after,
        "state_bytes": state.data.nbytes,
        "first_us": 1e6 * float(np.median(first)),
        "last_us": 1e6 * float(np.median(last)),
    }


if __name__ == "__main__":
    main()
