"""The child process of `rookery.bench.first`: loads a model, reads a prompt, chooses a token, and says when."""

from __future__ import annotations

import json
import sys
import time

import numpy as np

from rookery.bench.memory import resident_bytes
from rookery.bench.speed import load_timed, native, random_tokens, weights_of
from rookery.errors import RookeryError

__all__ = ["main"]

_MORE = 64  # tokens, after which memory is looked at again


def main(path: str, threads: int, prompt_tokens: int) -> None:
    """Prints one JSON object; "started" and "first" are times of the system's monotonic clock."""
    started = time.monotonic()
    model, load_s = load_timed(path, threads)
    resident = {"loaded": resident_bytes()}
    executor, data = native(model), model.initial.data.copy()
    prompt = np.asarray(random_tokens(model.config.vocab, prompt_tokens), np.int32)
    token = executor.run(prompt, [len(prompt)], [data], np.asarray([len(prompt) - 1], np.int32))[0].argmax()
    first = time.monotonic()
    for _ in range(_MORE):
        token = executor.run(np.asarray([token], np.int32), [1], [data], np.zeros(1, np.int32))[0].argmax()
    resident["decoded"] = resident_bytes()
    found = {
        "threads": executor.threads,
        "started": started,
        "first": first,
        "load_s": load_s,
        "prefill_s": first - started - load_s,
        **weights_of(model),
        "memory": resident,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except (RookeryError, OSError) as error:
        raise SystemExit(str(error)) from None
