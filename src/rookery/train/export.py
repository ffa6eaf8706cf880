"""From the model in training to a file that everything else reads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rookery.formats import Checkpoint, save_checkpoint
from rookery.tokenizer import Tokenizer, WorldTokenizer
from rookery.train import parallel
from rookery.train.model import TrainedModel
from rookery.weights import Tensor

__all__ = ["MODEL", "as_checkpoint", "export"]

MODEL = "model.rookery"  # in the folder of a run


def as_checkpoint(model: TrainedModel, tokenizer: Tokenizer | None = None) -> Checkpoint:
    """The model as a checkpoint of float32 tensors, without copying them; with a vocabulary if there is one.

    Low-rank changes are added to their matrices when these are loaded.
    Of several processes the first one has all tensors, the others have none; all must call it.
    """
    found = parallel.whole(model)
    tensors = {
        name: Tensor("F32", tuple(parameter.shape), partial(_merged, model, found, name), name)
        for name, parameter in found.items()
        if not name.endswith((".lora_A", ".lora_B", ".time_state"))
    }
    states = {
        name: Tensor("F32", tuple(parameter.shape), partial(_numbers, parameter), name)
        for name, parameter in found.items()
        if name.endswith(".time_state")
    }
    vocabulary = None
    if isinstance(tokenizer, WorldTokenizer):
        words = ((id, tokenizer.token_bytes(id)) for id in range(tokenizer.vocab_size))
        vocabulary = {id: word for id, word in words if word}
    return Checkpoint(Path("trained"), "new", tensors, vocabulary=vocabulary, config=model.config, initial_state=states)


def export(model: TrainedModel, path: Path, tokenizer: Tokenizer | None = None, dtype: str = "F32") -> None:
    """Write the model, whole or not at all, in the format that the suffix names.  For all processes to call."""
    checkpoint = as_checkpoint(model, tokenizer)
    parallel.by_first(lambda: save_checkpoint(checkpoint, path, dtype=dtype))


def _merged(model: TrainedModel, found: Mapping[str, torch.Tensor], name: str) -> np.ndarray:
    """The numbers of a tensor with what was learnt beside it."""
    place, numbers = name.rpartition(".")[0], _numbers(found[name])
    a, b = (found.get(f"{place}.lora_{part}") for part in "AB")
    if a is None or b is None or not name.endswith(".weight"):
        return numbers
    return numbers + np.float32(model.get_submodule(place).scale) * (_numbers(b) @ _numbers(a))


def _numbers(parameter: object) -> np.ndarray:
    found: np.ndarray = parameter.detach().float().cpu().contiguous().numpy()  # type: ignore[attr-defined]
    return found
