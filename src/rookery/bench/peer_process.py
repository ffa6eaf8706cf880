"""The child process of `rookery.bench.peer`: answers requests with the official `rwkv` package."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from typing import Any

__all__ = ["main"]


def main(path: str, threads: int) -> None:
    """Load the model, say what runs it, then answer `[what, tokens]` line by line until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the package prints while it loads
    import torch

    torch.set_num_threads(threads)
    from rwkv.model import RWKV

    start = time.perf_counter()
    model = RWKV(model=path.removesuffix(".pth"), strategy="cpu fp32")
    about = {
        "rwkv": importlib.metadata.version("rwkv"),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "jit": os.environ.get("RWKV_JIT_ON"),
        "load_s": time.perf_counter() - start,
    }
    print(json.dumps(about), file=answers, flush=True)
    for line in sys.stdin:
        what, tokens = json.loads(line)
        with torch.no_grad():
            print(json.dumps(_ANSWERS[what](model, tokens)), file=answers, flush=True)


def _prefill(model: Any, tokens: list[int]) -> dict[str, Any]:
    start = time.perf_counter()
    model.forward(tokens, None)
    return {"seconds": time.perf_counter() - start}


def _decode(model: Any, tokens: list[int]) -> dict[str, Any]:
    state = None
    start = time.perf_counter()
    for token in tokens:
        _, state = model.forward([token], state)
    return {"seconds": time.perf_counter() - start}


def _logits(model: Any, tokens: list[int]) -> dict[str, Any]:
    return {"logits": model.forward(tokens, None)[0].tolist()}


_ANSWERS = {"prefill": _prefill, "decode": _decode, "logits": _logits}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
