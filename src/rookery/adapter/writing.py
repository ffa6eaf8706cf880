"""Writing adapters and tuned states."""

from __future__ import annotations

import json
from pathlib import Path

from rookery.adapter.content import Adapter
from rookery.adapter.reading import KEY, VERSION
from rookery.errors import SettingsError
from rookery.formats import Tensor, lazy, pth_writer, safetensors_writer
from rookery.formats.stream import Part, Stream
from rookery.formats.target import check_target

__all__ = ["write_adapter"]


def write_adapter(adapter: Adapter, path: str | Path) -> None:
    """Write an adapter, whole or not at all, in the form that the suffix names.

    .pth:         RWKV-PEFT's: tensors alone.  Its alpha and its model have to be remembered by other means.
    .safetensors: the same tensors, and in the metadata `rookery.adapter` alpha, ranks, targets and the model's
                  fingerprint.

    SettingsError for other suffixes and for what the system refuses.
    """
    path = Path(path)
    check_target(path)
    tensors = _tensors(adapter)
    stream = Stream({name: Part(t, t.format) for name, t in tensors.items()}, lambda: None, None)
    if path.suffix in (".pth", ".pt"):
        pth_writer.write_stream(path, stream)
    elif path.suffix in (".safetensors", ".st"):
        safetensors_writer.write_stream(path, stream, {KEY: _about(adapter), "format": "pt"})
    else:
        raise SettingsError(f"{path}: adapters are written as .pth or .safetensors, not {path.suffix!r}")


def _tensors(adapter: Adapter) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, low in adapter.low_rank.items():
        matrix = name.removesuffix(".weight")
        found |= {f"{matrix}.lora_A": lazy.array("F32", low.a), f"{matrix}.lora_B": lazy.array("F32", low.b)}
    return found | dict(adapter.initial_state) | dict(adapter.replaced)


def _about(adapter: Adapter) -> str:
    about = {"version": VERSION, "base": adapter.base, "alpha": adapter.alpha}
    return json.dumps(about | {"ranks": adapter.ranks, "targets": adapter.targets})
