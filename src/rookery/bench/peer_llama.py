"""
llama.cpp on the CPU, through the low-level API of llama-cpp-python, for `rookery.bench.peer_process`.

At loading it can lay the weights out anew for its kernels ("repacked") or leave them as the file has them ("as
stored"); which is faster depends on the type and the processor, so both are measured.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import time
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np

__all__ = ["context_for", "loaded", "prepare", "read", "start"]

_CHUNK = 512  # tokens of a prompt computed together, its default
_ERROR = 4  # level in the log
_errors: list[str] = []


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: Any) -> None:
    if level == _ERROR:
        _errors.append(text.decode(errors="replace").strip())


def start(path: str, threads: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model in each configuration.  path: a GGUF file."""
    prepare()
    configurations = {"repacked": _Runner(loaded(path), threads)}
    if hasattr(llama_cpp.llama_model_default_params(), "use_extra_bufts"):
        configurations["as stored"] = _Runner(loaded(path, repacked=False), threads)
    version = importlib.metadata.version("llama-cpp-python")
    about = {
        "llama-cpp-python": version,
        "threads": threads,
        "system": llama_cpp.llama_print_system_info().decode().strip(" |"),
        "settings": f"llama-cpp-python {version}, the same file, batches of {_CHUNK}, the better of "
        f"weights {' and '.join(configurations)}",
    }
    return about, configurations


def prepare() -> None:
    """Once, before anything else."""
    llama_cpp.llama_log_set(_log, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()


def loaded(path: str, repacked: bool = True) -> Any:
    """A model on the CPU."""
    settings = llama_cpp.llama_model_default_params()
    settings.n_gpu_layers = 0
    if hasattr(settings, "use_extra_bufts"):
        settings.use_extra_bufts = repacked
    model = llama_cpp.llama_model_load_from_file(path.encode(), settings)
    if not model:
        raise SystemExit(f"it cannot load the model: {_last_error()}")
    return model


class _Runner:
    """One loaded model.  A context, which holds the states, is made for each number of sequences."""

    def __init__(self, model: Any, threads: int) -> None:
        self.model = model
        self.threads = threads
        self.vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.contexts: dict[int, Any] = {}

    def prefill(self, tokens: list[int]) -> float:
        context = self._fresh(1)
        start = time.perf_counter()
        read(context, tokens)
        return time.perf_counter() - start

    def decode(self, tokens: list[int]) -> float:
        """One token after another, with the choice of the likeliest next one."""
        context = self._fresh(1)
        start = time.perf_counter()
        for token in tokens:
            read(context, [token])
            self._last_logits(context).argmax()
        return time.perf_counter() - start

    def batched(self, tokens: list[int], batch: int) -> float:
        context = self._fresh(batch)
        rows = llama_cpp.llama_batch_init(batch, 0, 1)
        start = time.perf_counter()
        for at in range(len(tokens)):
            _fill(rows, [tokens[(at + i) % len(tokens)] for i in range(batch)], at)
            _computed(context, rows)
        seconds = time.perf_counter() - start
        llama_cpp.llama_batch_free(rows)
        return seconds

    def logits(self, tokens: list[int]) -> list[float]:
        """After the last token."""
        context = self._fresh(1)
        read(context, tokens)
        return self._last_logits(context).tolist()

    def _last_logits(self, context: Any) -> np.ndarray:
        """Float32 (vocab,), where the library keeps them."""
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (self.vocab,))

    def _fresh(self, sequences: int) -> Any:
        """The context for so many sequences, all at their beginning."""
        if sequences not in self.contexts:
            tokens = _CHUNK * sequences  # bounds nothing here: a state does not grow
            self.contexts[sequences] = context_for(self.model, self.threads, tokens, sequences)
        context = self.contexts[sequences]
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
        return context


def context_for(model: Any, threads: int, tokens: int, sequences: int = 1, **more: Any) -> Any:
    """Room for so many tokens of so many sequences in all.  more: other settings of a context, by its names."""
    most = llama_cpp.llama_max_parallel_sequences()
    if sequences > most:
        raise SystemExit(f"it runs at most {most} sequences together, not {sequences}; give a smaller --batch")
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = tokens
    settings.n_batch = settings.n_ubatch = _CHUNK
    settings.n_seq_max = sequences
    settings.n_threads = settings.n_threads_batch = threads
    settings.offload_kqv = settings.op_offload = False
    for name, value in more.items():
        setattr(settings, name, value)
    context = llama_cpp.llama_init_from_model(model, settings)
    if not context:
        raise SystemExit(f"it cannot make room for {sequences} sequences: {_last_error()}")
    return context


def read(context: Any, tokens: Sequence[int]) -> None:
    """One sequence further by the tokens; logits are computed for the last of each chunk."""
    for at in range(0, len(tokens), _CHUNK):
        chunk = tokens[at : at + _CHUNK]
        ids = (llama_cpp.llama_token * len(chunk))(*chunk)
        _computed(context, llama_cpp.llama_batch_get_one(ids, len(chunk)))


def _fill(rows: Any, tokens: Sequence[int], position: int) -> None:
    """One token of each sequence, all of them at the same position; logits of all are wanted."""
    rows.n_tokens = len(tokens)
    for sequence, token in enumerate(tokens):
        rows.token[sequence] = token
        rows.pos[sequence] = position
        rows.n_seq_id[sequence] = 1
        rows.seq_id[sequence][0] = sequence
        rows.logits[sequence] = 1


def _computed(context: Any, batch: Any) -> None:
    if llama_cpp.llama_decode(context, batch) != 0:
        raise SystemExit(f"it failed to compute {batch.n_tokens} tokens: {_last_error()}")
    llama_cpp.llama_synchronize(context)


def _last_error() -> str:
    return _errors[-1] if _errors else "it does not say why"
