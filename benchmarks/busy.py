"""
Generating while another process keeps a processor busy: more threads must not make it slower than one.

    python benchmarks/busy.py model.gguf [--against llama.cpp] [--json]

Threads that wait for one another suffer most when one of them loses its processor.  Rounds alternate between a quiet
machine and a busy one, and between one thread and all; medians in tokens per second.  The figure that counts is all
threads on the busy machine over one thread on the busy machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import numpy as np

from rookery.bench.machine import machine
from rookery.bench.peer import PEERS, Peer
from rookery.bench.speed import Spread, load_timed, native, random_tokens
from rookery.formats import open_checkpoint
from rookery.layout import aligned_copy
from rookery.model import Model
from rookery.ops.native import default_threads

SETTLE_S = 0.3  # until the system has found a place for the busy process


def main() -> None:
    options = _options()
    threads = options.threads or default_threads()
    tokens = random_tokens(256, options.tokens)
    with ExitStack() as stack:
        runs = dict(_runs(stack, options, (1, threads), tokens))
        found = {"machine": machine(), "threads": threads, "programs": _measured(runs, options, threads)}
    if options.json:
        print(json.dumps(found))
        return
    columns = [f"{mood}_{count}" for mood in ("quiet", "busy") for count in dict.fromkeys((1, threads))]
    print(f"{'tokens per second':18}" + "".join(f"{column.replace('_', ', '):>11}" for column in columns) + "  ratio")
    for name, row in found["programs"].items():
        print(f"{name:18}" + "".join(f"{row[key]['median']:11.1f}" for key in columns) + f"{row['ratio']:7.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Decoding while another process keeps a processor busy.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--against", choices=list(PEERS))
    parser.add_argument("--threads", type=int, default=0, help="the larger number of threads; default: all")
    parser.add_argument("--busy", type=int, default=1, help="busy processes")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _runs(
    stack: ExitStack, options: argparse.Namespace, counts: tuple[int, int], tokens: list[int]
) -> Iterator[tuple[tuple[str, int], Callable[[], float]]]:
    """(program, threads) -> decode once and return tokens per second."""
    for count in dict.fromkeys(counts):
        model, _ = load_timed(options.model, count)
        yield ("rookery", count), lambda m=model: _decoded(m, tokens)  # type: ignore[misc]
    if options.against:
        for count in dict.fromkeys(counts):
            peer = stack.enter_context(Peer(options.against, open_checkpoint(options.model), count))
            first = peer.configurations[0]
            yield (options.against, count), lambda p=peer, c=first: len(tokens) / p.decode(c, tokens)  # type: ignore[misc]


def _decoded(model: Model, tokens: list[int]) -> float:
    states, wanted = [aligned_copy(model.initial.data)], np.zeros(1, np.int32)
    start = perf_counter()
    for token in tokens:
        native(model).run(np.asarray([token], np.int32), [1], states, wanted)[0].argmax()
    return len(tokens) / (perf_counter() - start)


def _measured(
    runs: dict[tuple[str, int], Callable[[], float]], options: argparse.Namespace, threads: int
) -> dict[str, Any]:
    speeds: dict[str, dict[str, Spread]] = {}
    for run in runs.values():
        run()
    for _ in range(options.rounds):
        for mood, processes in (("quiet", 0), ("busy", options.busy)):
            with _busy(processes):
                for (name, count), run in runs.items():
                    speeds.setdefault(name, {}).setdefault(f"{mood}_{count}", Spread()).add(run())
    return {
        name: {key: spread.summary() for key, spread in found.items()}
        | {"ratio": found[f"busy_{threads}"].median / found["busy_1"].median}
        for name, found in speeds.items()
    }


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but count."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        if busy:
            sleep(SETTLE_S)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
