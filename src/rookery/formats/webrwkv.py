"""
The contents that the web-rwkv runtime puts into safetensors files ("st").

Two edits of the official names (`time_maa` -> `time_mix`, `time_faaaa` -> `time_first`) and, for versions 6 and 7,
low-rank matrices with their last two dimensions swapped.  Told from plain files by shape, never by file name.
A file whose every low-rank matrix is square cannot be told apart and is read as plain.

Its 5.1 files hold one decay per lane in place of one per head; they are read as 5.2, which computes the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rookery.formats import lazy
from rookery.formats.checkpoint import Tensor

__all__ = ["oriented", "rename"]

Tensors = dict[str, Tensor]

_SWAPPED = re.compile(r"blocks\.[0-9]+\.att\.([wavg][12]|time_maa_w[12]|time_decay_w[12]|time_state)$")
_INNER = re.compile(r"blocks\.[0-9]+\.att\.([wag]1|time_maa_w1|time_decay_w1)$")


def rename(tensors: Tensors) -> Callable[[str], str]:
    """How the names of this file become official; no change for plain files."""
    finch = "blocks.0.att.time_mix_w1" in tensors
    # The gate-less 5.0 has a `time_first` of its own, with another meaning.
    bonus = finch or "blocks.0.att.gate.weight" in tensors

    def official(name: str) -> str:
        name = name.replace(".time_mix_", ".time_maa_") if finch else name
        return re.sub(r"\.time_first$", ".time_faaaa", name) if bonus else name

    return official


def oriented(tensors: Tensors) -> Tensors:
    """Officially named tensors with swapped dimensions swapped back; plain ones unchanged."""
    if not _is_swapped(tensors):
        return tensors
    return {n: lazy.transposed(t) if _SWAPPED.match(n) and len(t.shape) > 1 else t for n, t in tensors.items()}


def _is_swapped(tensors: Tensors) -> bool:
    """Whether a matrix that leads from the width to a rank is stored as [rank, width]."""
    if "emb.weight" not in tensors or len(tensors["emb.weight"].shape) != 2:
        return False
    width = tensors["emb.weight"].shape[1]
    inner = (tensor.shape for name, tensor in tensors.items() if _INNER.match(name))
    return any(len(shape) == 2 and shape[0] != width and shape[1] == width for shape in inner)
