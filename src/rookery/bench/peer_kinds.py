"""The programs rookery can be measured against.  Another one: a line in `PEERS` and a runner, see peer_process.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rookery.errors import UnsupportedError
from rookery.formats import Checkpoint, save_checkpoint

__all__ = ["PEERS", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one program is run.

    title:       what messages call it.
    modules:     what must be importable.
    runner:      the module that runs it in the child process.
    weights:     (checkpoint, a temporary folder) -> the file for it to load.
    environment: variables to set for this checkpoint.
    batches:     whether it generates several sequences together.
    """

    title: str
    modules: tuple[str, ...]
    runner: str
    weights: Callable[[Checkpoint, Path], Path]
    environment: Callable[[Checkpoint], dict[str, str]]
    batches: bool


def _as_pth(checkpoint: Checkpoint, folder: Path) -> Path:
    save_checkpoint(checkpoint, folder / "model.pth", "pth", "F32")
    return folder / "model.pth"


def _as_gguf(checkpoint: Checkpoint, folder: Path) -> Path:
    """The file itself if it is GGUF, else a copy in which each matrix keeps its type."""
    assert checkpoint.config is not None  # open_checkpoint has filled it in
    if checkpoint.config.version not in ("6", "7"):
        raise UnsupportedError(
            f"{checkpoint.path}: RWKV {checkpoint.config.version}, but llama.cpp runs RWKV 6 and 7; "
            "compare with --against rwkv"
        )
    if checkpoint.initial_state:
        raise UnsupportedError(
            f"{checkpoint.path}: holds a tuned initial state, which llama.cpp cannot start from; "
            "compare the model without it"
        )
    if checkpoint.format == "gguf":
        return Path(checkpoint.path).resolve()
    save_checkpoint(checkpoint, folder / "model.gguf", "gguf")
    return folder / "model.gguf"


def _rwkv_settings(checkpoint: Checkpoint) -> dict[str, str]:
    assert checkpoint.config is not None
    goose = checkpoint.config.version == "7"
    return {"RWKV_V7_ON": str(int(goose)), "RWKV_JIT_ON": "1", "RWKV_CUDA_ON": "0"}


PEERS = {
    "rwkv": Kind("the rwkv package", ("torch", "rwkv"), "rookery.bench.peer_rwkv", _as_pth, _rwkv_settings, False),
    "llama.cpp": Kind("llama.cpp", ("llama_cpp",), "rookery.bench.peer_llama", _as_gguf, lambda _: {}, True),
}
