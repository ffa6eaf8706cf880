"""
Constant memory: 100,000 tokens, or a million, through one conversation, one by one.

    python benchmarks/endless.py [--tokens 100000] [--versions 4,6,7] [--layers 4 --width 256 --vocab 4096]
    python benchmarks/endless.py --tokens 20000 --layers 12 --width 768 --vocab 65536   # the shape of a 0.1B model
    python benchmarks/endless.py --tokens 1000000 --model model.gguf --progress million.npz   # an hour or so

Prints a table, then JSON: resident memory and the time per token (median) of every tenth.  With --progress a line on
stderr follows every tenth, and the state is kept in that file: run the same command again to go on where it was
broken off.  The exit code is 1 if memory grew by more than 1 MiB in all tenths together.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from rookery.bench.memory import resident_bytes
from rookery.bench.speed import load_timed, random_tokens
from rookery.formats import save_checkpoint
from rookery.initialise import make_config, random_model
from rookery.model import Model

WORDS = 1000  # different tokens, so that after a warm-up every row of the mapped embedding that is used is there
GROWTH_LIMIT = 1 << 20  # bytes
TENTHS = 10


def main() -> None:
    options = _options()
    rows = [_of_file(options)] if options.model else [_of_version(v, options) for v in options.versions.split(",")]
    print(
        f"{'version':8}{'tokens':>9}{'resident, start':>18}{'end':>12}{'growth':>12}{'us/token, first':>18}{'last':>9}"
    )
    for row in rows:
        start, end = row["resident_start"], row["resident_end"]
        print(
            f"{row['version']:8}{row['tokens']:9}{start / 2**20:14.2f} MiB{end / 2**20:8.2f} MiB"
            f"{row['growth'] / 1024:8.0f} KiB{row['first_us']:18.1f}{row['last_us']:9.1f}"
        )
    print(json.dumps(rows))
    if any(row["growth"] > GROWTH_LIMIT for row in rows):
        raise SystemExit("memory grew")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Constant memory and time per token.")
    parser.add_argument("--versions", default="4,6,7", help="of random models")
    parser.add_argument("--model", type=Path, help="a model to use in place of random ones")
    parser.add_argument("--progress", type=Path, help="an .npz file to go on from; with one model only")
    for name, default in (("tokens", 100_000), ("layers", 4), ("width", 256), ("vocab", 4096), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if given.tokens < TENTHS:
        parser.error(f"--tokens is {given.tokens}; expected {TENTHS} or more")
    if given.progress and not given.model and "," in given.versions:
        parser.error("--progress keeps the state of one model: give --model, or one of --versions")
    if given.progress and given.progress.suffix != ".npz":
        parser.error(f"--progress is {given.progress}; expected a name that ends in .npz")
    return given


def _of_file(options: argparse.Namespace) -> dict[str, Any]:
    model, _ = load_timed(options.model, options.threads)
    return {"version": model.config.version, "model": str(model), **_walk(model, options)}


def _of_version(version: str, options: argparse.Namespace) -> dict[str, Any]:
    """One long conversation with a random model."""
    config = make_config(version, layers=options.layers, width=options.width, vocab=options.vocab)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_checkpoint(random_model(config), path)
        model, _ = load_timed(path, options.threads)
        return {"version": version, "model": str(model), **_walk(model, options)}


def _walk(model: Model, options: argparse.Namespace) -> dict[str, Any]:
    tokens = np.asarray(random_tokens(model.config.vocab, WORDS), np.int32)
    state, tenths = _kept(options.progress, model, options.tokens)
    each, done = options.tokens // TENTHS, len(tenths)
    _step_through(model, model.initial.data.copy(), tokens, warm := np.ones(WORDS))
    np.median(warm)  # numpy too takes memory the first time
    seconds = np.ones(each)  # not a list: that would grow by an object a token
    gc.collect()
    for number in range(done, TENTHS):
        before = resident_bytes()["now"]
        logits = _step_through(model, state, tokens, seconds)
        assert abs(logits).max() < 1e6
        gc.collect()
        after = resident_bytes()["now"]
        times = {"us": 1e6 * float(np.median(seconds)), "continues": number > done}
        tenths.append({"resident_start": before, "resident_end": after, **times})
        if options.progress:
            _keep(options.progress, model, state, tenths, options.tokens)
            print(f"{(number + 1) * each} tokens: {after / 2**20:.2f} MiB, {tenths[-1]['us']:.1f} us", file=sys.stderr)
    return {
        "tokens": each * TENTHS,
        "resident_start": tenths[0]["resident_start"],
        "resident_end": tenths[-1]["resident_end"],
        "growth": _growth(tenths),
        "state_bytes": state.nbytes,
        "first_us": tenths[0]["us"],
        "last_us": tenths[-1]["us"],
        "tenths": tenths,
    }


def _growth(tenths: list[dict[str, Any]]) -> int:
    """Of all processes together, each from its first tenth to its last; two processes cannot be compared."""
    starts = [i for i, tenth in enumerate(tenths) if not tenth["continues"]]
    ends = [*(i - 1 for i in starts[1:]), len(tenths) - 1]
    return sum(tenths[b]["resident_end"] - tenths[a]["resident_start"] for a, b in zip(starts, ends, strict=True))


def _step_through(model: Model, state: np.ndarray, tokens: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """As many steps as there is room for their seconds; the last logits."""
    lengths, wanted = [1], np.zeros(1, np.int32)
    for i in range(len(seconds)):
        at = i % len(tokens)
        start = time.perf_counter()
        logits = model.executor.run(tokens[at : at + 1], lengths, [state], wanted)
        seconds[i] = time.perf_counter() - start
    return logits


def _kept(path: Path | None, model: Model, tokens: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """The state and the tenths that are done."""
    if path is None or not path.exists():
        return model.initial.data.copy(), []
    with np.load(path, allow_pickle=False) as file:
        if str(file["model"]) != model.fingerprint or int(file["tokens"]) != tokens:
            raise SystemExit(f"{path}: belongs to another model or number of tokens; remove it to begin anew")
        return np.array(file["state"]), json.loads(str(file["tenths"]))


def _keep(path: Path, model: Model, state: np.ndarray, tenths: list[dict[str, Any]], tokens: int) -> None:
    fresh = path.with_suffix(".part.npz")
    np.savez(fresh, state=state, tenths=json.dumps(tenths), tokens=tokens, model=model.fingerprint)
    fresh.replace(path)


if __name__ == "__main__":
    main()
