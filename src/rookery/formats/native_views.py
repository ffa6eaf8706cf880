"""
Which matrices a native file holds packed, and in which order.

A program multiplies with some tensors as they are, with the transposes of others, and with the parts of two.  Such a
*view* is written as a definition writes it: "" (the tensor itself), ".T", "[:, 32:64].T", "[2].T".  A tensor name and
a view together are the name of a matrix in a program, which is how the executor finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rookery.config import Config, optional

__all__ = ["View", "program_order", "views"]

_MIXES = 5  # RWKV-6 mixes w, k, v, r, g with low-rank matrices that lie in one tensor

# Matrices of a block in the order a step reads them; the tests compare it with the recorded programs.
_OLD = "att.key att.value att.receptance att.gate att.output ffn.receptance ffn.key ffn.value"
_ORDER = {
    "4": _OLD,
    "5": _OLD,
    "6": (
        "att.time_maa_w1 att.time_maa_w2 att.receptance att.key att.value att.gate att.time_decay_w1 "
        "att.time_decay_w2 att.output ffn.receptance ffn.key ffn.value"
    ),
    "7": (
        "att.receptance att.key att.value att.w1 att.a1 att.g1 att.v1 att.w2 att.a2 att.g2 att.v2 att.output "
        "ffn.key ffn.value"
    ),
}
_LOW_RANK = tuple(f".att.{name}{i}" for name in ("w", "a", "v", "g", "time_decay_w") for i in (1, 2))


@dataclass(frozen=True, slots=True)
class View:
    """A matrix inside a tensor.

    words: as it is written.
    of:    (outputs, inputs) of an array of the tensor's shape, without copying.
    """

    words: str
    of: Callable[[np.ndarray], np.ndarray]

    def shape(self, tensor: tuple[int, ...]) -> tuple[int, int]:
        """Outputs and inputs, for a tensor of this shape."""
        outputs, inputs = self.of(np.broadcast_to(np.uint8(0), tensor)).shape
        return outputs, inputs


def views(name: str, shape: tuple[int, ...]) -> tuple[View, ...]:
    """The matrices that programs make of a tensor; none for vectors, the embedding, and what no program reads."""
    if 0 in shape or optional(name) or name == "emb.weight":
        return ()
    if name.endswith(".att.time_maa_w1") and len(shape) == 2 and shape[1] % _MIXES == 0:
        rank = shape[1] // _MIXES
        return tuple(_columns(i * rank, (i + 1) * rank) for i in range(_MIXES))
    if name.endswith(".att.time_maa_w2") and len(shape) == 3 and shape[0] == _MIXES:
        return tuple(_slab(i) for i in range(_MIXES))
    if len(shape) != 2 or not name.endswith((".weight", *_LOW_RANK)):
        return ()
    return (_WHOLE if name.endswith(".weight") else _TRANSPOSE,)


def program_order(config: Config) -> list[str]:
    """Names of the tensors that hold matrices, in the order in which a step reads them."""
    low_rank = tuple(name.removeprefix(".") for name in _LOW_RANK)
    names = [
        name if name in low_rank or "maa" in name else f"{name}.weight" for name in _ORDER[config.version[0]].split()
    ]
    blocks = [f"blocks.{layer}.{name}" for layer in range(config.layers) for name in names]
    return [*(name for name in blocks if not optional(name)), "head.weight"]


_WHOLE = View("", lambda x: x)
_TRANSPOSE = View(".T", lambda x: x.T)


def _columns(begin: int, end: int) -> View:
    return View(f"[:, {begin}:{end}].T", lambda x: x[:, begin:end].T)


def _slab(i: int) -> View:
    return View(f"[{i}].T", lambda x: x[i].T)
