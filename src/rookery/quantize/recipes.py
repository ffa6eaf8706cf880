"""
Recipes: which tensor gets which weight format.

The large matrices carry almost all of the bytes and take the format of the recipe's name.  Everything that steers the
state (decays, mixes, norms) is F32, the low-rank matrices that control it stay 16-bit: together a few per cent of the
bytes.  The head decides between tokens and the embedding is read one row at a time, so both are stored more finely.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rookery.errors import SettingsError
from rookery.quant import FORMATS
from rookery.weights import Tensor

__all__ = ["RECIPES", "Recipe", "plan", "recipe"]

_LANES = ("att.time_decay", "att.time_first", "att.time_faaaa", "att.r_k")
_MATRIX = re.compile(r"blocks\.(\d+)\.((?:att|ffn)\.(?:receptance|key|value|gate|output))\.weight")

# What takes the place of a format where rows are no whole number of its blocks.
_NEXT = {"Q4_K": "Q4_1", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "NF4": "Q4_0", "C4": "Q4_0", "C5": "Q5_0"}


@dataclass(frozen=True, slots=True)
class Recipe:
    """matrix, embedding, head: weight formats.  finer: one for the matrices in `sensitive`, if they have their own.

    sensitive: endings such as "att.output" of matrices whose errors cost most; see docs/quantization.md.
    """

    name: str
    matrix: str
    embedding: str
    head: str
    finer: str | None = None
    sensitive: tuple[str, ...] = ()

    @property
    def formats(self) -> tuple[str, ...]:
        """The weight formats it uses."""
        return tuple(dict.fromkeys(f for f in (self.matrix, self.finer, self.embedding, self.head) if f))

    def format_of(self, name: str) -> str | None:
        """The format for a matrix by its official name; None for other tensors."""
        if name == "emb.weight":
            return self.embedding
        if name == "head.weight":
            return self.head
        match = _MATRIX.fullmatch(name)
        if match is None:
            return None
        return self.finer if self.finer and match[2] in self.sensitive else self.matrix


_SENSITIVE = ("att.receptance", "att.gate", "att.output")

RECIPES = {
    r.name: r
    for r in (
        Recipe("f16", "F16", "F16", "F16"),
        Recipe("bf16", "BF16", "BF16", "BF16"),
        Recipe("q8_0", "Q8_0", "Q8_0", "Q8_0"),
        Recipe("int8", "INT8", "INT8", "INT8"),
        Recipe("q6_k", "Q6_K", "Q6_K", "Q6_K"),
        Recipe("q5_k", "Q5_K", "Q6_K", "Q6_K"),
        Recipe("q5_k_m", "Q5_K", "Q6_K", "Q6_K", "Q6_K", _SENSITIVE),
        Recipe("q4_k", "Q4_K", "Q6_K", "Q6_K"),
        Recipe("q4_k_m", "Q4_K", "Q6_K", "Q6_K", "Q5_K", _SENSITIVE),
        Recipe("q5_1", "Q5_1", "Q8_0", "Q8_0"),
        Recipe("q5_0", "Q5_0", "Q8_0", "Q8_0"),
        Recipe("q4_1", "Q4_1", "Q8_0", "Q8_0"),
        Recipe("q4_0", "Q4_0", "Q8_0", "Q8_0"),
        Recipe("c5", "C5", "Q6_K", "Q6_K"),
        Recipe("c4", "C4", "Q6_K", "Q6_K"),
        Recipe("nf4", "NF4", "Q6_K", "Q6_K"),
    )
}


def recipe(name: str) -> Recipe:
    """The recipe of a name; SettingsError, listing all, for one that is not known."""
    try:
        return RECIPES[name.lower()]
    except KeyError:
        raise SettingsError(f"unknown recipe {name!r}; known: {', '.join(RECIPES)}") from None


def plan(tensors: Mapping[str, Tensor], chosen: Recipe) -> dict[str, str]:
    """The format for every tensor of a checkpoint, by official name.

    A matrix never gets a wider format than it has: nothing would be won.  Reads the low-rank matrices when they are
    F32, to see which 16-bit format suits them.
    """
    return {name: _format(name, tensor, chosen.format_of(name)) for name, tensor in tensors.items()}


def _format(name: str, tensor: Tensor, wanted: str | None) -> str:
    if len(tensor.shape) == 1 or name.endswith(_LANES) or name.endswith(".att.time_state"):
        return "F32"
    if wanted is None:
        return _sixteen(tensor)
    fitting = _fitting(wanted, tensor.shape[-1])
    return fitting if FORMATS[fitting].bits < FORMATS[tensor.format].bits else tensor.format


def _fitting(format: str, numbers: int) -> str:
    """The format itself, or the next whose blocks divide a row."""
    for candidate in (format, _NEXT.get(format, format)):
        if numbers % FORMATS[candidate].block == 0:
            return candidate
    return "F16"


def _sixteen(tensor: Tensor) -> str:
    """F16 or BF16, whichever loses less; what is 16-bit already stays."""
    if tensor.format in ("F16", "BF16"):
        return tensor.format
    x = tensor.numpy()
    return min(("F16", "BF16"), key=lambda format: _loss(x, format))


def _loss(x: np.ndarray, format: str) -> float:
    kind = FORMATS[format]
    assert kind.encode is not None
    with np.errstate(over="ignore", invalid="ignore"):
        error = kind.decode(kind.encode(x)).astype(np.float64) - x
        loss = float(np.square(error).sum())
    return loss if np.isfinite(loss) else float("inf")
