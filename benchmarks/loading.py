"""
From the start of a process to the first token, for several files of one model.

    python benchmarks/loading.py model.gguf model.rookery --rounds 10

Each round starts a process for each file, one after another, and the smallest figure of all rounds counts: other work
on the machine only ever adds to it.  Files are in the page cache unless --cold drops them before each process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

CHILD = """
import resource, sys, time
import rookery
def now(): return time.clock_gettime(time.CLOCK_MONOTONIC)
begun = now()
model = rookery.load(sys.argv[1], threads=int(sys.argv[2]))
loaded = now()
logits, _ = model.forward([0])
first = int(logits.argmax())
print(begun, loaded, now(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
Figures = tuple[float, float, float, float]


def measured(path: Path, threads: int) -> Figures:
    """Milliseconds until rookery is imported, the model loaded, a token there; peak resident MiB."""
    start = time.clock_gettime(time.CLOCK_MONOTONIC)
    run = [sys.executable, "-c", CHILD, str(path), str(threads)]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    begun, loaded, first, peak = map(float, out.split())
    return 1e3 * (begun - start), 1e3 * (loaded - begun), 1e3 * (first - start), peak


def forget(path: Path) -> None:
    """Drop a file from the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cold", action="store_true", help="read from the disk")
    given = parser.parse_args()
    for path in given.files:
        if not path.exists():
            parser.error(f"{path}: there is no such file")
    found: dict[Path, list[Figures]] = {path: [] for path in given.files}
    for _ in range(given.rounds):
        for path in given.files:
            if given.cold:
                forget(path)
            found[path].append(measured(path, given.threads))
    for path, rounds in found.items():
        begun, loaded, first, peak = (min(column) for column in zip(*rounds, strict=True))
        print(
            f"{path.name}: import {begun:.0f} ms, load {loaded:.0f} ms, first token at {first:.0f} ms, {peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
