"""
The process of a `rookery.bench.child`: answers requests with a runner.

A runner is a module with `start(path, threads)`, which loads the model and returns what it has to say of itself and
an object per configuration: methods `prefill`, `decode`, perhaps `batched` (seconds) and `logits`, or `context`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

__all__ = ["main"]


def main(runner: str, path: str, threads: int) -> None:
    """Load the model, say what runs it, then answer lines of `[what, configuration, *arguments]` until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # packages print while they load
    start = time.perf_counter()
    about, configurations = importlib.import_module(runner).start(path, threads)
    about |= {"configurations": list(configurations), "load_s": time.perf_counter() - start}
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        what, configuration, *arguments = json.loads(line)
        found = getattr(configurations[configuration], what)(*arguments)
        answer = found if isinstance(found, dict) else {"logits" if what == "logits" else "seconds": found}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
