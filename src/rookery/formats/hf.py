"""
Hugging Face directories: config.json beside one or more weight files.

The tensors decide what the model is.  config.json must agree with them, and must not ask for anything that the
published RWKV models do not do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rookery.config import Config
from rookery.errors import FormatError, UnsupportedError
from rookery.formats import names, pth, safetensors
from rookery.formats.checkpoint import Checkpoint, Tensor
from rookery.formats.source import regular

__all__ = ["CONFIG", "INDEX", "NAME", "WEIGHTS", "read", "sniff"]

NAME = "hf"

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MAX_JSON = 16 << 20
# In the order of preference; an index lists the files that hold the tensors.
_INDEXES = (INDEX, "pytorch_model.bin.index.json")
_SINGLE = (WEIGHTS, "pytorch_model.bin")

# What config.json calls a size, by layout, and the field of `Config` it must equal.
_SIZES = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "vocab_size": "vocab",
    "intermediate_size": "ffn",
    "head_dim": "head_size",
    "head_size": "head_size",
}
# Settings that change the computation, with the only values that RWKV models have.
_FIXED: dict[str, tuple[Any, ...]] = {
    "norm_eps": (1e-5, None),
    "layer_norm_epsilon": (1e-5, None),
    "norm_bias": (True, None),
    "hidden_act": ("sqrelu", "relu2", None),
    "attn": (None,),
}
_MODEL_TYPES = ("rwkv", "rwkv4", "rwkv5", "rwkv6", "rwkv7", None)


def sniff(path: Path, head: bytes) -> bool:
    return path.is_dir()


def read(path: Path) -> Checkpoint:
    """The tensors of every weight file under official names; config.json as metadata."""
    settings = _json(path / CONFIG) if (path / CONFIG).exists() else {}
    _check_settings(settings, path)
    parts = [_open(file) for file in _files(path)]
    tied = settings.get("tie_word_embeddings") is True
    tensors = names.official(_merged(parts), str(path), tied)
    _check_sizes(settings, tensors, path)

    def release() -> None:
        for part in parts:
            part.release()

    return Checkpoint(path, NAME, tensors, settings, release=release)


def _json(file: Path) -> dict[str, Any]:
    with regular(file) as opened:
        text = opened.read(_MAX_JSON + 1)
    if len(text) > _MAX_JSON:
        raise FormatError(f"{file}: larger than {_MAX_JSON} bytes; expected a short JSON file")
    return safetensors.parse_json(text, str(file))


def _files(path: Path) -> list[Path]:
    """The weight files of a directory."""
    for index in _INDEXES:
        if (path / index).exists():
            return [_shard(path, index, name) for name in _shard_names(path / index)]
    for single in _SINGLE:
        if (path / single).exists():
            return [path / single]
    raise FormatError(f"{path}: the directory has no {WEIGHTS} or {INDEX}; expected a Hugging Face model or a file")


def _shard_names(index: Path) -> list[str]:
    weights = _json(index).get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(name, str) for name in weights.values()):
        raise FormatError(f"{index}: 'weight_map' must map tensor names to file names")
    return sorted(set(weights.values()))


def _shard(path: Path, index: str, name: str) -> Path:
    """A file the index names, which must lie in the same directory (it may be a link, as in download caches)."""
    if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise FormatError(f"{path / index}: names the file {name[:120]!r}; expected plain names in the same directory")
    if not (path / name).is_file():
        raise FormatError(f"{path}: the weight file {name!r} that {index} names is missing; fetch the model again")
    return path / name


def _open(file: Path) -> Checkpoint:
    """One weight file, names as they are."""
    with regular(file) as opened:
        head = opened.read(64)
    if safetensors.sniff(file, head):
        return safetensors.read_unnamed(file)
    if pth.sniff(file, head):
        return pth.read_unnamed(file)
    raise FormatError(f"{file}: neither safetensors nor a torch checkpoint; fetch the model again")


def _merged(parts: list[Checkpoint]) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}
    for part in parts:
        twice = next((name for name in part.tensors if name in out), None)
        if twice:
            raise FormatError(f"{part.path}: tensor {twice!r} is in another file of the directory too; remove one")
        out |= part.tensors
    return out


def _check_settings(settings: dict[str, Any], path: Path) -> None:
    kind = settings.get("model_type")
    if kind not in _MODEL_TYPES:
        raise UnsupportedError(f"{path / CONFIG}: model_type {str(kind)[:40]!r} is not supported; expected RWKV 4 to 7")
    for key, allowed in _FIXED.items():
        if settings.get(key) not in allowed:
            raise UnsupportedError(f"{path / CONFIG}: {key} is {str(settings[key])[:60]}, expected {allowed[0]}")


def _check_sizes(settings: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> None:
    config = Config.infer({name: tensor.shape for name, tensor in tensors.items()}, str(path))
    for key, field in _SIZES.items():
        said, found = settings.get(key), getattr(config, field)
        if said is not None and said != found and not (key == "head_size" and config.version == "4"):
            raise FormatError(
                f"{path / CONFIG}: {key} is {str(said)[:60]}, but the tensors say {found}; the files do not belong "
                "together"
            )
