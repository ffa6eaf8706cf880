"""
The model in training: parameters under their official names, and the definition run over them by torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from rookery.config import Config, optional
from rookery.formats.check import checked
from rookery.formats.checkpoint import Checkpoint
from rookery.layout import EMPTY_EXPONENT, StateLayout
from rookery.models import definition, stack
from rookery.ops import fused
from rookery.ops.torch import Adapted, TorchOps
from rookery.parameters import tree
from rookery.weights import Tensor

__all__ = ["Node", "TrainedModel"]

State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # of the segments in one block: att_x, wkv, ffn_x


class Node(nn.Module):
    """A place in the tree of parameters; its `state_dict` has the names of the checkpoint."""

    def put(self, path: list[str], parameter: nn.Parameter) -> None:
        name, *rest = path
        if not rest:
            self.register_parameter(name, parameter)
            return
        if name not in self._modules:
            self.add_module(name, Block() if self._is_list and name.isdigit() else Node())
        child = self._modules[name]
        assert isinstance(child, Node)
        child._is_list = name == "blocks"
        child.put(rest, parameter)

    _is_list = False
    scale = 1.0  # of the low-rank change of a matrix, where there is one


class Block(Node):
    """One block, called as a module so that whoever shards or recomputes blocks finds them."""

    fused = True  # by rookery.ops.fused, where that can

    def forward(self, o: TorchOps, config: Config, x: torch.Tensor, v_first: Any, state: State) -> Any:
        """config: of the model.  Returns x, v_first where it is made (else None), the state after: att_x, wkv, ffn_x.

        What only passes through is not returned: who shards blocks would take it for a view, and warn.
        """
        s = SimpleNamespace(att_x=state[0], wkv=state[1], ffn_x=state[2])
        b = _leaves(config, _joined(self))
        if "ln0" in self._modules:  # the first block's, used in it: where blocks are sharded, only then is it whole
            x = o.layer_norm(x, b.ln0)
        block = fused.block if self.fused and fused.suits(x) else stack.block
        x, values = block(o, definition(config.version), b, x, s, v_first)
        return x, values if v_first is None else None, (s.att_x, s.wkv, s.ffn_x)


class TrainedModel(Node):
    """A model whose forward is its definition on torch tensors.

    config, tensors: of a checkpoint (`open_checkpoint`, `initialise`); parameters are float32, of canonical shapes.
    half:      torch.bfloat16 multiplies matrices in it; parameters, states and all else stay float32.
    recompute: keep only what enters each block and compute its inside again on the way back.
    fused:     compute blocks by `rookery.ops.fused`, where that can; else op by op.
    """

    def __init__(
        self,
        config: Config,
        tensors: Mapping[str, Tensor],
        *,
        half: torch.dtype | None = None,
        recompute: bool = False,
        fused: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config, self.layout, self.half, self.recompute = config, StateLayout(config), half, recompute
        self.faster: dict[str, float] = {}  # parameters, by the last part of their names, that learn at another rate
        for name, tensor in tensors.items():
            numbers = np.array(tensor.numpy(), np.float32)  # a copy: the file stays as it is
            used = not optional(name)
            self.put(name.split("."), nn.Parameter(torch.from_numpy(numbers).to(dtype), requires_grad=used))
        for module in self.modules():
            if isinstance(module, Block):
                module.fused = fused

    @classmethod
    def of(cls, source: Checkpoint, **settings: Any) -> TrainedModel:
        """From a checkpoint, opened or new."""
        whole = checked(source)
        assert whole.config is not None
        return cls(whole.config, whole.tensors | whole.initial_state, **settings)

    def fresh(self, segments: int) -> list[State]:
        """States before any token, one triple of (segments, ...) per block."""
        like = next(self.parameters())
        states = []
        for layer, module in zip(self.layout.layers, self.blocks.children(), strict=True):
            fields = [
                torch.zeros(segments, *f.shape, dtype=like.dtype, device=like.device) for f in vars(layer).values()
            ]
            if self.config.version == "4":
                fields[1][:, 2] = EMPTY_EXPONENT
            elif hasattr(module.att, "time_state"):  # (H, value lane, key lane), as the official trainers write it
                fields[1] = module.att.time_state.transpose(1, 2).expand_as(fields[1]).contiguous()
            states.append(tuple(fields))
        return states

    def forward(
        self, tokens: torch.Tensor, lengths: list[int], states: list[State] | None = None
    ) -> tuple[torch.Tensor, list[State]]:
        """What the head reads, (rows, width), and the states after the segments.

        tokens: int64 (rows,), segments one after another, of `lengths`; states: of the first segments, before them;
        further segments begin afresh.
        """
        o = TorchOps(tokens, lengths, half=self.half)
        states = self._begun(len(lengths), states)
        x, v_first, after = o.embed(self.emb.weight), None, []
        for module, state in zip(self.blocks.children(), states, strict=True):
            x, values, state = self._through(module, o, x, v_first, state)
            v_first = values if v_first is None else v_first
            after.append(state)
        return o.layer_norm(x, self.ln_out), after

    def _begun(self, segments: int, states: list[State] | None) -> list[State]:
        """The states given, and fresh ones for the other segments."""
        if states is None:
            return self.fresh(segments)
        given = len(states[0][0])
        fresh = self.fresh(segments - given)
        if given == 0:
            return fresh
        return [
            (torch.cat([a, d]), torch.cat([b, e]), torch.cat([c, f]))
            for (a, b, c), (d, e, f) in zip(states, fresh, strict=True)
        ]

    def _through(self, module: nn.Module, o: TorchOps, x: Any, v_first: Any, state: Any) -> Any:
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(module, o, self.config, x, v_first, state, use_reentrant=False)
        return module(o, self.config, x, v_first, state)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return TorchOps(hidden.new_zeros(0, dtype=torch.int64), [], half=self.half).linear(hidden, self.head.weight)


def _joined(block: nn.Module) -> dict[str, Any]:
    """What a definition reads of a block, by name: matrices together with what is learnt beside them."""
    found: dict[str, Any] = dict(block.named_parameters())
    found.pop("att.time_state", None)
    for name in [name for name in found if name.endswith(".lora_A")]:
        path = name.removesuffix(".lora_A")
        scale = block.get_submodule(path).scale
        found[f"{path}.weight"] = Adapted(found[f"{path}.weight"], found.pop(name), found.pop(f"{path}.lora_B"), scale)
    return found


def _leaves(config: Config, parameters: Mapping[str, Any]) -> SimpleNamespace:
    """The parameters of one block as its definition reads them."""

    def leaf(name: str, tensor: Any, repeats: int) -> Any:
        if repeats == 0:
            return tensor
        flat = tensor.reshape(-1)
        return flat.repeat_interleave(repeats) if repeats > 1 else flat

    whole = {f"blocks.0.{name}": parameter for name, parameter in parameters.items()}
    found: SimpleNamespace = tree(replace(config, layers=1), whole, leaf).blocks[0]
    return found
