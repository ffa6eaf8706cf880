"""From the model in training to a file that everything else reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from rookery.formats import Checkpoint, save_checkpoint
from rookery.train import parallel
from rookery.train.model import TrainedModel
from rookery.weights import Tensor

__all__ = ["as_checkpoint", "export"]


def as_checkpoint(model: TrainedModel) -> Checkpoint:
    """The model as a checkpoint of float32 tensors, without copying them: of those that this process has."""
    tensors = {
        name: Tensor("F32", tuple(parameter.shape), partial(_numbers, parameter), name)
        for name, parameter in parallel.whole(model).items()
    }
    return Checkpoint(Path("trained"), "new", tensors, config=model.config)


def export(model: TrainedModel, path: Path, dtype: str = "F32") -> None:
    """Write the model, whole or not at all, in the format that the suffix names.  For all processes to call."""
    checkpoint = as_checkpoint(model)
    parallel.by_first(lambda: save_checkpoint(checkpoint, path, dtype=dtype))


def _numbers(parameter: object) -> np.ndarray:
    found: np.ndarray = parameter.detach().float().cpu().contiguous().numpy()  # type: ignore[attr-defined]
    return found
