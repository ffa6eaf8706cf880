"""The official `rwkv` package in float32, for `rookery.bench.peer_process`.  It has no batches."""

from __future__ import annotations

import importlib.metadata
import os
import time
from typing import Any

__all__ = ["start"]


def start(path: str, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model in its one configuration.  path: a .pth file."""
    import torch

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    from rwkv.model import RWKV

    model = RWKV(model=path.removesuffix(".pth"), strategy="cpu fp32")
    version = importlib.metadata.version("rwkv")
    about = {
        "rwkv": version,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "jit": os.environ.get("RWKV_JIT_ON"),
        "settings": f"{version} with torch {torch.__version__}, the same weights in F32",
    }
    return about, {"": _Runner(model)}


class _Runner:
    def __init__(self, model: Any) -> None:
        self.model = model

    def prefill(self, tokens: list[int]) -> float:
        start = time.perf_counter()
        self.model.forward(tokens, None)
        return time.perf_counter() - start

    def decode(self, tokens: list[int]) -> float:
        state = None
        start = time.perf_counter()
        for token in tokens:
            logits, state = self.model.forward([token], state)
            logits.argmax()
        return time.perf_counter() - start

    def logits(self, tokens: list[int]) -> list[float]:
        """After the last token."""
        logits: list[float] = self.model.forward(tokens, None)[0].tolist()
        return logits
