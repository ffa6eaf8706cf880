"""A transformer in llama.cpp for `rookery.bench.context`, in the process that `rookery.bench.peer_process` is."""

from __future__ import annotations

import ctypes
import importlib.metadata
import time
from typing import Any

import llama_cpp
import numpy as np

from rookery.bench.context import WORDS
from rookery.bench.memory import resident_bytes
from rookery.bench.peer_llama import context_for, loaded, prepare, read
from rookery.bench.speed import random_tokens

__all__ = ["start"]


def start(path: str, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model as llama.cpp loads it by default.  path: a GGUF file."""
    prepare()
    model = loaded(path)
    name = importlib.metadata.version("llama-cpp-python")
    count = llama_cpp.llama_model_n_params(model)
    text = f"{_described(model)}, {count / 1e6:.0f} M parameters, in llama-cpp-python {name}, a cache in F16"
    return {"text": text}, {"": _Runner(model, threads)}


def _described(model: Any) -> str:
    text = ctypes.create_string_buffer(128)
    llama_cpp.llama_model_desc(model, text, len(text))
    return text.value.decode(errors="replace")


class _Runner:
    """For each length a context, that is a cache, just large enough."""

    def __init__(self, model: Any, threads: int) -> None:
        self.model = model
        self.threads = threads
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

    def context(self, length: int, tokens: int) -> dict[str, float]:
        """Read so many tokens, then generate."""
        context = context_for(self.model, self.threads, length + tokens)
        start = time.perf_counter()
        read(context, (random_tokens(self.vocab, WORDS) * (length // WORDS + 1))[:length])
        seconds = time.perf_counter() - start
        found = resident_bytes()
        token, times = 1, []
        for _ in range(tokens):
            start = time.perf_counter()
            read(context, [token])
            logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (self.vocab,))
            token = int(logits.argmax())
            times.append(time.perf_counter() - start)
        llama_cpp.llama_free(context)
        resident = found.get("now", found["peak"])
        return {"token_s": float(np.median(times)), "read_s": seconds, "resident_bytes": resident}
