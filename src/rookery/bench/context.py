"""
Memory and time per token as the context grows: rookery, whose state does not, beside a transformer in llama.cpp.

Each lives in a process of its own, so that their memory can be told apart; they take turns at every length.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rookery.bench.child import Child, require
from rookery.errors import RookeryError, SettingsError
from rookery.formats import open_checkpoint
from rookery.formats.gguf import sniff

__all__ = ["LENGTHS", "WORDS", "contexts"]

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
WORDS = 512  # different tokens in a context: of a mapped embedding only the rows that were used are in memory
_MOST = 1 << 24
_TOKENS = 32  # generated at each length; the fastest counts


def contexts(path: Path, transformer: Path | None, lengths: Sequence[int], threads: int) -> dict[str, Any]:
    """{"lengths", "threads", "programs"}: "rookery" and perhaps "transformer" -> {"about", "points"}.

    A point, one for each length, has "resident_bytes" of the process when so many tokens have been read, "read_s", the
    seconds that took, and "token_s" and "median_token_s" of the tokens generated from there, the best and the median.
    transformer: a GGUF file that llama.cpp runs; of the same number of parameters, for the comparison to be fair.
    """
    if list(lengths) != sorted(set(lengths)) or not 1 <= lengths[0] <= lengths[-1] <= _MOST:
        raise SettingsError(f"--context is {','.join(map(str, lengths))}; expected ascending numbers from 1 to {_MOST}")
    runners = {"rookery": (path, "rookery", "rookery.bench.context_rookery")}
    if transformer is not None:
        require(("llama_cpp",), "running a transformer")
        _check_transformer(transformer)
        runners["transformer"] = (transformer, "llama.cpp", "rookery.bench.context_llama")
    programs: dict[str, Any] = {}
    with ExitStack() as stack:
        children = {}
        for name, (file, title, runner) in runners.items():
            children[name] = stack.enter_context(Child(title, runner))
            programs[name] = {"about": children[name].start(file.resolve(), threads)["text"], "points": []}
        for length in lengths:
            for name, child in children.items():
                programs[name]["points"].append(child.ask("context", "", length, _TOKENS))
    return {"lengths": list(lengths), "threads": threads, "programs": programs}


def _check_transformer(path: Path) -> None:
    """SettingsError for what can be seen not to be one before anything is measured."""
    if not path.is_file():
        raise SettingsError(f"{path}: there is no such file; expected a GGUF model that llama.cpp runs")
    with open(path, "rb") as file:
        if not sniff(path, file.read(4)):
            raise SettingsError(f"{path}: not a GGUF file; expected a GGUF model that llama.cpp runs")
    try:
        config = open_checkpoint(path).config
    except RookeryError:
        return  # no model of ours, as it should be
    assert config is not None  # open_checkpoint has filled it in
    raise SettingsError(
        f"{path}: this is RWKV-{config.version}, not a transformer; write one with benchmarks/transformer.py"
    )
