"""
How long a user waits for the first token, from the start of the process on, and what memory that process holds.

Every round is a process of its own (first_process.py), with the file in the page cache after the first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rookery.bench.speed import Settings, Spread
from rookery.errors import RookeryError

__all__ = ["first_token"]

_PARTS = ("start_s", "load_s", "prefill_s", "total_s")


def first_token(path: Path, settings: Settings, threads: Sequence[int]) -> dict[str, Any]:
    """{"prompt_tokens", "runs"}; a run has "threads", what `weights_of` tells, "memory", and spreads of seconds:

    "start_s"    until the interpreter has imported rookery
    "load_s"     for the model and its vocabulary
    "prefill_s"  for the prompt and the choice of a token
    "total_s"    all of it

    "memory" is what `resident_bytes` tells of the last round's process, "loaded" and "decoded": after 64 more tokens.
    """
    _round(path, settings.prompt_tokens, threads[0])  # puts the file into the page cache
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in threads}
    for _ in range(settings.repeat):
        for count, rounds in found.items():
            rounds.append(_round(path, settings.prompt_tokens, count))
    return {"prompt_tokens": settings.prompt_tokens, "runs": [_run(rounds) for rounds in found.values()]}


def _run(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    about = {key: value for key, value in rounds[-1].items() if key not in (*_PARTS, "started", "first")}
    return about | {part: Spread(r[part] for r in rounds).summary() for part in _PARTS}


def _round(path: Path, prompt_tokens: int, threads: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "rookery.bench.first_process", str(path), str(threads), str(prompt_tokens)]
    start = time.monotonic()  # the system's, so that the child can go on counting
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RookeryError((done.stderr.strip().splitlines() or [f"{path}: the process ended without a word"])[-1])
    told = json.loads(done.stdout)
    told["start_s"] = told["started"] - start
    told["total_s"] = told["first"] - start
    return dict(told)
