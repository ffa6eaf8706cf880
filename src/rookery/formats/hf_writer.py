"""Writing Hugging Face directories of RWKV-7 and RWKV-6."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rookery.config import Config
from rookery.errors import SettingsError, UnsupportedError
from rookery.formats import hf_names
from rookery.formats.checkpoint import Checkpoint
from rookery.formats.hf import CONFIG, INDEX, WEIGHTS
from rookery.formats.safetensors_writer import write_into
from rookery.formats.stream import Part, Progress, Stream, dense_parts
from rookery.formats.target import check_target, flush, said_of

__all__ = ["write"]

_TORCH_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def write(checkpoint: Checkpoint, path: Path, dtype: str | None, progress: Progress | None) -> None:
    """A directory with config.json and model.safetensors.  Other files of an earlier model there are kept.

    UnsupportedError for versions without a writer and for tuned states, which the layouts have no place for;
    SettingsError for a directory that holds something else.
    """
    config = checkpoint.config
    assert config is not None
    if config.version not in ("6", "7"):
        raise UnsupportedError(
            f"{path}: RWKV-{config.version} cannot be written as a Hugging Face directory, only 6 and 7; write .pth "
            "or .safetensors"
        )
    if checkpoint.initial_state:
        raise UnsupportedError(f"{path}: Hugging Face directories have no place for a tuned state; write .pth instead")
    parts = _parts(checkpoint, config, dtype)
    settings = _settings(config) | {"torch_dtype": _TORCH_DTYPES[parts[next(iter(parts))].format]}
    with said_of(path), _directory(path) as folder:
        (folder / CONFIG).write_text(json.dumps(settings, indent=2) + "\n")
        with open(folder / WEIGHTS, "wb") as file:
            write_into(file, Stream(parts, checkpoint.release, progress), {"format": "pt"})
            flush(file)


def _parts(checkpoint: Checkpoint, config: Config, dtype: str | None) -> dict[str, Part]:
    dense = dense_parts(checkpoint, dtype)  # official shapes: what the version 6 layout has
    if config.version == "6":
        return {hf_names.rwkv6_name(name): part for name, part in dense.items()}
    formats = {hf_names.rwkv7_name(name): part.format for name, part in dense.items()}
    used = {n: t for n, t in checkpoint.tensors.items() if n not in _UNUSED}
    return {name: Part(tensor, formats[name]) for name, tensor in hf_names.rwkv7_tensors(used).items()}


_UNUSED = {f"blocks.0.att.v{i}" for i in range(3)}  # the layout has no value residual in block 0


def _settings(config: Config) -> dict[str, Any]:
    common = {
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "intermediate_size": config.ffn,
        "vocab_size": config.vocab,
        "tie_word_embeddings": False,
        "use_cache": True,
    }
    if config.version == "6":
        return {
            "architectures": ["Rwkv6ForCausalLM"],
            "model_type": "rwkv6",
            **common,
            "attention_hidden_size": config.width,
            "head_size": config.head_size,
            "layer_norm_epsilon": 1e-5,
            "rescale_every": 6,
        }
    return {
        "architectures": ["RWKV7ForCausalLM"],
        "model_type": "rwkv7",
        **common,
        "head_dim": config.head_size,
        "num_heads": config.heads,
        "value_dim": [config.width] * config.layers,
        "hidden_act": "sqrelu",
        "norm_eps": 1e-5,
        "norm_bias": True,
        "decay_low_rank_dim": config.ranks["w"],
        "a_low_rank_dim": config.ranks["a"],
        "v_low_rank_dim": config.ranks["v"],
        "gate_low_rank_dim": config.ranks["g"],
    }


@contextmanager
def _directory(path: Path) -> Iterator[Path]:
    """A fresh directory that takes the place of `path` when the block ends without an error."""
    _check_replaceable(path)
    path = path.resolve()
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield fresh
        fresh.chmod(0o755)
        _keep_others(path, fresh)
        _swap(path, fresh)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _check_replaceable(path: Path) -> None:
    check_target(path, directory=True)
    if path.is_dir() and any(path.iterdir()) and not (path / CONFIG).is_file():
        raise SettingsError(f"{path}: the directory is not empty and holds no model; choose another name")


def _keep_others(old: Path, fresh: Path) -> None:
    """Tokenizer files, licences and the like stay; weights and their index do not."""
    for item in old.iterdir() if old.is_dir() else ():
        weights = item.suffix in (".safetensors", ".bin") or item.name in (CONFIG, INDEX)
        if weights or item.name.endswith(".index.json"):
            continue
        copy = shutil.copytree if item.is_dir() else shutil.copy2
        copy(item, fresh / item.name)


def _swap(path: Path, fresh: Path) -> None:
    if not path.exists():
        os.replace(fresh, path)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    os.replace(path, aside)
    os.replace(fresh, path)
    shutil.rmtree(aside)
