"""What methods share: freezing, and the way between a model in training and adapter files."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from rookery.adapter import Adapter, LowRank
from rookery.errors import FormatError
from rookery.train.model import TrainedModel
from rookery.weights import Tensor

__all__ = ["adapter_of", "freeze", "load_adapter", "matrices", "numbers", "put", "trained"]


def freeze(model: TrainedModel) -> None:
    """Nothing is trained until something is added."""
    model.requires_grad_(False)


def put(model: TrainedModel, name: str, value: torch.Tensor) -> None:
    """Add a parameter that is trained, of the model's float type and where the model is."""
    like = next(model.parameters())
    model.put(name.split("."), nn.Parameter(value.to(like.device, like.dtype)))


def trained(model: TrainedModel) -> list[str]:
    """Names of what is trained."""
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def matrices(model: TrainedModel) -> Iterator[tuple[str, nn.Parameter]]:
    """The matrices inside the blocks that a low-rank change can be put beside."""
    for name, parameter in model.named_parameters():
        if name.startswith("blocks.") and name.endswith(".weight") and parameter.dim() == 2:
            yield name, parameter


def adapter_of(model: TrainedModel, base: str | None = None) -> Adapter:
    """What the model has beside the matrices it began with, apart from them.

    base: fingerprint of the model it began with.
    """
    found = dict(model.named_parameters())
    low_rank = {
        name: LowRank(numbers(found[f"{path}.lora_A"]), numbers(found[f"{path}.lora_B"]))
        for name in found
        if (path := name.removesuffix(".weight")) != name and f"{path}.lora_A" in found
    }
    alphas = {model.get_submodule(name.removesuffix(".weight")).scale * low.rank for name, low in low_rank.items()}
    states = {name: _tensor(p, name) for name, p in found.items() if name.endswith(".time_state") and p.requires_grad}
    return Adapter("the adapter", low_rank, initial_state=states, alpha=max(alphas) if alphas else None, base=base)


@torch.no_grad()
def load_adapter(model: TrainedModel, adapter: Adapter, base: str | None = None) -> None:
    """Go on from what another run learnt: copy its numbers into a model that was prepared for the same.

    base: fingerprint of the model.
    FormatError where the adapter was made for another model, has anything else than what is trained here, or other
    shapes, or another alpha.
    """
    if base is not None and adapter.base not in (None, base):
        raise FormatError(f"{adapter.origin}: was made for the model {adapter.base}, but this one is {base}")
    if adapter.replaced:
        raise FormatError(f"{adapter.origin}: holds whole tensors, {min(adapter.replaced)} first; merge it before")
    found, given = dict(model.named_parameters()), _named(adapter)
    names = {name for name in trained(model) if name.endswith((".lora_A", ".lora_B", ".time_state"))}
    for name in sorted(names ^ given.keys()):
        where = "is not trained here" if name in given else "is missing"
        raise FormatError(f"{adapter.origin}: {name} {where}; choose the method and targets it was made with")
    for name, value in given.items():
        if value.shape != tuple(found[name].shape):
            raise FormatError(f"{adapter.origin}: {name} has shape {value.shape}, expected {tuple(found[name].shape)}")
    for name, low in adapter.low_rank.items():
        scale = model.get_submodule(name.removesuffix(".weight")).scale
        if adapter.alpha is not None and not math.isclose(adapter.alpha / low.rank, scale):
            raise FormatError(f"{adapter.origin}: has alpha {adapter.alpha:g}, expected {scale * low.rank:g}")
    for name, value in given.items():
        found[name].copy_(torch.from_numpy(np.array(value, np.float32)))


def _named(adapter: Adapter) -> dict[str, np.ndarray]:
    found = {name: tensor.numpy() for name, tensor in adapter.initial_state.items()}
    for name, low in adapter.low_rank.items():
        path = name.removesuffix(".weight")
        found |= {f"{path}.lora_A": low.a, f"{path}.lora_B": low.b}
    return found


def numbers(parameter: torch.Tensor) -> np.ndarray:
    """A copy as float32."""
    return np.array(parameter.detach().float().cpu().numpy())


def _tensor(parameter: torch.Tensor, name: str) -> Tensor:
    copy = numbers(parameter)
    return Tensor("F32", copy.shape, lambda: copy, name)
