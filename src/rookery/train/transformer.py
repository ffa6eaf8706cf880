"""
The control: a decoder Transformer that the same loop trains on the same tokens.

Pre-norm, rotary positions, causal attention, a channel mix of squared rectified numbers: as plain as it can be, and of
as many parameters as the RWKV it stands beside (`equal_to`).  It is trained and evaluated here and served nowhere:
what it remembers grows with what it has read, which is the point of the comparison.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rookery.config import Config, canonical_shapes, optional
from rookery.errors import SettingsError
from rookery.ops.torch import TorchOps
from rookery.train.attention import Past, Reading
from rookery.train.model import Node

__all__ = ["Transformer", "TransformerConfig"]

SPREAD = 0.02  # of new numbers, as GPT-2 has it


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """The sizes of a Transformer.

    layers, width, vocab, ffn: blocks, channels, rows of the embedding, channels inside the channel mix.
    head_size: lanes per head, an even number that divides the width.
    """

    layers: int
    width: int
    vocab: int
    ffn: int
    head_size: int

    def __post_init__(self) -> None:
        if self.head_size % 2 or self.width % self.head_size:
            raise SettingsError(f"head_size={self.head_size}: expected an even divisor of the width, {self.width}")

    @property
    def heads(self) -> int:
        return self.width // self.head_size

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes().values())

    @classmethod
    def equal_to(cls, config: Config) -> TransformerConfig:
        """As deep and wide as an RWKV, its channel mix so wide that it has as many parameters, within 1 %.

        Counted is what is trained: not RWKV-7's unused value residual of block 0.
        """
        wanted = sum(math.prod(shape) for name, shape in canonical_shapes(config).items() if not optional(name))
        head_size = config.head_size if config.version != "4" else math.gcd(config.width, 64)
        bare = cls(config.layers, config.width, config.vocab, 0, head_size)
        step = 8 if config.width >= 128 else 1  # what matrices are quick in, where it costs no precision
        ffn = step * round((wanted - bare.parameters) / (2 * config.width * config.layers * step))
        return cls(config.layers, config.width, config.vocab, ffn, head_size)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every parameter by name."""
        c, f, v = self.width, self.ffn, self.vocab
        out: dict[str, tuple[int, ...]] = {"emb.weight": (v, c)}
        for layer in range(self.layers):
            b = f"blocks.{layer}."
            out |= {f"{b}{norm}.{part}": (c,) for norm in ("ln1", "ln2") for part in ("weight", "bias")}
            out |= {f"{b}att.{name}.weight": (c, c) for name in ("query", "key", "value", "output")}
            out |= {f"{b}ffn.key.weight": (f, c), f"{b}ffn.value.weight": (c, f)}
        return out | {"ln_out.weight": (c,), "ln_out.bias": (c,), "head.weight": (v, c)}


class AttentionBlock(Node):
    """One block, called as a module so that whoever shards or recomputes blocks finds them."""

    def forward(self, o: TorchOps, reading: Reading, x: torch.Tensor, past: Past | None) -> tuple[torch.Tensor, Past]:
        """x: (rows, width).  Returns it, and the keys and values after the rows."""
        h = o.layer_norm(x, self.ln1)
        q, k, v = (reading.heads(o.linear(h, m.weight)) for m in (self.att.query, self.att.key, self.att.value))
        y, past = reading.attend(q, k, v, past)
        x = x + o.linear(y, self.att.output.weight)
        h = o.relu2(o.linear(o.layer_norm(x, self.ln2), self.ffn.key.weight))
        return x + o.linear(h, self.ffn.value.weight), past


class Transformer(Node):
    """A Transformer in training, with what `Trainer` asks of a model.

    seed:      of the new parameters; each follows from it and from its own name.
    half:      torch.bfloat16 multiplies matrices in it and attends in it; all else stays as the parameters.
    recompute: keep only what enters each block and compute its inside again on the way back.
    """

    def __init__(
        self,
        config: TransformerConfig,
        seed: int = 0,
        *,
        half: torch.dtype | None = None,
        recompute: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.faster: dict[str, float] = {}  # as of TrainedModel: nothing learns at another rate
        self.config, self.half, self.recompute = config, half, recompute
        self.blocks = Node()
        for layer in range(config.layers):
            self.blocks.add_module(str(layer), AttentionBlock())
        for name, shape in config.shapes().items():
            numbers = torch.from_numpy(_initial(name, shape, config.layers, seed))
            self.put(name.split("."), nn.Parameter(numbers.to(dtype)))

    def forward(
        self, tokens: torch.Tensor, lengths: list[int], states: list[Past] | None = None
    ) -> tuple[torch.Tensor, list[Past]]:
        """What the head reads, (rows, width), and one `Past` per block: what later tokens may look back at.

        tokens: int64 (rows,), segments one after another, of `lengths`; states: theirs before, nothing by default.
        """
        o = TorchOps(tokens, lengths, half=self.half)
        before = states[0].lengths if states else [0] * len(lengths)
        x = o.embed(self.emb.weight)
        reading = Reading(lengths, before, self.config.head_size, x, self.half)
        after = []
        for i, module in enumerate(self.blocks.children()):
            x, past = self._through(module, o, reading, x, states[i] if states else None)
            after.append(past)
        return o.layer_norm(x, self.ln_out), after

    def _through(self, module: nn.Module, *arguments: Any) -> Any:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(module, *arguments, use_reentrant=False)
        return module(*arguments)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return TorchOps(hidden.new_zeros(0, dtype=torch.int64), [], half=self.half).linear(hidden, self.head.weight)


def _initial(name: str, shape: tuple[int, ...], layers: int, seed: int) -> np.ndarray:
    """Norms do nothing at first; what is added to the residual is smaller the more blocks add to it."""
    if len(shape) == 1:
        return np.full(shape, name.endswith("weight"), np.float32)
    adds = name.endswith(("att.output.weight", "ffn.value.weight"))
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    numbers = np.random.default_rng([seed, key]).standard_normal(shape, np.float32)
    return numbers * np.float32(SPREAD / math.sqrt(2 * layers) if adds else SPREAD)
