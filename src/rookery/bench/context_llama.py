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

_DECIDED = 2048  # tokens from which on an attention that was neither faster nor leaner there is left out


def start(path: str, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model as llama.cpp loads it by default.  path: a GGUF file."""
    prepare()
    model = loaded(path)
    name = importlib.metadata.version("llama-cpp-python")
    count = llama_cpp.llama_model_n_params(model)
    text = f"{_described(model)}, {count / 1e6:.0f} M parameters, in llama-cpp-python {name}, a cache in F16"
    return {"text": f"{text}, the better attention"}, {"": _Runner(model, threads)}


def _described(model: Any) -> str:
    text = ctypes.create_string_buffer(128)
    llama_cpp.llama_model_desc(model, text, len(text))
    return text.value.decode(errors="replace")


def _attentions() -> dict[str, dict[str, int]]:
    """The ways to compute attention, where there is a choice: which is faster depends on the processor."""
    if not hasattr(llama_cpp.llama_context_default_params(), "flash_attn_type"):
        return {"": {}}
    return {
        "flash": {"flash_attn_type": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED},
        "plain": {"flash_attn_type": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED},
    }


def _trim() -> None:
    """Give memory that was freed back to the system, so that it does not count for the next context."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


class _Runner:
    """For each length a context, that is a cache, just large enough."""

    def __init__(self, model: Any, threads: int) -> None:
        self.model = model
        self.threads = threads
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.attentions = _attentions()

    def context(self, length: int, tokens: int) -> dict[str, Any]:
        """Read so many tokens, then generate: the time of the faster attention, the memory of the leaner one."""
        found = {name: self._with(more, length, tokens) for name, more in self.attentions.items()}
        fast = min(found, key=lambda name: found[name]["token_s"])
        lean = min(found, key=lambda name: found[name]["resident_bytes"])
        if length >= _DECIDED:
            self.attentions = {name: self.attentions[name] for name in {fast, lean}}
        return found[fast] | {"resident_bytes": found[lean]["resident_bytes"], "attention": fast}

    def _with(self, more: dict[str, int], length: int, tokens: int) -> dict[str, float]:
        context = context_for(self.model, self.threads, length + tokens, **more)
        words = random_tokens(self.vocab, WORDS)
        start = time.perf_counter()
        read(context, (words * (length // WORDS + 1))[:length])
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
        _trim()
        resident = found.get("now", found["peak"])
        return {
            "token_s": min(times),
            "median_token_s": float(np.median(times)),
            "read_s": seconds,
            "resident_bytes": resident,
        }
